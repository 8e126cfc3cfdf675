// What the CUDA kernels keep with a compute queue: made by ft_cuda_open, freed with the queue, used by the queue's thread.
// Kernels that need no library run without it.
#ifndef FT_KERNELS_CUDA_CONTEXT_H
#define FT_KERNELS_CUDA_CONTEXT_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

struct ft_cuda_attention;

typedef struct ft_cuda_context {
    ft_queue *queue;
    struct ft_cuda_attention *attention;  // NULL where the options name no attention
    struct ft_cuda_gemm *gemm;            // library, table and plans (gemm_state.h)
    char description[256];
} ft_cuda_context;

// Asserts that the queue was opened.
ft_cuda_context *ft_cuda_context_of(ft_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
