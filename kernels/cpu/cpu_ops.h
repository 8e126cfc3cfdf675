// The CPU device's implementations, one file each, and what they share. Contracts are in kernels/ops.h.
//
// Everything here computes in float32 on host memory. Work is split over threads by ft_parallel_for along bounds that depend on
// the shape alone, and no sum depends on the split: the bits do not depend on the number of threads.
#ifndef FT_KERNELS_CPU_CPU_OPS_H
#define FT_KERNELS_CPU_CPU_OPS_H

#include "common/memory.h"
#include "common/threads.h"
#include "kernels/ops.h"

extern const ft_ops ft_cpu_ops;

// --- shared ------------------------------------------------------------------------------------------------------------------
// Asserts what every op demands of its queue and views.
static inline void ft_cpu_check(const ft_queue *queue)
{
    FT_ASSERT(queue->device->info.kind == FT_DEVICE_CPU && queue->kind == FT_QUEUE_COMPUTE, "needs a compute queue of the CPU");
}

// Row 0 of a float32 view.
static inline float *ft_cpu_data(ft_view view)
{
    FT_ASSERT(view.repr == FT_REPR_F32 && view.ld >= view.cols, "the CPU device computes in float32");
    return view.data;
}

// Rows per piece of a loop over rows of `cols` values, so that a piece is worth waking a thread for.
static inline int64_t ft_cpu_grain(int64_t cols)
{
    return cols < 16384 ? 16384 / (cols > 0 ? cols : 1) : 1;
}

// Matrix head or weight rows [row0, row0 + n) to float32, dst contiguous with leading dimension ld. Runs on the pool.
ft_status ft_cpu_convert_rows(float *dst, int64_t ld, const ft_matrix *src, int64_t row0, int64_t n);

// dst[rows, in] = (accumulate ? dst : 0) + keep(token, feature) * src / (1 - p): dropout forward (dst a scratch copy) and
// backward (into dx). p must be above 0.
void ft_cpu_dropout(float *dst, int64_t dst_ld, const float *src, int64_t src_ld, int64_t rows, int64_t cols,
                    const ft_dropout *dropout, bool accumulate);

// --- closed-form workspaces, used by op_table.c ------------------------------------------------------------------------------
int64_t ft_cpu_linear_forward_workspace(const ft_op_shape *shape);
int64_t ft_cpu_linear_backward_workspace(const ft_op_shape *shape);
int64_t ft_cpu_attention_backward_workspace(const ft_op_shape *shape);
int64_t ft_cpu_attention_decode_workspace(const ft_op_shape *shape);
int64_t ft_cpu_head_loss_workspace(const ft_op_shape *shape);
int64_t ft_cpu_clip_workspace(const ft_op_shape *shape);

// --- ops ---------------------------------------------------------------------------------------------------------------------
ft_status ft_cpu_weight_prepare(ft_queue *queue, const ft_weight *dst, const ft_matrix *src);
ft_status ft_cpu_vector_prepare(ft_queue *queue, float *dst, const void *src, ft_dtype dtype, int64_t n);
ft_status ft_cpu_open(ft_queue *queue, const ft_ops_options *options);
const char *ft_cpu_describe(ft_queue *queue);
ft_status ft_cpu_lora_prepare(ft_queue *queue, const ft_linear_group *group);
ft_status ft_cpu_embed(ft_queue *queue, ft_view dst, const void *table, ft_dtype dtype, const int32_t *ids);
ft_status ft_cpu_rmsnorm_forward(ft_queue *queue, ft_view y, ft_view sum_out, float *rstd, ft_view x, ft_view residual,
                                 const float *weight, float eps);
ft_status ft_cpu_rmsnorm_apply(ft_queue *queue, ft_view y, ft_view x, const float *rstd, const float *weight);
ft_status ft_cpu_rmsnorm_backward(ft_queue *queue, ft_view dx, ft_view dres, ft_view dy, ft_view x, const float *rstd,
                                  const float *weight);
ft_status ft_cpu_linear_forward(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                                ft_view low_rank, void *workspace, int64_t workspace_bytes);
ft_status ft_cpu_linear_backward(ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view dy, ft_view low_rank,
                                 ft_view d_low_rank, void *workspace, int64_t workspace_bytes);
ft_status ft_cpu_lora_backward_a(ft_queue *queue, const ft_linear_group *group, ft_view x, ft_view d_low_rank, void *workspace,
                                 int64_t workspace_bytes);
ft_status ft_cpu_qk_norm_forward(ft_queue *queue, ft_view qkv, ft_view raw, float *rstd, const ft_attention *shape,
                                 const float *q_weight, const float *k_weight, float eps);
ft_status ft_cpu_qk_norm_backward(ft_queue *queue, ft_view dqkv, ft_view raw, const float *rstd, const ft_attention *shape,
                                  const float *q_weight, const float *k_weight);
ft_status ft_cpu_rope(ft_queue *queue, ft_view qkv, const ft_attention *shape, const ft_rope *table, const int32_t *positions,
                      int direction);
ft_status ft_cpu_attention_forward(ft_queue *queue, ft_view o, float *lse, ft_view qkv, const ft_attention *shape,
                                   const ft_documents *documents, void *workspace, int64_t workspace_bytes);
ft_status ft_cpu_attention_backward(ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o, const float *lse, ft_view qkv,
                                    const ft_attention *shape, const ft_documents *documents, void *workspace,
                                    int64_t workspace_bytes);
ft_status ft_cpu_attention_decode(ft_queue *queue, ft_view o, ft_view q, const void *k_cache, const void *v_cache, int64_t length,
                                  const ft_attention *shape, void *workspace, int64_t workspace_bytes);
ft_status ft_cpu_swiglu_forward(ft_queue *queue, ft_view y, ft_view gate_up);
ft_status ft_cpu_swiglu_backward(ft_queue *queue, ft_view dgate_up, ft_view y, ft_view dy, ft_view gate_up);
ft_status ft_cpu_head_loss(ft_queue *queue, double *nll_sum, ft_view dx, ft_view x, const ft_matrix *head, const int32_t *labels,
                           const ft_head_options *options, void *workspace, int64_t workspace_bytes);
ft_status ft_cpu_clip(ft_queue *queue, ft_clip *clip, const float *x, int64_t n, double max_norm, void *workspace,
                      int64_t workspace_bytes);
ft_status ft_cpu_adamw(ft_queue *queue, float *parameter, const float *gradient, float *moment1, float *moment2, int64_t n,
                       const ft_adamw *options, const ft_clip *clip);
ft_status ft_cpu_stripe_hash(ft_queue *queue, uint64_t *out, const ft_range *ranges, int64_t n);

#endif
