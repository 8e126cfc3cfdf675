// Activations and weights to E4M3: scale = amax/448 (1 where amax is 0, never subnormal), code = sat_rne(x / scale), as
// common/codec.h defines them. x is a bf16 view of any leading dimension; `codes` is [rows, cols] without gaps.
#ifndef FT_KERNELS_CUDA_QUANTIZE_H
#define FT_KERNELS_CUDA_QUANTIZE_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

// 1x128 along cols, scales as in ft_view: [ceil(cols/128)][rows rounded up to FT_ROW_ALIGN]. column_factor [cols], float32,
// multiplies x first (row-scaled weights' backward); NULL = none.
ft_status ft_cuda_quantize(ft_queue *queue, uint8_t *codes, float *scales, ft_view x, const float *column_factor);
// One scale a row (cuBLASLt's OUTER_VEC): scales [rows].
ft_status ft_cuda_quantize_rows(ft_queue *queue, uint8_t *codes, float *scales, ft_view x);
// One scale a 128x128 tile: scales ceil(rows/128) x ft_scale_stride(cols), padding entries 1.
ft_status ft_cuda_quantize_tile(ft_queue *queue, uint8_t *codes, float *scales, ft_view x);

#ifdef __cplusplus
}
#endif

#endif
