// Which device has which kernels.
#include <pthread.h>

#include "kernels/cpu/cpu_ops.h"
#ifdef FT_HAVE_CUDA
#include "kernels/cuda/cuda_ops.h"
#endif
#include "kernels/cpu/gemm.h"

const ft_ops ft_cpu_ops = {.kind = FT_DEVICE_CPU, FT_OPS(FT_OP_MEMBER, ft_cpu_)};

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
