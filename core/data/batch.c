#include <string.h>

#include "common/memory.h"
#include "data/dataset.h"

ft_status ft_batch_alloc(ft_batch *batch, int64_t tokens)
{
    *batch = (ft_batch){.tokens = tokens};
    if (tokens > INT32_MAX) return ft_error(FT_E_USAGE, "a micro-batch of %lld tokens is too large", (long long)tokens);
    batch->ids = FT_NEW_ARRAY(int32_t, tokens);
    batch->labels = FT_NEW_ARRAY(int32_t, tokens);
    batch->positions = FT_NEW_ARRAY(int32_t, tokens);
    batch->doc_begin = FT_NEW_ARRAY(int32_t, tokens + 1);  // a document has at least one token
    if (batch->ids && batch->labels && batch->positions && batch->doc_begin) return FT_OK;
    ft_batch_free(batch);
    return FT_E_NOMEM;
}

void ft_batch_free(ft_batch *batch)
{
    ft_free(batch->ids);
    ft_free(batch->labels);
    ft_free(batch->positions);
    ft_free(batch->doc_begin);
    *batch = (ft_batch){0};
}

static void begin_document(ft_batch *batch, int64_t slot, int64_t n)
{
    batch->doc_begin[batch->n_docs++] = (int32_t)slot;
    for (int64_t i = 0; i < n; i++) batch->positions[slot + i] = (int32_t)i;
}

static void put_sample(ft_batch *batch, int64_t slot, const ft_samples *samples, int64_t sample)
{
    int64_t begin = samples->begin[sample], n = samples->begin[sample + 1] - begin;
    begin_document(batch, slot, n);
    memcpy(batch->ids + slot, samples->ids + begin, (size_t)n * sizeof *batch->ids);
    memcpy(batch->labels + slot, samples->labels + begin, (size_t)n * sizeof *batch->labels);
    batch->labels[slot] = FT_LABEL_IGNORE;  // nothing of the document comes before it
    for (int64_t i = 1; i < n; i++) batch->trainable += batch->labels[slot + i] != FT_LABEL_IGNORE;
    batch->real += n;
}

static void put_padding(ft_batch *batch, int64_t slot, int64_t n, int32_t pad_id)
{
    if (n == 0) return;
    begin_document(batch, slot, n);
    for (int64_t i = 0; i < n; i++) {
        batch->ids[slot + i] = pad_id;
        batch->labels[slot + i] = FT_LABEL_IGNORE;
    }
}

static void put_row(ft_batch *batch, int64_t slot, const ft_samples *samples, const ft_packs *packs, int64_t row,
                    int64_t sequence_len, int32_t pad_id)
{
    int64_t end = slot + sequence_len;
    int64_t first = row < packs->n_rows ? packs->row_begin[row] : 0, last = row < packs->n_rows ? packs->row_begin[row + 1] : 0;
    for (int64_t i = first; i < last; i++) {
        int64_t n = samples->begin[packs->sample[i] + 1] - samples->begin[packs->sample[i]];
        FT_ASSERT(slot + n <= end, "row %lld overflows", (long long)row);
        put_sample(batch, slot, samples, packs->sample[i]);
        slot += n;
    }
    put_padding(batch, slot, end - slot, pad_id);
}

void ft_batch_fill(ft_batch *batch, const ft_samples *samples, const ft_packs *packs, int64_t first_row, int64_t rows,
                   int64_t sequence_len, int32_t pad_id, int64_t token_base)
{
    FT_ASSERT(rows * sequence_len == batch->tokens, "a batch of %lld slots", (long long)batch->tokens);
    batch->n_docs = 0;
    batch->trainable = batch->real = 0;
    batch->token_base = token_base;
    for (int64_t row = 0; row < rows; row++) {
        put_row(batch, row * sequence_len, samples, packs, first_row + row, sequence_len, pad_id);
    }
    batch->doc_begin[batch->n_docs] = (int32_t)batch->tokens;
}
