// Text -> ids; the steps stand in tokenizer_impl.h.
#include <string.h>

#include "common/memory.h"
#include "tokenizer/tokenizer_impl.h"
#include "common/utf8.h"

ft_status ft_ids_add(ft_ids *ids, const int32_t *items, int64_t n)
{
    if (ids->n + n > ids->capacity) {
        int64_t capacity = ids->capacity ? ids->capacity : 32;
        while (capacity < ids->n + n) capacity *= 2;
        int32_t *grown = ft_realloc(ids->items, (size_t)capacity * sizeof *grown);
        FT_ALLOC_CHECK(grown);
        ids->items = grown;
        ids->capacity = capacity;
    }
    if (n > 0) memcpy(ids->items + ids->n, items, (size_t)n * sizeof *items);
    ids->n += n;
    return FT_OK;
}

void ft_ids_free(ft_ids *ids)
{
    ft_free(ids->items);
    *ids = (ft_ids){0};
}

static ft_status reserve_ends(ft_ends *ends, int64_t n)
{
    if (ends->n + n <= ends->capacity) return FT_OK;
    int64_t capacity = ends->capacity ? ends->capacity : 32;
    while (capacity < ends->n + n) capacity *= 2;
    int64_t *grown = ft_realloc(ends->items, (size_t)capacity * sizeof *grown);
    FT_ALLOC_CHECK(grown);
    ends->items = grown;
    ends->capacity = capacity;
    return FT_OK;
}

ft_status ft_ends_add(ft_ends *ends, const int64_t *items, int64_t n)
{
    FT_TRY(reserve_ends(ends, n));
    if (n > 0) memcpy(ends->items + ends->n, items, (size_t)n * sizeof *items);
    ends->n += n;
    return FT_OK;
}

void ft_ends_free(ft_ends *ends)
{
    ft_free(ends->items);
    *ends = (ft_ends){0};
}

typedef struct {
    const ft_tokenizer *tokenizer;
    ft_tokenizer_work *work;
    bool special;
    ft_ids *ids;
    ft_ends *ends;      // NULL: not wanted
    ft_piece piece;     // what words are cut from
    size_t end;         // of the last id
} encoding;

static int64_t not_before(encoding *e, size_t end)
{
    if (end > e->end) e->end = end;
    return (int64_t)e->end;
}

static ft_status add_ends(encoding *e, const char *word, size_t bytes, int64_t first)
{
    int64_t n = e->ids->n - first;
    if (n == 0) return FT_OK;  // nothing in the vocabulary: the word vanished
    FT_TRY(reserve_ends(e->ends, n));
    int64_t *ends = e->ends->items + e->ends->n;
    ft_bpe_ends(&e->tokenizer->bpe, word, bytes, e->ids->items + first, n, ends);
    size_t begin = (size_t)(word - e->piece.text);
    for (int64_t i = 0; i < n; i++) ends[i] = not_before(e, ft_piece_offset(&e->piece, begin + (size_t)ends[i]));
    e->ends->n += n;
    return FT_OK;
}

static ft_status encode_word(void *context, const char *word, size_t bytes)
{
    encoding *e = context;
    int64_t first = e->ids->n;
    FT_TRY(ft_bpe_encode(&e->tokenizer->bpe, &e->work->bpe, word, bytes, e->ids));
    return e->ends ? add_ends(e, word, bytes, first) : FT_OK;
}

// A token that is known as a whole.
static ft_status add_token(encoding *e, int32_t id, size_t end)
{
    FT_TRY(ft_ids_add(e->ids, &id, 1));
    if (e->ends == NULL) return FT_OK;
    FT_TRY(reserve_ends(e->ends, 1));
    e->ends->items[e->ends->n++] = not_before(e, end);
    return FT_OK;
}

static size_t invalid_run(const char *text, size_t bytes)
{
    size_t n = 0;
    while (n < bytes && ft_utf8_char(text + n, bytes - n) == 0) n++;
    return n;
}

// Bytes that are not UTF-8 are a word of their own.
static ft_status encode_by_expressions(encoding *e)
{
    const char *text = e->piece.text;
    size_t bytes = e->piece.bytes;
    for (size_t at = 0; at < bytes;) {
        size_t valid = ft_utf8_valid(text + at, bytes - at);
        FT_TRY(ft_pretokenize(&e->tokenizer->pretokenizer, &e->work->pretokenize, text + at, valid, encode_word, e));
        at += valid;
        size_t invalid = invalid_run(text + at, bytes - at);
        if (invalid > 0) FT_TRY(encode_word(e, text + at, invalid));
        at += invalid;
    }
    return FT_OK;
}

