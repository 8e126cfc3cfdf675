// A queue's cuBLASLt: the library, the measured algorithms and the plans.
#ifndef FT_KERNELS_CUDA_GEMM_STATE_H
#define FT_KERNELS_CUDA_GEMM_STATE_H

#include "kernels/cuda/gemm_plan.h"

typedef struct ft_cuda_gemm {
    ft_blaslt blas;
    ft_gemm_table table;
    ft_gemm_plans plans;
} ft_cuda_gemm_state;

// gemm.c. `table_path` may be NULL.
ft_status ft_cuda_gemm_open(const ft_device_info *device, const char *table_path, ft_cuda_gemm_state **state);
void ft_cuda_gemm_close(ft_cuda_gemm_state *state);  // NULL is allowed
ft_cuda_gemm_state *ft_cuda_gemm_of(ft_queue *queue);

#endif
