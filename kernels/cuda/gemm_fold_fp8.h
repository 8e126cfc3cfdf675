// One product for a linear with E4M3 weights and what rides with it (ft_linear_group.fold of kernels/ops.h), for Hopper:
//   D = X W^T + S F^T + C
// with one float32 sum per element, rounded once. E4M3 products are promoted to float32 registers every 128 terms, as
// cuBLASLt's block-scaled ones are.
#ifndef FT_KERNELS_CUDA_GEMM_FOLD_FP8_H
#define FT_KERNELS_CUDA_GEMM_FOLD_FP8_H

#ifdef __cplusplus
extern "C" {
#endif
#include "device/device.h"

// X [m, k] and W [n, k] E4M3 codes, leading dimensions ldx and ldw in bytes. x_scales one per 128 along k of each row,
// row-contiguous: [k/128][m rounded up to FT_ROW_ALIGN]; w_scales one per 128x128 tile: [n/128][ft_scale_stride(k)].
// S [m, fold] bf16; F [n, fold] bf16, or stored [fold, n] if f_transposed; fold 0 = none. C [m, n] bf16, NULL = none, may be d
// (then c_ld is d_ld); D [m, n] bf16. Their leading dimensions are in elements. Rows from m on are neither read nor written,
// but for x_scales, which are read as far as the rounded row count.
typedef struct {
    int64_t m, n, k;
    const uint8_t *x;
    int64_t ldx;
    const float *x_scales;
    const uint8_t *w;
    int64_t ldw;
    const float *w_scales;
    const void *s;
    int64_t s_ld;
    const void *f;
    int64_t f_ld;
    bool f_transposed;
    int64_t fold;
    const void *c;
    int64_t c_ld;
    void *d;
    int64_t d_ld;
} ft_cuda_fold_product;

// How the work is cut; all give the same bits. A tile of D is 128 columns by 256 or 128 rows. TALL has two products of 64 rows a
// warpgroup behind one another, TURNS the same with the two warpgroups taking turns at the tensor cores; SHORT sums one block's
// terms while the last one's are promoted. PAIR: two blocks side by side along n share what they load of X and S; n/128 must be
// even.
typedef enum { FT_FOLD_TALL_PAIR, FT_FOLD_TURNS_PAIR, FT_FOLD_TALL, FT_FOLD_SHORT_PAIR, FT_FOLD_SHORT, FT_FOLD_CUTS } ft_fold_cut;

// Whether the current device is a Hopper GPU and the product keeps to the rules: n and k multiples of 128, fold of 64, pointers
// and leading dimensions of 16 bytes.
bool ft_cuda_gemm_fold_fits(const ft_cuda_fold_product *product);
// Asynchronous on `queue`, no workspace; equal bits in every run.
ft_status ft_cuda_gemm_fold_fp8(ft_queue *queue, const ft_cuda_fold_product *product);
ft_status ft_cuda_gemm_fold_fp8_cut(ft_queue *queue, const ft_cuda_fold_product *product, ft_fold_cut cut);

#ifdef __cplusplus
}
#endif

#endif
