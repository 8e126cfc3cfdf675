// Rows of a matrix in a store's element type to bf16: what weights and embedding rows share.
#ifndef FT_KERNELS_CUDA_CONVERT_H
#define FT_KERNELS_CUDA_CONVERT_H

#include "kernels/ops.h"

// dst[t] = row ids[t] (NULL: t) of src, times its scales, rounded once to float32 and once to bf16 (not at all where src is
// BF16). dst [rows, cols] of leading dimension ld; src->cols == cols. BF16, F16, F32, F64 of kind NONE, and E4M3 of every kind;
// FT_E_UNSUPPORTED otherwise.
ft_status ft_cuda_convert_rows(ft_queue *queue, ft_bf16 *dst, int64_t ld, int64_t rows, const ft_matrix *src, const int32_t *ids);

#endif
