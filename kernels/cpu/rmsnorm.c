// RMSNorm (Zhang & Sennrich 2019) with the residual addition in front, and its gradient. x * rstd is rounded before the weight
// multiplies it, as in HF's LlamaRMSNorm.
#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/rmsnorm.h"
#include "kernels/cpu/vector.h"

// One call. Pointers are row 0; a pointer that is NULL is a part that was not asked for.
typedef struct {
    ft_view y, sum, x, residual, dx, dres, dy;
    float *rstd_out;
    const float *rstd, *weight;
    float eps;
} norm_job;

static float *row_of(ft_view view, int64_t row)
{
    return view.data != NULL ? (float *)view.data + row * view.ld : NULL;
}

FT_VECTOR static void add(float *sum, const float *x, const float *residual, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) sum[i] = x[i] + residual[i];
}

FT_VECTOR float ft_norm_inverse_rms(const float *x, int64_t n, float eps)
{
    return 1.0f / sqrtf(ft_dot(x, x, n) / (float)n + eps);
}

FT_VECTOR void ft_norm_apply(float *y, const float *x, const float *weight, int64_t n, float rstd)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * rstd * weight[i];
}

static void forward_rows(void *context, int64_t begin, int64_t end)
{
    const norm_job *job = context;
    int64_t n = job->x.cols;
    for (int64_t row = begin; row < end; row++) {
        const float *h = row_of(job->x, row);
        if (job->residual.data != NULL) {
            float *sum = row_of(job->sum, row);
            add(sum, h, row_of(job->residual, row), n);
            h = sum;
        }
        job->rstd_out[row] = ft_norm_inverse_rms(h, n, job->eps);
        if (job->y.data != NULL) ft_norm_apply(row_of(job->y, row), h, job->weight, n, job->rstd_out[row]);
    }
}

ft_status ft_cpu_rmsnorm_forward(ft_queue *queue, ft_view y, ft_view sum_out, float *rstd, ft_view x, ft_view residual,
                                 const float *weight, float eps)
{
    ft_cpu_check(queue);
    ft_cpu_data(x);
    FT_ASSERT(residual.data == NULL || sum_out.data != NULL, "a residual needs a place for the sum");
    norm_job job = {.y = y, .sum = sum_out, .x = x, .residual = residual, .rstd_out = rstd, .weight = weight, .eps = eps};
    ft_parallel_for(x.rows, ft_cpu_grain(x.cols), forward_rows, &job);
    return FT_OK;
}

static void apply_rows(void *context, int64_t begin, int64_t end)
{
    const norm_job *job = context;
    for (int64_t row = begin; row < end; row++) {
        ft_norm_apply(row_of(job->y, row), row_of(job->x, row), job->weight, job->x.cols, job->rstd[row]);
    }
}

ft_status ft_cpu_rmsnorm_apply(ft_queue *queue, ft_view y, ft_view x, const float *rstd, const float *weight)
{
    ft_cpu_check(queue);
    ft_cpu_data(y);
    ft_cpu_data(x);
    norm_job job = {.y = y, .x = x, .rstd = rstd, .weight = weight};
    ft_parallel_for(x.rows, ft_cpu_grain(x.cols), apply_rows, &job);
    return FT_OK;
}

// sum of dy * weight * x over a row.
FT_VECTOR static float projection(const float *dy, const float *weight, const float *x, int64_t n)
{
    float lane[FT_LANES] = {0};
    int64_t i = 0;
    for (; i + FT_LANES <= n; i += FT_LANES) {
        for (int l = 0; l < FT_LANES; l++) lane[l] += dy[i + l] * weight[i + l] * x[i + l];
    }
    for (; i < n; i++) lane[i % FT_LANES] += dy[i] * weight[i] * x[i];
    return ft_lanes_add(lane);
}

FT_VECTOR static void combine(float *dx, const float *dres, const float *dy, const float *weight, const float *x, int64_t n,
                              float rstd, float slope)
{
    if (dres == NULL) {
#pragma GCC ivdep
        for (int64_t i = 0; i < n; i++) dx[i] = rstd * (dy[i] * weight[i] - x[i] * slope);
        return;
    }
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) dx[i] = dres[i] + rstd * (dy[i] * weight[i] - x[i] * slope);
}

void ft_norm_gradient(float *dx, const float *dres, const float *dy, const float *weight, const float *x, int64_t n, float rstd)
{
    combine(dx, dres, dy, weight, x, n, rstd, rstd * rstd * (projection(dy, weight, x, n) / (float)n));
}

static void backward_rows(void *context, int64_t begin, int64_t end)
{
    const norm_job *job = context;
    int64_t n = job->x.cols;
    for (int64_t row = begin; row < end; row++) {
        ft_norm_gradient(row_of(job->dx, row), row_of(job->dres, row), row_of(job->dy, row), job->weight, row_of(job->x, row), n,
                         job->rstd[row]);
    }
}

ft_status ft_cpu_rmsnorm_backward(ft_queue *queue, ft_view dx, ft_view dres, ft_view dy, ft_view x, const float *rstd,
                                  const float *weight)
{
    ft_cpu_check(queue);
    ft_cpu_data(dx);
    ft_cpu_data(dy);
    ft_cpu_data(x);
    norm_job job = {.dx = dx, .dres = dres, .dy = dy, .x = x, .rstd = rstd, .weight = weight};
    ft_parallel_for(x.rows, ft_cpu_grain(x.cols), backward_rows, &job);
    return FT_OK;
}
