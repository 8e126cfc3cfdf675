// RMSNorm of every q and k head (Qwen3), in place on the leading columns of qkv. Backward needs the heads as they were: the
// output cannot give them back where a weight is 0, so forward keeps a copy.
#include <string.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/rmsnorm.h"

typedef struct {
    float *heads;  // q and k of row 0, or their gradients
    float *raw, *rstd_out;
    const float *rstd;
    const float *q_weight, *k_weight;
    int64_t ld, ld_raw, q_heads, n_heads, head_dim;
    float eps;
} qk_norm_job;

static const float *weight_of(const qk_norm_job *job, int64_t head)
{
    return head < job->q_heads ? job->q_weight : job->k_weight;
}

static void forward_rows(void *context, int64_t begin, int64_t end)
{
    const qk_norm_job *job = context;
    int64_t d = job->head_dim;
    for (int64_t row = begin; row < end; row++) {
        float *x = job->heads + row * job->ld, *rstd = job->rstd_out + row * job->n_heads;
        memcpy(job->raw + row * job->ld_raw, x, (size_t)(job->n_heads * d) * sizeof *x);
        for (int64_t h = 0; h < job->n_heads; h++) {
            rstd[h] = ft_norm_inverse_rms(x + h * d, d, job->eps);
            ft_norm_apply(x + h * d, x + h * d, weight_of(job, h), d, rstd[h]);
        }
    }
}

static void backward_rows(void *context, int64_t begin, int64_t end)
{
    const qk_norm_job *job = context;
    int64_t d = job->head_dim;
    for (int64_t row = begin; row < end; row++) {
        float *dx = job->heads + row * job->ld;
        const float *x = job->raw + row * job->ld_raw, *rstd = job->rstd + row * job->n_heads;
        for (int64_t h = 0; h < job->n_heads; h++)
            ft_norm_gradient(dx + h * d, NULL, dx + h * d, weight_of(job, h), x + h * d, d, rstd[h]);
    }
}

static qk_norm_job make_job(ft_view qkv, ft_view raw, const ft_attention *shape, const float *q_weight, const float *k_weight)
{
    int64_t heads = shape->q_heads + shape->kv_heads;
    FT_ASSERT(raw.rows == qkv.rows && raw.cols == heads * shape->head_dim && qkv.cols >= raw.cols);
    return (qk_norm_job){.heads = ft_cpu_data(qkv), .raw = ft_cpu_data(raw), .q_weight = q_weight, .k_weight = k_weight, .ld = qkv.ld,
                         .ld_raw = raw.ld, .q_heads = shape->q_heads, .n_heads = heads, .head_dim = shape->head_dim};
}

ft_status ft_cpu_qk_norm_forward(ft_queue *queue, ft_view qkv, ft_view raw, float *rstd, const ft_attention *shape,
                                 const float *q_weight, const float *k_weight, float eps)
{
    ft_cpu_check(queue);
    qk_norm_job job = make_job(qkv, raw, shape, q_weight, k_weight);
    job.rstd_out = rstd;
    job.eps = eps;
    ft_parallel_for(qkv.rows, ft_cpu_grain(raw.cols), forward_rows, &job);
    return FT_OK;
}

ft_status ft_cpu_qk_norm_backward(ft_queue *queue, ft_view dqkv, ft_view raw, const float *rstd, const ft_attention *shape,
                                  const float *q_weight, const float *k_weight)
{
    ft_cpu_check(queue);
    qk_norm_job job = make_job(dqkv, raw, shape, q_weight, k_weight);
    job.rstd = rstd;
    ft_parallel_for(dqkv.rows, ft_cpu_grain(raw.cols), backward_rows, &job);
    return FT_OK;
}
