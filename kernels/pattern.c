#include "kernels/pattern.h"

#include "common/rng.h"

void ft_pattern_random(void *pattern, ft_repr repr)
{
    int64_t n = FT_PATTERN_BYTES / ft_repr_bytes(repr);
    float normal[4];
    for (int64_t i = 0; i < n; i += 4) {
        ft_rng_block block = ft_rng(1, FT_RNG_DATA, (uint32_t)(i / 4), 0, 0, 0);
        ft_rng_normal(block.word[0], block.word[1], normal);
        ft_rng_normal(block.word[2], block.word[3], normal + 2);
        for (int k = 0; k < 4; k++) {
            if (repr == FT_REPR_F32) ((float *)pattern)[i + k] = normal[k];
            else if (repr == FT_REPR_BF16) ((ft_bf16 *)pattern)[i + k] = ft_f32_to_bf16(normal[k]);
            else ((ft_e4m3 *)pattern)[i + k] = ft_f32_to_e4m3(64 * normal[k]);
        }
    }
}

void ft_pattern_constant(float *pattern, float value)
{
    for (int64_t i = 0; i < FT_PATTERN_BYTES / 4; i++) pattern[i] = value;
}

// In doubling steps.
ft_status ft_pattern_spread(ft_queue *queue, void *memory, int64_t bytes, const void *pattern)
{
    char *to = memory;
    int64_t done = bytes < FT_PATTERN_BYTES ? bytes : FT_PATTERN_BYTES;
    FT_TRY(ft_copy_h2d(queue, to, pattern, done));
    for (; done < bytes; done *= 2) FT_TRY(ft_copy_d2d(queue, to + done, to, bytes - done < done ? bytes - done : done));
    return ft_queue_sync(queue);
}
