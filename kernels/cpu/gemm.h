// Matrix products of the CPU device: C = beta C + sum over terms of alpha op(A) op(B), row-major, float32.
//
// Own blocked kernels on x86 with AVX2 or AVX-512 (gemm_kernel.h), OpenBLAS on one thread elsewhere and for a single row. The
// parallelism is ours: C is cut into tiles, and products may be made from inside ft_parallel_for without a second pool of
// threads underneath. Bits: an element of C is the same sum in the same order wherever the tile bounds fall, so they depend
// on neither the number of threads nor (own kernels, m > 1) on the number of rows.
#ifndef FT_KERNELS_CPU_GEMM_H
#define FT_KERNELS_CPU_GEMM_H

#include "common/status.h"

typedef struct {
    int64_t k;            // op(A) is [m, k], op(B) [k, n]
    const float *a;
    int64_t lda;
    bool a_transposed;    // A is stored [k, m]
    const float *b;
    int64_t ldb;
    bool b_transposed;    // B is stored [n, k]
    float alpha;
    bool bf16;            // A and B rounded to bf16 first; sums stay float32. Only where ft_gemm_has_bf16()
} ft_gemm_term;

// Terms are added in ascending order; one pass over C for all of them.
enum { FT_GEMM_TERMS = 6 };
typedef struct {
    int64_t m, n;
    float *c;
    int64_t ldc;
    float beta;           // 0: C is only written
    int n_terms;          // at least 1
    ft_gemm_term term[FT_GEMM_TERMS];
} ft_gemm_sum;

void ft_gemm_sum_parallel(const ft_gemm_sum *sum);

// One term.
typedef struct {
    int64_t m, n, k;
    const float *a;
    int64_t lda;
    bool a_transposed;
    const float *b;
    int64_t ldb;
    bool b_transposed;
    float *c;
    int64_t ldc;
    float alpha, beta;
    bool bf16;
} ft_gemm;

void ft_gemm_setup(void);                  // once, before the first product
int64_t ft_gemm_thread_bytes(void);        // buffers of each thread that multiplies, made with it and not in any arena
void ft_gemm_serial(const ft_gemm *gemm);  // on the calling thread
void ft_gemm_parallel(const ft_gemm *gemm);
bool ft_gemm_has_bf16(void);               // this CPU multiplies pairs of bf16 (AVX512_BF16)

#endif
