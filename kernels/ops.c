// Which device has which kernels.
#include <pthread.h>

#include "kernels/cpu/cpu_ops.h"
#ifdef FT_HAVE_CUDA
#include "kernels/cuda/cuda_ops.h"
#endif
#include "kernels/cpu/gemm.h"

const ft_ops ft_cpu_ops = {
    .kind = FT_DEVICE_CPU,
    .open = ft_cpu_open,
    .describe = ft_cpu_describe,
    .lora_prepare = ft_cpu_lora_prepare,
    .weight_prepare = ft_cpu_weight_prepare,
    .vector_prepare = ft_cpu_vector_prepare,
    .embed = ft_cpu_embed,
    .rmsnorm_forward = ft_cpu_rmsnorm_forward,
    .rmsnorm_apply = ft_cpu_rmsnorm_apply,
    .rmsnorm_backward = ft_cpu_rmsnorm_backward,
    .linear_forward = ft_cpu_linear_forward,
    .linear_backward = ft_cpu_linear_backward,
    .lora_backward_a = ft_cpu_lora_backward_a,
    .qk_norm_forward = ft_cpu_qk_norm_forward,
    .qk_norm_backward = ft_cpu_qk_norm_backward,
    .rope = ft_cpu_rope,
    .attention_forward = ft_cpu_attention_forward,
    .attention_backward = ft_cpu_attention_backward,
    .attention_decode = ft_cpu_attention_decode,
    .swiglu_forward = ft_cpu_swiglu_forward,
    .swiglu_backward = ft_cpu_swiglu_backward,
    .head_loss = ft_cpu_head_loss,
    .clip = ft_cpu_clip,
    .adamw = ft_cpu_adamw,
    .stripe_hash = ft_cpu_stripe_hash,
};

const ft_ops *ft_ops_for(ft_device_kind kind)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
#ifdef FT_HAVE_CUDA
    if (kind == FT_DEVICE_CUDA) return &ft_cuda_ops;
#endif
    if (kind != FT_DEVICE_CPU) return NULL;
    pthread_once(&once, ft_gemm_setup);
    return &ft_cpu_ops;
}
