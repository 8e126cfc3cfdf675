// Growing, splitting and counting ft_samples.
#ifndef FT_DATA_SAMPLES_H
#define FT_DATA_SAMPLES_H

#include "data/dataset.h"

// Appends one sample (copied). labels NULL: the ids themselves.
ft_status ft_samples_add(ft_samples *samples, const int32_t *ids, const int32_t *labels, int64_t n, int32_t source);
// Moves `count` samples, chosen by `seed`, from `samples` to the end of `other`; both keep their order.
ft_status ft_samples_move(ft_samples *samples, ft_samples *other, int64_t count, uint64_t seed);
// The samples of an epoch in its order, as the weights say (dataset.h, ft_pack); *order is heap with *n indices.
ft_status ft_epoch_order(const ft_samples *samples, bool shuffle, uint64_t seed, uint32_t epoch, int64_t **order, int64_t *n);
// Labels of a sample that count: all but FT_LABEL_IGNORE, and never the first.
int64_t ft_labels_trainable(const int32_t *labels, int64_t n);

// 0 of nothing.
static inline double ft_percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static inline int64_t ft_sample_length(const ft_samples *samples, int64_t i)
{
    return samples->begin[i + 1] - samples->begin[i];
}

#endif
