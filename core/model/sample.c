#include "model/sample.h"

#include <math.h>
#include <stdlib.h>

#include "common/rng.h"

ft_status ft_sampling_check(const ft_sampling *sampling)
{
    if (!(sampling->temperature >= 0) || isinf(sampling->temperature))
        return ft_error(FT_E_USAGE, "temperature %g: must be 0 (greedy) or positive", sampling->temperature);
    if (!(sampling->top_p > 0) || sampling->top_p > 1)
        return ft_error(FT_E_USAGE, "top_p %g: must be above 0 and at most 1", sampling->top_p);
    return FT_OK;
}

static ft_status largest(const float *logits, int64_t vocab, int64_t *best)
{
    *best = 0;
    for (int64_t i = 0; i < vocab; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return ft_error(FT_E_NUMERIC, "the logit of token %lld is not a number: adapter or weights are broken", (long long)i);
        if (logits[i] > logits[*best]) *best = i;
    }
    return isinf(logits[*best]) ? ft_error(FT_E_NUMERIC, "every logit is -Inf: adapter or weights are broken") : FT_OK;
}

static int likeliest_first(const void *a, const void *b)
{
    const ft_candidate *left = a, *right = b;
    if (left->weight != right->weight) return left->weight > right->weight ? -1 : 1;
    return left->id - right->id;
}

// Keeps the likeliest candidates that hold top_p of the total; returns their number.
static int64_t nucleus(ft_candidate *work, int64_t n, double top_p, double *total)
{
    double held = 0, wanted = top_p * *total;
    int64_t kept = 0;
    qsort(work, (size_t)n, sizeof *work, likeliest_first);
    while (kept < n && held < wanted) held += work[kept++].weight;
    *total = held;
    return kept;
}

// [0, 1) with 53 bits: a vocabulary has tokens less likely than a float's last bit.
static double uniform(uint64_t seed, int64_t position)
{
    ft_rng_block block = ft_rng(seed, FT_RNG_SAMPLE, 0, (uint32_t)position, (uint32_t)(position >> 32), 0);
    return (double)(((uint64_t)block.word[0] << 32 | block.word[1]) >> 11) * 0x1p-53;
}

ft_status ft_sample(const ft_sampling *sampling, const float *logits, int64_t vocab, int64_t position, ft_candidate *work, int32_t *id)
{
    int64_t best, n = vocab;
    double total = 0;
    FT_TRY(largest(logits, vocab, &best));
    *id = (int32_t)best;
    if (sampling->temperature == 0) return FT_OK;
    for (int64_t i = 0; i < vocab; i++) {
        work[i] = (ft_candidate){exp(((double)logits[i] - logits[best]) / sampling->temperature), (int32_t)i};
        total += work[i].weight;
    }
    if (sampling->top_p < 1) n = nucleus(work, vocab, sampling->top_p, &total);
    double point = uniform(sampling->seed, position) * total;
    // Rounding may leave the point past the last weight: then the last candidate with one is taken.
    for (int64_t i = 0; i < n && point >= 0; i++) {
        if (work[i].weight > 0) *id = work[i].id;
        point -= work[i].weight;
    }
    return FT_OK;
}
