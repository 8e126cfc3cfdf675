#include "data/samples.h"

#include <string.h>

#include "common/memory.h"
#include "common/rng.h"

#define EVAL_SPLIT_EPOCH UINT32_MAX  // a permutation no training epoch uses

// `array` is the address of a pointer of any type.
static ft_status grow(void *array, int64_t count, size_t element)
{
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = ft_realloc(old, (size_t)count * element);
    FT_ALLOC_CHECK(grown);
    memcpy(array, &grown, sizeof grown);
    return FT_OK;
}

static int64_t next_capacity(int64_t capacity, int64_t needed)
{
    if (capacity < 1024) capacity = 1024;
    while (capacity < needed) capacity += capacity / 2;
    return capacity;
}

static ft_status reserve(ft_samples *samples, int64_t tokens)
{
    if (samples->tokens + tokens > samples->tokens_capacity) {
        int64_t capacity = next_capacity(samples->tokens_capacity, samples->tokens + tokens);
        FT_TRY(grow(&samples->ids, capacity, sizeof *samples->ids));
        FT_TRY(grow(&samples->labels, capacity, sizeof *samples->labels));
        samples->tokens_capacity = capacity;
    }
    if (samples->n + 1 > samples->capacity) {
        int64_t capacity = next_capacity(samples->capacity, samples->n + 1);
        FT_TRY(grow(&samples->begin, capacity + 1, sizeof *samples->begin));
        FT_TRY(grow(&samples->source, capacity, sizeof *samples->source));
        samples->capacity = capacity;
    }
    return FT_OK;
}

ft_status ft_samples_add(ft_samples *samples, const int32_t *ids, const int32_t *labels, int64_t n, int32_t source)
{
    FT_TRY(reserve(samples, n));
    memcpy(samples->ids + samples->tokens, ids, (size_t)n * sizeof *ids);
    memcpy(samples->labels + samples->tokens, labels ? labels : ids, (size_t)n * sizeof *ids);
    samples->begin[0] = 0;
    samples->source[samples->n] = source;
    samples->tokens += n;
    samples->n++;
    samples->begin[samples->n] = samples->tokens;
    return FT_OK;
}

// Moves sample `from` to the end of the first `kept` samples, in place. begin[from] has not been overwritten: kept <= from.
static void keep(ft_samples *samples, int64_t kept, int64_t from, int64_t begin, int64_t n)
{
    int64_t to = samples->begin[kept];
    memmove(samples->ids + to, samples->ids + begin, (size_t)n * sizeof *samples->ids);
    memmove(samples->labels + to, samples->labels + begin, (size_t)n * sizeof *samples->labels);
    samples->source[kept] = samples->source[from];
    samples->begin[kept + 1] = to + n;
}

static ft_status move_marked(ft_samples *samples, ft_samples *other, const bool *marked)
{
    int64_t kept = 0, begin = 0;
    for (int64_t i = 0; i < samples->n; i++) {
        int64_t end = samples->begin[i + 1], n = end - begin;
        if (marked[i]) FT_TRY(ft_samples_add(other, samples->ids + begin, samples->labels + begin, n, samples->source[i]));
        else keep(samples, kept++, i, begin, n);
        begin = end;
    }
    samples->n = kept;
    samples->tokens = samples->begin[kept];
    return FT_OK;
}

ft_status ft_samples_move(ft_samples *samples, ft_samples *other, int64_t count, uint64_t seed)
{
    if (samples->n == 0 || count == 0) return FT_OK;
    ft_status status = FT_E_NOMEM;
    int64_t *order = FT_NEW_ARRAY(int64_t, samples->n);
    bool *marked = FT_NEW_ARRAY(bool, samples->n);
    if (order == NULL || marked == NULL) goto out;
    ft_rng_permutation(order, samples->n, seed, EVAL_SPLIT_EPOCH);
    for (int64_t i = 0; i < count && i < samples->n; i++) marked[order[i]] = true;
    status = move_marked(samples, other, marked);
out:
    ft_free(order);
    ft_free(marked);
    return status;
}

int64_t ft_labels_trainable(const int32_t *labels, int64_t n)
{
    int64_t trainable = 0;
    for (int64_t i = 1; i < n; i++) trainable += labels[i] != FT_LABEL_IGNORE;
    return trainable;
}

void ft_samples_free(ft_samples *samples)
{
    ft_free(samples->ids);
    ft_free(samples->labels);
    ft_free(samples->begin);
    ft_free(samples->source);
    ft_free(samples->weights);
    *samples = (ft_samples){0};
}
