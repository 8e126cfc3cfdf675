#include "tokenizer/bpe.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "common/utf8.h"
#include "tokenizer/word_cache.h"

#define SHORT_WORD 64  // symbols up to which the linear scan wins over the heap

// Every unit must have tokens: one that vanishes lets its neighbours meet, and unknown ones may fuse.
static bool may_cut(const ft_bpe *bpe)
{
    bool all = bpe->falls_back;
    for (int byte = 0; byte < 256; byte++) all &= bpe->fallback_id[byte] >= 0;
    return bpe->characters && !bpe->ignore_merges && all;
}

ft_status ft_bpe_init(ft_bpe *bpe, const ft_vocab *vocab, size_t n_merges)
{
    size_t slots = 16;
    while (slots < 2 * n_merges) slots *= 2;
    bpe->merges = ft_malloc(slots * sizeof *bpe->merges);
    FT_ALLOC_CHECK(bpe->merges);
    for (size_t i = 0; i < slots; i++) bpe->merges[i] = (ft_merge){.rank = -1};
    bpe->merges_mask = slots - 1;
    bpe->vocab = vocab;
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        bpe->byte_id[byte] = ft_vocab_find(vocab, &text, 1);
        char name[8];
        int n = snprintf(name, sizeof name, "<0x%02X>", byte);
        bpe->fallback_id[byte] = ft_vocab_find(vocab, name, (size_t)n);
    }
    bpe->cuts = may_cut(bpe);
    return FT_OK;
}

void ft_bpe_free(ft_bpe *bpe)
{
    ft_free(bpe->merges);
    bpe->merges = NULL;
}

static ft_status unknown_part(int32_t rank, const char *bytes, size_t n)
{
    return ft_error(FT_E_INPUT, "merge %d needs the token '%.*s', which is not in the vocabulary", rank, (int)n, bytes);
}

static int32_t find_concatenation(const ft_vocab *vocab, const char *left, size_t left_bytes, const char *right,
                                  size_t right_bytes)
{
    char joined[1024];
    if (left_bytes + right_bytes > sizeof joined) return -1;
    memcpy(joined, left, left_bytes);
    memcpy(joined + left_bytes, right, right_bytes);
    return ft_vocab_find(vocab, joined, left_bytes + right_bytes);
}

bool ft_bpe_is_substitute(const ft_bpe *bpe, int32_t id)
{
    const ft_token *token = &bpe->vocab->tokens[id];
    return id == bpe->unknown || (bpe->falls_back && token->bytes == 6 && memcmp(bpe->vocab->pool + token->offset, "<0x", 3) == 0);
}

static void note_join(ft_bpe *bpe, int32_t left, int32_t right)
{
    size_t n, ignored;
    const char *a = ft_vocab_bytes(bpe->vocab, left, &n), *b = ft_vocab_bytes(bpe->vocab, right, &ignored);
    uint8_t last = (uint8_t)a[n - 1], first = (uint8_t)b[0];
    bpe->joins[last][first >> 5] |= 1u << (first & 31);
    if (ft_bpe_is_substitute(bpe, left) || ft_bpe_is_substitute(bpe, right)) bpe->cuts = false;
}

ft_status ft_bpe_add_merge(ft_bpe *bpe, int32_t rank, const char *left, size_t left_bytes, const char *right,
                           size_t right_bytes)
{
    if (left_bytes == 0 || right_bytes == 0) return ft_error(FT_E_INPUT, "merge %d has an empty part", rank);
    int32_t a = ft_vocab_find(bpe->vocab, left, left_bytes);
    int32_t b = ft_vocab_find(bpe->vocab, right, right_bytes);
    int32_t id = find_concatenation(bpe->vocab, left, left_bytes, right, right_bytes);
    if (a < 0) return unknown_part(rank, left, left_bytes);
    if (b < 0) return unknown_part(rank, right, right_bytes);
    if (id < 0) return ft_error(FT_E_INPUT, "what merge %d makes is not in the vocabulary", rank);
    ft_merge *merge = (ft_merge *)ft_merge_find(bpe, a, b);
    if (merge == NULL) {
        size_t slot = (ft_merge_pair(a, b) * 0x9E3779B97F4A7C15u >> 24) & bpe->merges_mask;
        while (bpe->merges[slot].rank >= 0) slot = (slot + 1) & bpe->merges_mask;
        merge = &bpe->merges[slot];
    }
    if (bpe->cuts) note_join(bpe, a, b);
    *merge = (ft_merge){.pair = ft_merge_pair(a, b), .rank = rank, .id = id};  // the last of repeated merges counts
    return FT_OK;
}

ft_status ft_bpe_work_init(ft_bpe_work *work)
{
    *work = (ft_bpe_work){0};
    return ft_word_cache_new(&work->cache);
}

