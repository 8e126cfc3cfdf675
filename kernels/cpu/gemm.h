// Matrix products of the CPU device: C = alpha op(A) op(B) + beta C, row-major, float32.
//
// OpenBLAS does the arithmetic, on one thread (ft_gemm_setup); the parallelism is ours. C is cut into tiles whose bounds
// depend on the shape alone, so the bits do not depend on the number of threads, and products may be made from inside
// ft_parallel_for without a second pool of threads underneath.
#ifndef FT_KERNELS_CPU_GEMM_H
#define FT_KERNELS_CPU_GEMM_H

#include "common/status.h"

typedef struct {
    int64_t m, n, k;      // C is [m, n], op(A) [m, k], op(B) [k, n]
    const float *a;
    int64_t lda;
    bool a_transposed;    // A is stored [k, m]
    const float *b;
    int64_t ldb;
    bool b_transposed;    // B is stored [n, k]
    float *c;
    int64_t ldc;
    float alpha, beta;    // beta 0: C is only written
} ft_gemm;

void ft_gemm_setup(void);                  // once, before the first product
void ft_gemm_serial(const ft_gemm *gemm);  // on the calling thread
void ft_gemm_parallel(const ft_gemm *gemm);

#endif