// Whether a word may end before the byte at `at` (> 0). Under Metaspace's `split` it does before every U+2581; apart from that the
// piece is one word, which may as well be cut where no merge joins the sides.
static inline bool cuts_before(const ft_tokenizer *tokenizer, const char *text, size_t bytes, size_t at)
{
    if (((uint8_t)text[at] & 0xC0) == 0x80) return false;
    if (tokenizer->bpe.cuts && !ft_bpe_joins(&tokenizer->bpe, text[at - 1], text[at])) return true;
    return tokenizer->metaspace_splits && bytes - at >= FT_METASPACE_BYTES &&
           memcmp(text + at, FT_METASPACE, FT_METASPACE_BYTES) == 0;
}

static ft_status encode_by_joins(encoding *e)
{
    const char *text = e->piece.text;
    size_t bytes = e->piece.bytes, begin = 0;
    for (size_t at = 1; at < bytes; at++) {
        if (!cuts_before(e->tokenizer, text, bytes, at)) continue;
        FT_TRY(encode_word(e, text + begin, at - begin));
        begin = at;
    }
    return encode_word(e, text + begin, bytes - begin);
}

static ft_status encode_plain(encoding *e, const ft_piece *piece, bool first)
{
    const ft_tokenizer *tokenizer = e->tokenizer;
    e->piece = *piece;
    if (piece->bytes == 0) return FT_OK;
    if (!tokenizer->bpe.characters) return encode_by_expressions(e);
    if (tokenizer->metaspace != FT_METASPACE_OFF)
        FT_TRY(ft_metaspace(tokenizer->metaspace, piece, first, e->ends != NULL, &e->work->spaced, &e->piece));
    return encode_by_joins(e);
}

// Pass 0 cuts out the plain added tokens and has the rest normalized; pass 1, inside that, the normalized ones. A special token
// that is not wanted still hides the added tokens it overlaps, as in the reference. `first`: the piece begins the text.
static ft_status encode_pass(encoding *e, int pass, const ft_piece *piece, bool first);

static ft_status encode_between(encoding *e, int pass, const ft_piece *piece, size_t from, size_t to, bool first)
{
    if (from >= to) return FT_OK;
    ft_piece part = ft_piece_part(piece, from, to), normalized;
    first = first && from == 0;
    if (pass == 1) return encode_plain(e, &part, first);
    FT_TRY(ft_normalize(&e->tokenizer->normalizer, &e->work->normalize, &part, e->ends != NULL, &normalized));
    return encode_pass(e, 1, &normalized, first);
}

static ft_status encode_pass(encoding *e, int pass, const ft_piece *piece, bool first)
{
    const ft_added_tokens *added = &e->tokenizer->added;
    const ft_added_token *token;
    size_t done = 0, begin, end;
    for (size_t at = 0;; at = begin + token->bytes) {
        token = ft_added_tokens_find(added, pass == 1, piece->text, piece->bytes, at, &begin);
        if (token == NULL) break;
        size_t found = begin;
        if (!e->special && ft_tokenizer_is_special(e->tokenizer, token->id)) continue;
        if (ft_added_token_span(token, piece->text, piece->bytes, done, &begin, &end)) {
            FT_TRY(encode_between(e, pass, piece, done, begin, first));
            FT_TRY(add_token(e, token->id, ft_piece_offset(piece, end)));
            done = end;
        }
        begin = found;
    }
    return encode_between(e, pass, piece, done, piece->bytes, first);
}

// The BOS of the text itself stays.
static void drop_second_bos(const encoding *e, int64_t start)
{
    int64_t rest = e->ids->n - start - 1;
    int32_t *ids = e->ids->items + start;
    if (rest < 1 || ids[1] != e->tokenizer->bos) return;
    memmove(ids, ids + 1, (size_t)rest * sizeof *ids);
    e->ids->n--;
    if (e->ends == NULL) return;
    int64_t *ends = e->ends->items + e->ends->n - rest - 1;
    memmove(ends, ends + 1, (size_t)rest * sizeof *ends);
    e->ends->n--;
}

ft_status ft_tokenize_ends(const ft_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, ft_ids *ids,
                           ft_ends *ends)
{
    encoding e = {.tokenizer = tokenizer, .special = flags & FT_TOKENIZE_SPECIAL, .ids = ids, .ends = ends};
    const ft_piece whole = {.text = text, .bytes = bytes};
    bool bos = (flags & FT_TOKENIZE_BOS) && tokenizer->adds_bos;
    int64_t start = ids->n;
    FT_TRY(ft_tokenizer_work_take(tokenizer->works, &e.work));
    ft_status status = bos ? add_token(&e, tokenizer->bos, 0) : FT_OK;
    if (status == FT_OK) status = encode_pass(&e, 0, &whole, true);
    ft_tokenizer_work_give(tokenizer->works, e.work);
    if (status == FT_OK && bos) drop_second_bos(&e, start);
    return status;
}

ft_status ft_tokenize(const ft_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, ft_ids *ids)
{
    return ft_tokenize_ends(tokenizer, text, bytes, flags, ids, NULL);
}
