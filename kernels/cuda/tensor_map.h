// Descriptions of matrices for the tensor memory accelerator (CUDA driver API, "Tensor Map Object Management").
#ifndef FT_KERNELS_CUDA_TENSOR_MAP_H
#define FT_KERNELS_CUDA_TENSOR_MAP_H

#include <cuda.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "device/device.h"

// A row-major matrix [rows, cols], `ld_bytes` from row to row, which loads come from in boxes of [box_rows, 128 bytes]: in
// shared memory 128 bytes a row, the 16-byte piece p of row r at p ^ (r & 7). What lies outside the matrix arrives as zero.
typedef struct {
    CUtensorMapDataType type;
    int64_t element_bytes, rows, cols, ld_bytes, box_rows;
    const void *data;
} ft_tensor_box;

// FT_E_DEVICE if the driver has no tensor maps or refuses this one; the message names the matrix by `what`.
ft_status ft_tensor_map(CUtensorMap *map, const char *what, const ft_tensor_box *box);

#ifdef __cplusplus
}
#endif

#endif
