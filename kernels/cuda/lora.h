// The skinny products of LoRA on CUDA: what the linear group does beside its big GEMM. The formulas are those above
// ft_linear_group in kernels/ops.h; every function is bounded by the one read of its big operand.
//
// Features in and out of every part are multiples of 8, every leading dimension too, and every pointer is 16-byte aligned (that
// is what 16-byte copies need); ranks are any. Views are bf16. A group with fold 0 has nothing to do, and the functions return
// at once. Two calls with the same inputs and shapes give the same bits: work is split over a fixed number of blocks.
//
// The operations lora_prepare and lora_backward_a themselves are declared in kernels/cuda/cuda_ops.h. lora_backward_a reads
// d_low_rank [rows, fold] as ft_cuda_lora_up_backward wrote it.
#ifndef FT_KERNELS_CUDA_LORA_H
#define FT_KERNELS_CUDA_LORA_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

// Bytes that cover each one of the functions below and lora_backward_a for a group of this shape: rows, in, out (sum), rank (sum of
// r) and parts exactly as the group has them. Compiled in every build.
int64_t ft_cuda_lora_workspace(const ft_op_shape *shape);

// S [rows, fold] = dropout(x) A^T in its columns, 1 in column R where any part has a bias, 0 in the rest; bf16. Written to x's
// tail, columns [x.cols, x.cols + fold), and to low_rank [rows, fold] where its data is given. One pass over x for all parts.
ft_status ft_cuda_lora_down(ft_queue *queue, const ft_linear_group *group, ft_view x, ft_view low_rank, void *workspace,
                            int64_t workspace_bytes);

// From one read of dy: dS [rows, fold] = dy fold_b into d_low_rank, columns >= R zero, and db of each part += scale * dy_i^T S_i
// (NULL skips a part), with S from low_rank. d_low_rank may be dy's tail.
ft_status ft_cuda_lora_up_backward(ft_queue *queue, const ft_linear_group *group, ft_view dy, ft_view low_rank,
                                   ft_view d_low_rank, void *workspace, int64_t workspace_bytes);

// dx += mask * (dS fold_a) / (1-p), for a group with dropout (without it the fold carries this term). Needs no workspace.
ft_status ft_cuda_lora_dropout_dx(ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view d_low_rank);

#ifdef __cplusplus
}
#endif

#endif
