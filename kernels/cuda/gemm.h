// Matrix products on the tensor cores, by cuBLASLt: row-major, float32 sums, asynchronous, nothing allocated.
//
// All calls need a queue that ft_cuda_open has seen. `workspace` is FT_ARENA_ALIGN-aligned and at least FT_CUBLASLT_WORKSPACE
// bytes (kernels/cuda/workspace.h); no more than that is used, so what a caller has to spare does not choose the algorithm. A
// workspace belongs to one queue. Same device, library and product: same algorithm, same bits.
#ifndef FT_KERNELS_CUDA_GEMM_H
#define FT_KERNELS_CUDA_GEMM_H

#ifdef __cplusplus
extern "C" {
#endif
#include "device/device.h"

// D = A B + beta C. A is stored [m, k] ([k, m] if a_transposed), B [k, n] ([n, k] if b_transposed), both bf16; C and D [m, n]
// bf16, or float32 if d_f32. Leading dimensions in elements. Contiguous dimensions and leading dimensions are multiples of 8
// elements and pointers 16-byte aligned where speed counts; single elements are the least.
typedef struct {
    int64_t m, n, k;
    const void *a;
    int64_t lda;
    bool a_transposed;
    const void *b;
    int64_t ldb;
    bool b_transposed;
    const void *c;            // NULL = none (beta is then not looked at); may be d
    int64_t ldc;
    float beta;
    void *d;
    int64_t ldd;
    bool d_f32;
} ft_cuda_product;

ft_status ft_cuda_gemm(ft_queue *queue, const ft_cuda_product *product, void *workspace, int64_t workspace_bytes);

// How the E4M3 operands of ft_cuda_gemm_fp8 are scaled (value = code * scale), all scales float32 on the device.
//   TENSOR  one each.
//   OUTER   a_scales one per row of A (m of them), b_scales one per row of B (n).
//   BLOCK   a_scales one per 128 along k of each row of A, row-contiguous: [ceil(k/128)][m rounded up to FT_ROW_ALIGN];
//           b_scales one per 128x128 tile of B, [ceil(n/128)][ft_scale_stride(k)] (TILE of common/codec.h).
typedef enum { FT_FP8_TENSOR, FT_FP8_OUTER, FT_FP8_BLOCK } ft_fp8_scaling;

// D = A B^T + beta C: A [m, k], B [n, k] E4M3 codes, C and D [m, n] bf16. Rows are computed in grains of 16: A, its scales, C
// and D have room for m rounded up to FT_ROW_ALIGN, and D's extra rows are written with anything. n and k are multiples of 16
// (BLOCK: of 128), pointers and leading dimensions in bytes of 16.
typedef struct {
    ft_fp8_scaling scaling;
    int64_t m, n, k;
    const void *a;
    int64_t lda;
    const float *a_scales;
    const void *b;
    int64_t ldb;
    const float *b_scales;
    const void *c;            // as above
    int64_t ldc;
    float beta;
    void *d;
    int64_t ldd;
    bool fast;                // TENSOR, OUTER: sums in the tensor core's own 14 bits or so, instead of float32 every 128 terms
} ft_cuda_product_fp8;

ft_status ft_cuda_gemm_fp8(ft_queue *queue, const ft_cuda_product_fp8 *product, void *workspace, int64_t workspace_bytes);

#ifdef __cplusplus
}
#endif

#endif
