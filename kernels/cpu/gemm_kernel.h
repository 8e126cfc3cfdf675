// The inner loops of matrix products, one table per instruction set, and the blocking around them.
//
// A strip of op(B) is packed into panels [k][width] (width: a multiple of `lanes`, at most `cols`; columns beyond n are zero),
// and tiles of `rows` rows are multiplied by a panel. A tile's element is sum = fma(a, b, sum) over k in ascending order from
// zero, then c = alpha sum (+ beta c): the bits do not depend on where in a tile the element stands.
#ifndef FT_KERNELS_CPU_GEMM_KERNEL_H
#define FT_KERNELS_CPU_GEMM_KERNEL_H

#include "kernels/cpu/gemm.h"

// One tile of C times one panel. a is float32 with any strides, or bf16 pairs of stride 1 along k.
typedef struct {
    const float *a;
    int64_t row_stride, k_stride;
    const void *panel;
    int64_t k;
    float *c;
    int64_t ldc;
    int64_t rows, cols;      // at most the kernel's
    float alpha, beta;
} ft_gemm_tile;

// What a panel is packed from: rows [0, k) and columns [0, n) of op(B).
typedef struct {
    const float *b;
    int64_t ldb;
    bool transposed;         // stored [n, k]
    int64_t k, n;
} ft_gemm_source;

typedef struct {
    int64_t rows, cols, lanes;
    void (*pack)(void *panel, int64_t width, const ft_gemm_source *source);
    void (*multiply)(const ft_gemm_tile *tile, int64_t width);
    // bf16 only, else NULL: op(A) [rows, k] to bf16 rows of `stride` values; an odd k is padded with a zero.
    void (*pack_a)(uint16_t *dst, int64_t stride, const float *a, int64_t row_stride, int64_t k_stride, int64_t rows, int64_t k);
} ft_gemm_kernel;

#if defined(__x86_64__)
extern const ft_gemm_kernel ft_gemm_avx2;         // needs avx2, fma
extern const ft_gemm_kernel ft_gemm_avx512;       // needs avx512f, avx512bw
extern const ft_gemm_kernel ft_gemm_avx512_bf16;  // needs avx512f, avx512bw, avx512_bf16
#endif

// The i-th float32 kernel this CPU can run, from the slowest to the fastest; NULL past the last.
const ft_gemm_kernel *ft_gemm_variant(size_t i);
const ft_gemm_kernel *ft_gemm_bf16_kernel(void);  // NULL where the CPU has none
// The kernel of float32 terms; NULL is OpenBLAS. ft_gemm_setup takes the fastest; tests set others.
void ft_gemm_use(const ft_gemm_kernel *kernel);

// Part of C: rows [row, row + rows), columns [col, col + cols).
typedef struct {
    int64_t row, rows, col, cols;
} ft_gemm_part;

// On the calling thread, with the kernel given for float32 terms.
void ft_gemm_block(const ft_gemm_kernel *kernel, const ft_gemm_sum *sum, ft_gemm_part part);
void ft_gemm_blas(const ft_gemm_sum *sum, ft_gemm_part part);

#endif
