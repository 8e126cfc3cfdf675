// tokenizer.model as SentencePiece writes it. The tokenizer is the one transformers' LlamaTokenizer makes of it: every split of a
// normal piece into two pieces is a merge, ordered by the score of what it makes, then longer parts first
// (convert_slow_tokenizer.py, generate_merges).
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tokenizer/spm_model.h"
#include "tokenizer/tokenizer_impl.h"

static ft_status put_pieces(const ft_spm_model *m, ft_vocab *vocab)
{
    FT_TRY(ft_vocab_index_init(vocab, (size_t)m->n));
    for (int32_t id = 0; id < m->n; id++) {
        FT_TRY(ft_vocab_put(vocab, id, m->pieces[id].text, m->pieces[id].bytes));
        if (m->pieces[id].bytes > 0) ft_vocab_index(vocab, id);
    }
    return FT_OK;
}

typedef struct {
    float score;
    uint32_t left_chars, right_chars, left_bytes;
    int32_t id;
} split;

typedef struct {
    split *items;
    size_t n, capacity;
} splits;

static ft_status add_split(splits *all, split s)
{
    if (all->n == all->capacity) {
        size_t capacity = all->capacity ? 2 * all->capacity : 4096;
        split *items = ft_realloc(all->items, capacity * sizeof *items);
        FT_ALLOC_CHECK(items);
        all->items = items;
        all->capacity = capacity;
    }
    all->items[all->n++] = s;
    return FT_OK;
}

static bool is_normal(const ft_spm_model *m, const ft_vocab *vocab, const char *text, size_t bytes)
{
    int32_t id = ft_vocab_find(vocab, text, bytes);
    return id >= 0 && m->pieces[id].type == FT_SPM_NORMAL;
}

static uint32_t count_chars(const char *text, size_t bytes)
{
    uint32_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((uint8_t)text[i] & 0xC0) != 0x80;
    return n;
}

static ft_status split_piece(const ft_spm_model *m, const ft_vocab *vocab, int32_t id, splits *all)
{
    const ft_spm_piece *p = &m->pieces[id];
    uint32_t chars = count_chars(p->text, p->bytes), left = 0;
    if (p->type != FT_SPM_NORMAL) return FT_OK;
    for (size_t at = 1; at < p->bytes; at++) {
        if (((uint8_t)p->text[at] & 0xC0) == 0x80) continue;
        left++;
        if (!is_normal(m, vocab, p->text, at) || !is_normal(m, vocab, p->text + at, p->bytes - at)) continue;
        FT_TRY(add_split(all, (split){p->score, left, chars - left, (uint32_t)at, id}));
    }
    return FT_OK;
}

static int compare(const void *a, const void *b)
{
    const split *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->left_chars != y->left_chars) return x->left_chars > y->left_chars ? -1 : 1;
    if (x->right_chars != y->right_chars) return x->right_chars > y->right_chars ? -1 : 1;
    return x->id - y->id;
}

static ft_status add_merges(const ft_spm_model *m, ft_tokenizer *tokenizer)
{
    splits all = {0};
    ft_status status = FT_OK;
    for (int32_t id = 0; id < m->n && status == FT_OK; id++) status = split_piece(m, &tokenizer->vocab, id, &all);
    if (all.n > 0) qsort(all.items, all.n, sizeof *all.items, compare);
    if (status == FT_OK) status = ft_bpe_init(&tokenizer->bpe, &tokenizer->vocab, all.n);
    for (size_t i = 0; i < all.n && status == FT_OK; i++) {
        const ft_spm_piece *p = &m->pieces[all.items[i].id];
        size_t left = all.items[i].left_bytes;
        status = ft_bpe_add_merge(&tokenizer->bpe, (int32_t)i, p->text, left, p->text + left, p->bytes - left);
    }
    ft_free(all.items);
    return status;
}

static ft_status add_specials(const ft_spm_model *m, ft_tokenizer *tokenizer)
{
    for (int32_t id = 0; id < m->n; id++) {
        int type = m->pieces[id].type;
        if ((type != FT_SPM_UNKNOWN && type != FT_SPM_CONTROL && type != FT_SPM_USER_DEFINED) || m->pieces[id].bytes == 0) continue;
        char *name = ft_strndup(m->pieces[id].text, m->pieces[id].bytes);
        FT_ALLOC_CHECK(name);
        ft_status status = ft_tokenizer_add_token(tokenizer, id, name, type != FT_SPM_USER_DEFINED, (ft_added_token){0});
        ft_free(name);
        FT_TRY(status);
    }
    ft_added_tokens_sort(&tokenizer->added);
    return FT_OK;
}

static int32_t id_or_none(const ft_spm_model *m, int32_t id)
{
    return id >= 0 && id < m->n ? id : -1;
}

static ft_status set_decoder(ft_decoder *decoder, bool strips)
{
    decoder->from = ft_strdup(FT_METASPACE);
    decoder->to = ft_strdup(" ");
    decoder->strip = strips ? ft_strdup(" ") : NULL;
    decoder->strip_most = strips;
    decoder->byte_fallback = true;
    return decoder->from && decoder->to && (!strips || decoder->strip) ? FT_OK : FT_E_NOMEM;
}

// `legacy`: a prefix space in front of every piece between special tokens, not only of the text.
ft_status ft_tokenizer_set_spm_prefix(ft_tokenizer *tokenizer, bool legacy)
{
    bool prefix = tokenizer->decoder.strip != NULL;
    ft_normalizer_free(&tokenizer->normalizer);
    tokenizer->metaspace = legacy ? FT_METASPACE_OFF : prefix ? FT_METASPACE_FIRST : FT_METASPACE_NEVER;
    if (!legacy) return FT_OK;
    if (prefix) FT_TRY(ft_normalizer_add(&tokenizer->normalizer, FT_NORMALIZE_PREPEND, NULL, FT_METASPACE));
    return ft_normalizer_add(&tokenizer->normalizer, FT_NORMALIZE_REPLACE, " ", FT_METASPACE);
}

static ft_status build(const ft_spm_model *m, ft_tokenizer *tokenizer)
{
    ft_bpe *bpe = &tokenizer->bpe;
    tokenizer->is_spm = true;
    bpe->characters = bpe->fuse_unknown = true;
    bpe->falls_back = m->byte_fallback;
    bpe->unknown = id_or_none(m, m->unk);
    FT_TRY(put_pieces(m, &tokenizer->vocab));
    FT_TRY(add_merges(m, tokenizer));
    FT_TRY(add_specials(m, tokenizer));
    FT_TRY(set_decoder(&tokenizer->decoder, m->add_prefix));
    FT_TRY(ft_tokenizer_set_spm_prefix(tokenizer, true));
    tokenizer->bos = id_or_none(m, m->bos);
    tokenizer->eos = id_or_none(m, m->eos);
    tokenizer->adds_bos = tokenizer->bos >= 0;
    return ft_tokenizer_fill_shown(tokenizer);
}

ft_status ft_tokenizer_read_spm(ft_tokenizer *tokenizer, const char *bytes, size_t n)
{
    ft_spm_model model;
    ft_status status = ft_spm_model_read(&model, bytes, n);
    if (status == FT_OK) status = build(&model, tokenizer);
    ft_spm_model_free(&model);
    return status;
}
