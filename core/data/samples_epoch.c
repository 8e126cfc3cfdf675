// Which samples an epoch shows, and in which order.
#include <math.h>

#include "common/memory.h"
#include "common/rng.h"
#include "data/samples.h"

#define WEIGHT_EPOCH (UINT32_MAX - 1)  // a permutation no training epoch uses

// A dataset of m samples and weight w = k + f shows each sample k times, and round(f * m) of them once more: of one fixed order of
// its samples the stretch that begins where the epoch before stopped.
typedef struct {
    int64_t samples, seen;  // of the dataset; those met so far
    int64_t copies;         // of every sample
    int64_t first, extra;   // the stretch, in positions of the dataset's order, which goes round
} dataset_share;

typedef struct {
    const ft_samples *samples;
    dataset_share *shares;  // [n_weights]
    int64_t *mixed;         // [n] a fixed permutation of all samples
    int64_t *copies;        // [n] of each sample in the epoch
} epoch_choice;

static void measure(epoch_choice *c, uint32_t epoch)
{
    for (int64_t i = 0; i < c->samples->n; i++) c->shares[c->samples->source[i]].samples++;
    for (int32_t d = 0; d < c->samples->n_weights; d++) {
        dataset_share *share = &c->shares[d];
        double whole = floor(c->samples->weights[d]);
        share->copies = (int64_t)whole;
        share->extra = llround((c->samples->weights[d] - whole) * (double)share->samples);
        if (share->samples > 0) share->first = (int64_t)((uint64_t)epoch * (uint64_t)share->extra % (uint64_t)share->samples);
    }
}

static int64_t choose(epoch_choice *c, bool shuffle, uint64_t seed)
{
    int64_t total = 0;
    for (int64_t i = 0; i < c->samples->n; i++) c->mixed[i] = i;
    if (shuffle) ft_rng_permutation(c->mixed, c->samples->n, seed, WEIGHT_EPOCH);
    for (int64_t i = 0; i < c->samples->n; i++) {
        int64_t sample = c->mixed[i];
        dataset_share *share = &c->shares[c->samples->source[sample]];
        int64_t past = (share->seen++ - share->first + share->samples) % share->samples;
        c->copies[sample] = share->copies + (past < share->extra);
        total += c->copies[sample];
    }
    return total;
}

static ft_status list_choice(const epoch_choice *c, int64_t total, int64_t **order)
{
    int64_t at = 0;
    *order = FT_NEW_ARRAY(int64_t, total);
    FT_ALLOC_CHECK(*order);
    for (int64_t i = 0; i < c->samples->n; i++) {
        for (int64_t k = 0; k < c->copies[i]; k++) (*order)[at++] = i;
    }
    return FT_OK;
}

static ft_status weighted(const ft_samples *samples, bool shuffle, uint64_t seed, uint32_t epoch, int64_t **order, int64_t *n)
{
    epoch_choice c = {.samples = samples};
    ft_status status = FT_E_NOMEM;
    c.shares = FT_NEW_ARRAY(dataset_share, samples->n_weights);
    c.mixed = FT_NEW_ARRAY(int64_t, samples->n);
    c.copies = FT_NEW_ARRAY(int64_t, samples->n);
    if (c.shares && c.mixed && c.copies) {
        measure(&c, epoch);
        *n = choose(&c, shuffle, seed);
        status = *n > 0 ? list_choice(&c, *n, order) : ft_error(FT_E_INPUT, "the weights of the datasets leave no sample for an epoch");
    }
    ft_free(c.shares);
    ft_free(c.mixed);
    ft_free(c.copies);
    return status;
}

// `place` of the listed samples is shuffled, so that equal ones part.
static ft_status mix(int64_t *order, int64_t n, uint64_t seed, uint32_t epoch)
{
    int64_t *place = FT_NEW_ARRAY(int64_t, n), *listed = FT_NEW_ARRAY(int64_t, n);
    bool there = place != NULL && listed != NULL;
    if (there) {
        ft_rng_permutation(place, n, seed, epoch);
        for (int64_t i = 0; i < n; i++) listed[i] = order[i];
        for (int64_t i = 0; i < n; i++) order[i] = listed[place[i]];
    }
    ft_free(place);
    ft_free(listed);
    return there ? FT_OK : FT_E_NOMEM;
}

ft_status ft_epoch_order(const ft_samples *samples, bool shuffle, uint64_t seed, uint32_t epoch, int64_t **order, int64_t *n)
{
    *order = NULL;
    if (samples->weights != NULL) {
        FT_TRY(weighted(samples, shuffle, seed, epoch, order, n));
        return shuffle ? mix(*order, *n, seed, epoch) : FT_OK;
    }
    *n = samples->n;
    *order = FT_NEW_ARRAY(int64_t, samples->n);
    FT_ALLOC_CHECK(*order);
    for (int64_t i = 0; i < samples->n; i++) (*order)[i] = i;
    if (shuffle) ft_rng_permutation(*order, samples->n, seed, epoch);
    return FT_OK;
}