void ft_bpe_work_free(ft_bpe_work *work)
{
    ft_word_cache_free(work->cache);
    ft_ids_free(&work->word);
    ft_free(work->symbols);
    ft_free(work->heap);
    *work = (ft_bpe_work){0};
}

size_t ft_bpe_unit(const ft_bpe *bpe, const char *text, size_t bytes, int32_t *id)
{
    if (!bpe->characters) return *id = bpe->byte_id[(uint8_t)text[0]], 1;
    size_t n = ft_utf8_char(text, bytes);
    *id = n > 0 ? ft_vocab_find(bpe->vocab, text, n) : -1;
    return n > 0 ? n : 1;
}

bool ft_bpe_falls_back(const ft_bpe *bpe, const char *unit, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (bpe->fallback_id[(uint8_t)unit[i]] < 0) return false;
    }
    return bpe->falls_back;
}

static ft_status reserve(ft_ids *ids, size_t n)
{
    if ((size_t)ids->capacity >= n) return FT_OK;
    int32_t *items = ft_realloc(ids->items, n * sizeof *items);
    FT_ALLOC_CHECK(items);
    ids->items = items;
    ids->capacity = (int64_t)n;
    return FT_OK;
}

// The word as tokens of its units, no more than it has bytes. As in the reference, bytes fallen back to stand before an unknown
// that is still open.
static ft_status start_from_units(const ft_bpe *bpe, ft_bpe_work *work, const char *word, size_t bytes)
{
    FT_TRY(reserve(&work->word, bytes));
    int32_t *out = work->word.items, id;
    bool open = false;  // an unknown token is to be written
    size_t n;
    for (size_t i = 0; i < bytes; i += n) {
        n = ft_bpe_unit(bpe, word + i, bytes - i, &id);
        if (id >= 0) {
            if (open) *out++ = bpe->unknown;
            open = false;
            *out++ = id;
        } else if (ft_bpe_falls_back(bpe, word + i, n)) {
            for (size_t k = 0; k < n; k++) *out++ = bpe->fallback_id[(uint8_t)word[i + k]];
        } else if (bpe->unknown >= 0) {
            if (open && !bpe->fuse_unknown) *out++ = bpe->unknown;
            open = true;
        }
    }
    if (open) *out++ = bpe->unknown;
    work->word.n = out - work->word.items;
    return FT_OK;
}

static int32_t pair_rank(const ft_bpe *bpe, const int32_t *ids, int i, int n)
{
    if (i < 0 || i + 1 >= n) return INT_MAX;
    const ft_merge *merge = ft_merge_find(bpe, ids[i], ids[i + 1]);
    return merge ? merge->rank : INT_MAX;
}

static int lowest(const int32_t *ranks, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++) {
        if (ranks[i] < ranks[best]) best = i;
    }
    return best;
}

// ranks[i] belongs to the pair (i, i + 1); only the two pairs around a merge change.
static void merge_short(const ft_bpe *bpe, ft_ids *word)
{
    int32_t ranks[SHORT_WORD];
    int32_t *ids = word->items;
    int n = (int)word->n;
    for (int i = 0; i < n; i++) ranks[i] = pair_rank(bpe, ids, i, n);
    while (n > 1) {
        int i = lowest(ranks, n - 1);
        if (ranks[i] == INT_MAX) break;
        ids[i] = ft_merge_find(bpe, ids[i], ids[i + 1])->id;
        memmove(ids + i + 1, ids + i + 2, (size_t)(n - i - 2) * sizeof *ids);
        memmove(ranks + i + 1, ranks + i + 2, (size_t)(n - i - 2) * sizeof *ranks);
        n--;
        if (i > 0) ranks[i - 1] = pair_rank(bpe, ids, i - 1, n);
        ranks[i] = pair_rank(bpe, ids, i, n);
    }
    word->n = n;
}

static ft_status merge_word(const ft_bpe *bpe, ft_bpe_work *work, const char *word, size_t bytes)
{
    work->word.n = 0;
    if (bpe->ignore_merges) {
        int32_t id = ft_vocab_find(bpe->vocab, word, bytes);
        if (id >= 0) return ft_ids_add(&work->word, &id, 1);
    }
    FT_TRY(start_from_units(bpe, work, word, bytes));
    if (work->word.n > SHORT_WORD) return ft_bpe_merge_long(bpe, work);
    merge_short(bpe, &work->word);
    return FT_OK;
}

ft_status ft_bpe_encode(const ft_bpe *bpe, ft_bpe_work *work, const char *word, size_t bytes, ft_ids *ids)
{
    int n;
    const int32_t *cached = ft_word_cache_find(work->cache, word, bytes, &n);
    if (cached != NULL) return ft_ids_add(ids, cached, n);
    FT_TRY(merge_word(bpe, work, word, bytes));
    ft_word_cache_put(work->cache, word, bytes, work->word.items, work->word.n);
    return ft_ids_add(ids, work->word.items, work->word.n);
}
