// The op table's CUDA row.
#include "kernels/cuda/cuda_ops.h"

const ft_ops ft_cuda_ops = {
    .kind = FT_DEVICE_CUDA,
    .open = ft_cuda_open,
    .describe = ft_cuda_describe,
    .weight_prepare = ft_cuda_weight_prepare,
    .vector_prepare = ft_cuda_vector_prepare,
    .lora_prepare = ft_cuda_lora_prepare,
    .embed = ft_cuda_embed,
    .rmsnorm_forward = ft_cuda_rmsnorm_forward,
    .rmsnorm_apply = ft_cuda_rmsnorm_apply,
    .rmsnorm_backward = ft_cuda_rmsnorm_backward,
    .linear_forward = ft_cuda_linear_forward,
    .linear_backward = ft_cuda_linear_backward,
    .lora_backward_a = ft_cuda_lora_backward_a,
    .qk_norm_forward = ft_cuda_qk_norm_forward,
    .qk_norm_backward = ft_cuda_qk_norm_backward,
    .rope = ft_cuda_rope,
    .attention_forward = ft_cuda_attention_forward,
    .attention_backward = ft_cuda_attention_backward,
    .attention_decode = ft_cuda_attention_decode,
    .swiglu_forward = ft_cuda_swiglu_forward,
    .swiglu_backward = ft_cuda_swiglu_backward,
    .head_loss = ft_cuda_head_loss,
    .clip = ft_cuda_clip,
    .adamw = ft_cuda_adamw,
};
