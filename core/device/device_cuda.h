// The CUDA device's own parts: its row, the stream behind a queue, and the libraries found at run time. For core/device and
// kernels/cuda only. Plain C: neither this header nor those who include it need the CUDA toolkit.
#ifndef FT_DEVICE_DEVICE_CUDA_H
#define FT_DEVICE_DEVICE_CUDA_H

#include "device/device.h"

extern const ft_device_row ft_device_cuda;

typedef struct CUstream_st *ft_cuda_stream;  // cudaStream_t

ft_cuda_stream ft_queue_cuda_stream(ft_queue *queue);

// What the kernels keep with a compute queue (library handles, plans): set once by their open, freed with the queue.
void ft_queue_cuda_set_kernels(ft_queue *queue, void *kernels, void (*free_kernels)(void *));
void *ft_queue_cuda_kernels(ft_queue *queue);

#endif
