// Closed-form workspaces of the CUDA ops, in bytes. Compiled in every build: a plan for a GPU is made without one.
#ifndef FT_KERNELS_CUDA_WORKSPACE_H
#define FT_KERNELS_CUDA_WORKSPACE_H

#include "kernels/ops.h"

#define FT_CUBLASLT_WORKSPACE ((int64_t)32 << 20)  // NVIDIA's recommendation for Hopper

int64_t ft_cuda_linear_forward_workspace(const ft_op_shape *shape);    // workspace_linear.c
int64_t ft_cuda_linear_backward_workspace(const ft_op_shape *shape);   // also lora_backward_a
int64_t ft_cuda_attention_forward_workspace(const ft_op_shape *shape); // workspace_attention.c
int64_t ft_cuda_attention_backward_workspace(const ft_op_shape *shape);
int64_t ft_cuda_attention_decode_workspace(const ft_op_shape *shape);
int64_t ft_cuda_head_loss_workspace(const ft_op_shape *shape);         // workspace_head.c
int64_t ft_cuda_clip_workspace(const ft_op_shape *shape);

#endif
