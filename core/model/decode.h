// Generation: a KV cache, prompts of any length up to the plan's sequence_len, one sequence at a time, weights through the
// same streamer (forward-only sweeps).
#ifndef FT_MODEL_DECODE_H
#define FT_MODEL_DECODE_H

#include "model/model.h"

typedef struct {
    int64_t max_new_tokens;
    double temperature;       // 0 = greedy
    double top_p;             // 1 = off
    uint64_t seed;
    const int32_t *stop_ids;  // generation ends after one of these
    int n_stop;
    // Called for each new token; non-zero stops.
    int (*on_token)(void *context, int32_t id);
    void *context;
} ft_generate_options;

// Writes the new tokens to out (room for max_new_tokens), a stop id included; *n_out were made, also on failure. Ends early where
// the sequence_len is full. The same seed, prompt and options give the same tokens. FT_E_INPUT: prompt too long, or an id outside
// the vocabulary. FT_E_NUMERIC: logits that are not numbers.
ft_status ft_generate(ft_model *model, const int32_t *prompt, int64_t n_prompt, const ft_generate_options *options, int32_t *out,
                      int64_t *n_out);
// Bytes of the KV cache for `length` positions, in device memory of its own beside the plan's
// (ft_session_options.generates leaves it room).
int64_t ft_generate_cache_bytes(const ft_shape *shape, int64_t length, ft_repr repr);

#endif
