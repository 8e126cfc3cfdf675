// Choosing the next token from logits.
#ifndef FT_MODEL_SAMPLE_H
#define FT_MODEL_SAMPLE_H

#include "common/status.h"

typedef struct {
    double weight;
    int32_t id;
} ft_candidate;

typedef struct {
    double temperature;  // 0 = the largest logit, the lowest id among equals
    double top_p;        // in (0, 1]: only the smallest set of likeliest tokens that holds this much probability; 1 = all
    uint64_t seed;
} ft_sampling;

// FT_E_USAGE if temperature or top_p is out of range.
ft_status ft_sampling_check(const ft_sampling *sampling);
// The token that follows `position` tokens: a pure function of logits, sampling and position (stream FT_RNG_SAMPLE). work has
// room for `vocab` candidates. FT_E_NUMERIC if a logit is NaN or +Inf, or all are -Inf.
ft_status ft_sample(const ft_sampling *sampling, const float *logits, int64_t vocab, int64_t position, ft_candidate *work, int32_t *id);

#endif
