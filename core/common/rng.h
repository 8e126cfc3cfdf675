// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11). A number is a pure function of its key and counter, so
// recompute, resume and any placement give the same mask or initial value. Key = (seed, stream); counter = up to 128 bits.
// Philox key words: low half of the seed, high half of the seed ^ stream << 24; streams of seeds below 2^56 never meet.
//
// Counter layout of the trainer (design section 6): step, layer, module, token index in the optimizer step, feature.
#ifndef FT_COMMON_RNG_H
#define FT_COMMON_RNG_H

#include "common/status.h"

typedef enum {
    FT_RNG_INIT = 1,     // adapter initialisation: (module index, element / 4)
    FT_RNG_DROPOUT = 2,  // (step, layer << 8 | module, token, feature / 4)
    FT_RNG_SHUFFLE = 3,  // (epoch, position)
    FT_RNG_SAMPLE = 4,   // generation: (sequence, position)
    FT_RNG_DATA = 5,     // random weights and synthetic data of tests and benchmarks
} ft_rng_stream;

typedef struct {
    uint32_t word[4];
} ft_rng_block;

ft_rng_block ft_rng(uint64_t seed, ft_rng_stream stream, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3);
static inline float ft_rng_uniform(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }  // [0, 1)
// Two standard normals from two words: Box-Muller in double, radius from (a + 1) * 2^-32, angle from b * 2^-32.
void ft_rng_normal(uint32_t a, uint32_t b, float out[2]);
// Fisher-Yates permutation of 0..n-1: for i = n-1..1 swap with floor(r * (i+1) / 2^64), r = words 1:0 of counter
// (epoch, i low, i high, 0) of stream FT_RNG_SHUFFLE.
void ft_rng_permutation(int64_t *order, int64_t n, uint64_t seed, uint32_t epoch);

#endif
