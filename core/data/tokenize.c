// Text -> ids: added tokens are cut out first, what remains is split into words, each word is merged.
#include <string.h>

#include "common/memory.h"
#include "data/tokenizer_impl.h"
#include "data/utf8.h"

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

typedef struct {
    const ft_tokenizer *tokenizer;
    ft_tokenizer_work *work;
    bool special;
    ft_ids *ids;
} encoding;

static ft_status encode_word(void *context, const char *word, size_t bytes)
{
    encoding *e = context;
    return ft_bpe_encode(&e->tokenizer->bpe, &e->work->bpe, word, bytes, e->ids);
}

static size_t invalid_run(const char *text, size_t bytes)
{
    size_t n = 0;
    while (n < bytes && ft_utf8_char(text + n, bytes - n) == 0) n++;
    return n;
}

// Bytes that are not UTF-8 are a word of their own.
static ft_status encode_plain(encoding *e, const char *text, size_t bytes)
{
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

// Pass 0 cuts out the plain added tokens, pass 1, inside what is left, the normalized ones. A special token that is not wanted
// still hides the added tokens it overlaps, as in the reference.
static ft_status encode_pass(encoding *e, int pass, const char *text, size_t bytes)
{
    if (pass == 2) return encode_plain(e, text, bytes);
    const ft_tokenizer *tokenizer = e->tokenizer;
    const ft_added_tokens *added = &tokenizer->added;
    size_t done = 0, begin, end;
    for (size_t at = 0;; at = end) {
        int32_t id = ft_added_tokens_find(added, &tokenizer->vocab, pass == 1, text, bytes, at, &begin, &end);
        if (id < 0) break;
        if (!e->special && ft_tokenizer_is_special(tokenizer, id)) continue;
        FT_TRY(encode_pass(e, pass + 1, text + done, begin - done));
        FT_TRY(ft_ids_add(e->ids, &id, 1));
        done = end;
    }
    return encode_pass(e, pass + 1, text + done, bytes - done);
}

static void drop_second_bos(const ft_tokenizer *tokenizer, ft_ids *ids, int64_t start)
{
    int32_t *items = ids->items + start;
    if (ids->n - start < 2 || items[1] != tokenizer->bos) return;
    memmove(items, items + 1, (size_t)(ids->n - start - 1) * sizeof *items);
    ids->n--;
}

ft_status ft_tokenize(const ft_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, ft_ids *ids)
{
    encoding e = {.tokenizer = tokenizer, .special = flags & FT_TOKENIZE_SPECIAL, .ids = ids};
    bool bos = (flags & FT_TOKENIZE_BOS) && tokenizer->adds_bos;
    int64_t start = ids->n;
    FT_TRY(ft_tokenizer_work_take(tokenizer->works, &e.work));
    ft_status status = bos ? ft_ids_add(ids, &tokenizer->bos, 1) : FT_OK;
    if (status == FT_OK) status = encode_pass(&e, 0, text, bytes);
    ft_tokenizer_work_give(tokenizer->works, e.work);
    if (status == FT_OK && bos) drop_second_bos(tokenizer, ids, start);
    return status;
}
