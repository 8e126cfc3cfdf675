// The gradient norm and what follows from it: squares in blocks of fixed size in fixed lanes, then the blocks in ascending order.
#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vector.h"

enum { BLOCK = 4096 };

typedef struct {
    const float *x;
    double *partial;  // one per block
    int64_t n;
} squares_job;

FT_VECTOR static double block_sum(const float *x, int64_t n)
{
    double lane[FT_LANES] = {0};
    int64_t i = 0;
    for (; i + FT_LANES <= n; i += FT_LANES) {
        for (int l = 0; l < FT_LANES; l++) lane[l] += (double)x[i + l] * (double)x[i + l];
    }
    for (; i < n; i++) lane[i % FT_LANES] += (double)x[i] * (double)x[i];
    for (int width = FT_LANES / 2; width > 0; width /= 2) {
        for (int l = 0; l < width; l++) lane[l] += lane[l + width];
    }
    return lane[0];
}

static void sum_blocks(void *context, int64_t begin, int64_t end)
{
    const squares_job *job = context;
    for (int64_t block = begin; block < end; block++) {
        int64_t left = job->n - block * BLOCK;
        job->partial[block] = block_sum(job->x + block * BLOCK, left < BLOCK ? left : BLOCK);
    }
}

static int64_t block_count(int64_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

int64_t ft_cpu_clip_workspace(const ft_op_shape *shape)
{
    return (int64_t)ft_arena_round((size_t)block_count(shape->n) * sizeof(double));
}

// The square of a finite float32 is finite in double, so the sum is finite exactly if every value is.
ft_status ft_cpu_clip(ft_queue *queue, ft_clip *clip, const float *x, int64_t n, double max_norm, void *workspace,
                      int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    ft_arena arena;
    ft_arena_init(&arena, "clip", workspace, (size_t)workspace_bytes);
    squares_job job = {x, ft_arena_take(&arena, (size_t)block_count(n) * sizeof(double)), n};
    ft_parallel_for(block_count(n), 4, sum_blocks, &job);
    double sum = 0, factor = 1;
    for (int64_t block = 0; block < block_count(n); block++) sum += job.partial[block];
    if (max_norm > 0) factor = fmin(1, max_norm / (sqrt(sum) + 1e-6));
    *clip = (ft_clip){.sum_squares = sum, .finite = isfinite(sum) ? 1 : 0, .factor = (float)factor};
    return FT_OK;
}
