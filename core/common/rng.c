#include "common/rng.h"

#include <math.h>

// Multipliers and Weyl key increments of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 4.
enum { PHILOX_ROUNDS = 10 };
static const uint32_t philox_m0 = 0xD2511F53, philox_m1 = 0xCD9E8D57;
static const uint32_t philox_w0 = 0x9E3779B9, philox_w1 = 0xBB67AE85;

static ft_rng_block philox_round(ft_rng_block in, uint32_t key0, uint32_t key1)
{
    uint64_t product0 = (uint64_t)philox_m0 * in.word[0];
    uint64_t product1 = (uint64_t)philox_m1 * in.word[2];
    return (ft_rng_block){{
        (uint32_t)(product1 >> 32) ^ in.word[1] ^ key0,
        (uint32_t)product1,
        (uint32_t)(product0 >> 32) ^ in.word[3] ^ key1,
        (uint32_t)product0,
    }};
}

ft_rng_block ft_rng(uint64_t seed, ft_rng_stream stream, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    uint32_t key0 = (uint32_t)seed;
    uint32_t key1 = (uint32_t)(seed >> 32) ^ (uint32_t)stream << 24;
    ft_rng_block block = {{c0, c1, c2, c3}};
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        block = philox_round(block, key0, key1);
        key0 += philox_w0;
        key1 += philox_w1;
    }
    return block;
}

void ft_rng_normal(uint32_t a, uint32_t b, float out[2])
{
    double radius = sqrt(-2.0 * log(((double)a + 1.0) * 0x1p-32));
    double angle = 2.0 * M_PI * ((double)b * 0x1p-32);
    out[0] = (float)(radius * cos(angle));
    out[1] = (float)(radius * sin(angle));
}

void ft_rng_permutation(int64_t *order, int64_t n, uint64_t seed, uint32_t epoch)
{
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        ft_rng_block block = ft_rng(seed, FT_RNG_SHUFFLE, epoch, (uint32_t)i, (uint32_t)((uint64_t)i >> 32), 0);
        uint64_t random = (uint64_t)block.word[1] << 32 | block.word[0];
        // Multiply-high instead of a remainder: the bias is below n / 2^64.
        int64_t j = (int64_t)((unsigned __int128)random * (uint64_t)(i + 1) >> 64);
        int64_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
