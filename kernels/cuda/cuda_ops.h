// The CUDA kernels: the functions of the op table's CUDA row, one op (or one op and its gradient) a file. Contracts are those of
// kernels/ops.h. Pure C, so that host files and .cu files include it alike.
#ifndef FT_KERNELS_CUDA_CUDA_OPS_H
#define FT_KERNELS_CUDA_CUDA_OPS_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

extern const ft_ops ft_cuda_ops;

ft_status ft_cuda_open(ft_queue *queue, const ft_ops_options *options);
const char *ft_cuda_describe(ft_queue *queue);
ft_status ft_cuda_weight_prepare(ft_queue *queue, const ft_weight *dst, const ft_matrix *src);
ft_status ft_cuda_vector_prepare(ft_queue *queue, float *dst, const void *src, ft_dtype dtype, int64_t n);
ft_status ft_cuda_lora_prepare(ft_queue *queue, const ft_linear_group *group);
ft_status ft_cuda_embed(ft_queue *queue, ft_view dst, const void *table, ft_dtype dtype, const int32_t *ids);
ft_status ft_cuda_rmsnorm_forward(ft_queue *queue, ft_view y, ft_view sum_out, float *rstd, ft_view x, ft_view residual,
                                  const float *weight, float eps);
ft_status ft_cuda_rmsnorm_apply(ft_queue *queue, ft_view y, ft_view x, const float *rstd, const float *weight);
ft_status ft_cuda_rmsnorm_backward(ft_queue *queue, ft_view dx, ft_view dres, ft_view dy, ft_view x, const float *rstd,
                                   const float *weight);
ft_status ft_cuda_linear_forward(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                                 ft_view low_rank, void *workspace, int64_t workspace_bytes);
ft_status ft_cuda_linear_backward(ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view dy, ft_view low_rank,
                                  ft_view d_low_rank, void *workspace, int64_t workspace_bytes);
ft_status ft_cuda_lora_backward_a(ft_queue *queue, const ft_linear_group *group, ft_view x, ft_view d_low_rank, void *workspace,
                                  int64_t workspace_bytes);
ft_status ft_cuda_qk_norm_forward(ft_queue *queue, ft_view qkv, ft_view raw, float *rstd, const ft_attention *shape,
                                  const float *q_weight, const float *k_weight, float eps);
ft_status ft_cuda_qk_norm_backward(ft_queue *queue, ft_view dqkv, ft_view raw, const float *rstd, const ft_attention *shape,
                                   const float *q_weight, const float *k_weight);
ft_status ft_cuda_rope(ft_queue *queue, ft_view qkv, const ft_attention *shape, const ft_rope *table, const int32_t *positions,
                       int direction);
ft_status ft_cuda_attention_forward(ft_queue *queue, ft_view o, float *lse, ft_view qkv, const ft_attention *shape,
                                    const ft_documents *documents, void *workspace, int64_t workspace_bytes);
ft_status ft_cuda_attention_backward(ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o, const float *lse, ft_view qkv,
                                     const ft_attention *shape, const ft_documents *documents, void *workspace,
                                     int64_t workspace_bytes);
ft_status ft_cuda_attention_decode(ft_queue *queue, ft_view o, ft_view q, const void *k_cache, const void *v_cache,
                                   int64_t length, const ft_attention *shape, void *workspace, int64_t workspace_bytes);
ft_status ft_cuda_swiglu_forward(ft_queue *queue, ft_view y, ft_view gate_up);
ft_status ft_cuda_swiglu_backward(ft_queue *queue, ft_view dgate_up, ft_view y, ft_view dy, ft_view gate_up);
ft_status ft_cuda_head_loss(ft_queue *queue, double *nll_sum, ft_view dx, ft_view x, const ft_matrix *head,
                            const int32_t *labels, const ft_head_options *options, void *workspace, int64_t workspace_bytes);
ft_status ft_cuda_clip(ft_queue *queue, ft_clip *clip, const float *x, int64_t n, double max_norm, void *workspace,
                       int64_t workspace_bytes);
ft_status ft_cuda_adamw(ft_queue *queue, float *parameter, const float *gradient, float *moment1, float *moment2, int64_t n,
                        const ft_adamw *options, const ft_clip *clip);
ft_status ft_cuda_stripe_hash(ft_queue *queue, uint64_t *out, const ft_range *ranges, int64_t n);

#ifdef __cplusplus
}
#endif

#endif
