// Dropout by counter. The mask is never stored: forward and backward make it again from (seed, step, layer, group, token,
// feature).
//
// The numbers are those of ft_rng (Philox4x32-10, common/rng.h), here for FT_LANES counters at a time: consecutive counters are
// consecutive fours of features.
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vector.h"

enum { SPAN = 4 * FT_LANES };  // features per turn

typedef struct {
    float *dst;
    const float *src;
    int64_t dst_ld, src_ld, cols;
    const ft_dropout *dropout;
    bool accumulate;
} dropout_job;

typedef struct {
    uint32_t word[4][FT_LANES];
} counters;

FT_VECTOR_INLINE void philox(counters *c, uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < FT_LANES; l++) {
            uint64_t product0 = (uint64_t)0xD2511F53u * c->word[0][l];
            uint64_t product1 = (uint64_t)0xCD9E8D57u * c->word[2][l];
            c->word[0][l] = (uint32_t)(product1 >> 32) ^ c->word[1][l] ^ key0;
            c->word[1][l] = (uint32_t)product1;
            c->word[2][l] = (uint32_t)(product0 >> 32) ^ c->word[3][l] ^ key1;
            c->word[3][l] = (uint32_t)product0;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

// Factors of features [first, first + SPAN) of a token: 1/(1-p) where kept, else 0.
FT_VECTOR_INLINE void factors(float factor[SPAN], const ft_dropout *d, uint32_t token, int64_t first)
{
    counters c;
    for (int l = 0; l < FT_LANES; l++) {
        c.word[0][l] = d->step;
        c.word[1][l] = d->layer << 8 | d->group;
        c.word[2][l] = token;
        c.word[3][l] = (uint32_t)(first / 4 + l);
    }
    philox(&c, (uint32_t)d->seed, (uint32_t)(d->seed >> 32) ^ (uint32_t)FT_RNG_DROPOUT << 24);
    float kept = 1.0f / (1.0f - d->p);
    for (int l = 0; l < FT_LANES; l++) {
        for (int i = 0; i < 4; i++) factor[4 * l + i] = (float)(int32_t)(c.word[i][l] >> 8) * 0x1p-24f >= d->p ? kept : 0.0f;
    }
}

FT_VECTOR static void drop_row(float *dst, const float *src, int64_t n, const ft_dropout *d, uint32_t token, bool accumulate)
{
    float factor[SPAN];
    for (int64_t first = 0; first < n; first += SPAN) {
        int64_t left = n - first < SPAN ? n - first : SPAN;
        factors(factor, d, token, first);
        if (accumulate) {
            for (int64_t i = 0; i < left; i++) dst[first + i] += src[first + i] * factor[i];
        } else {
            for (int64_t i = 0; i < left; i++) dst[first + i] = src[first + i] * factor[i];
        }
    }
}

static void drop_rows(void *context, int64_t begin, int64_t end)
{
    const dropout_job *job = context;
    for (int64_t row = begin; row < end; row++) {
        drop_row(job->dst + row * job->dst_ld, job->src + row * job->src_ld, job->cols, job->dropout,
                 job->dropout->token_base + (uint32_t)row, job->accumulate);
    }
}

void ft_cpu_dropout(float *dst, int64_t dst_ld, const float *src, int64_t src_ld, int64_t rows, int64_t cols,
                    const ft_dropout *dropout, bool accumulate)
{
    dropout_job job = {dst, src, dst_ld, src_ld, cols, dropout, accumulate};
    ft_parallel_for(rows, ft_cpu_grain(cols), drop_rows, &job);
}
