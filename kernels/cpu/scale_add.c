// y += factor x, or y = factor x.
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vector.h"

typedef struct {
    float *y;
    const float *x;
    float factor;
    bool overwrite;
} scale_job;

FT_VECTOR static void scale(float *y, const float *x, float factor, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * factor;
}

FT_VECTOR static void add_scaled(float *y, const float *x, float factor, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) y[i] += x[i] * factor;
}

static void run(void *context, int64_t begin, int64_t end)
{
    const scale_job *job = context;
    if (job->overwrite) scale(job->y + begin, job->x + begin, job->factor, end - begin);
    else add_scaled(job->y + begin, job->x + begin, job->factor, end - begin);
}

ft_status ft_cpu_scale_add(ft_queue *queue, float *y, const float *x, float factor, int64_t n, bool overwrite)
{
    ft_cpu_check(queue);
    scale_job job = {y, x, factor, overwrite};
    ft_parallel_for(n, 16384, run, &job);
    return FT_OK;
}
