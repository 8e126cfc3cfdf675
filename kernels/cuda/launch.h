// What every kernel file needs: its stream, and CUDA errors as ft_status.
#ifndef FT_KERNELS_CUDA_LAUNCH_H
#define FT_KERNELS_CUDA_LAUNCH_H

#include <cuda_runtime.h>

#include "kernels/cuda/cuda_ops.h"

#ifdef __cplusplus
extern "C" {
#endif
#include "device/device_cuda.h"
#ifdef __cplusplus
}
#endif

static inline cudaStream_t ft_stream(ft_queue *queue)
{
    return (cudaStream_t)ft_queue_cuda_stream(queue);
}

// A call of the runtime; the error's text names the call.
#define FT_CUDA(call)                                                                                                          \
    do {                                                                                                                       \
        cudaError_t ft_cuda_error_ = (call);                                                                                   \
        if (ft_cuda_error_ != cudaSuccess) {                                                                                   \
            cudaGetLastError(); /* the next launch would tell it again */                                                      \
            return ft_error(FT_E_DEVICE, "%s: %s", #call, cudaGetErrorString(ft_cuda_error_));                                 \
        }                                                                                                                      \
    } while (0)

// After a launch: the op fails with its name where the launch was refused.
static inline ft_status ft_launched(const char *op)
{
    cudaError_t error = cudaPeekAtLastError();
    if (error == cudaSuccess) return FT_OK;
    cudaGetLastError();
    return ft_error(FT_E_DEVICE, "%s: kernel launch: %s", op, cudaGetErrorString(error));
}

#endif
