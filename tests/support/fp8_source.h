// An FP8 checkpoint read the plain way: what its weights stand for, by the formulas of the formats and the shapes of its scales,
// one element at a time. Nothing of it is shared with what is tested but the reader of safetensors files.
#ifndef FT_TESTS_SUPPORT_FP8_SOURCE_H
#define FT_TESTS_SUPPORT_FP8_SOURCE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"

// E4M3FN: sign, 4 bits of exponent with bias 7, 3 of mantissa.
static inline double fp8_code_value(uint8_t code)
{
    int exponent = code >> 3 & 15, mantissa = code & 7;
    if ((code & 0x7F) == 0x7F) return NAN;
    double magnitude = exponent > 0 ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
    return code & 0x80 ? -magnitude : magnitude;
}

static inline double fp8_scale_value(const uint8_t *at, ft_dtype dtype)
{
    uint32_t bits = 0;
    float value;
    if (dtype == FT_DTYPE_F8_E8M0) return ldexp(1, at[0] - 127);
    if (dtype == FT_DTYPE_BF16) bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 24;
    else memcpy(&bits, at, 4);
    memcpy(&value, &bits, 4);
    return value;
}

// Bytes of a tensor, heap. NULL if the model has none of that name.
static inline uint8_t *fp8_bytes(const ft_model_files *files, const char *name, const ft_tensor_info **info)
{
    *info = ft_model_files_find(files, name);
    if (*info == NULL) return NULL;
    uint8_t *bytes = malloc((size_t)(*info)->bytes + 1);
    if (ft_model_files_read(files, *info, 0, (*info)->bytes, bytes) != FT_OK) abort();
    return bytes;
}

typedef struct {
    int64_t rows, cols;        // of the weight
    int64_t grid_rows, grid_cols;
    uint8_t *codes;
    double *scales;            // [grid_rows, grid_cols]
} fp8_weight;

// Reads NAME and its scales; false if it is not E4M3.
static inline bool fp8_weight_read(fp8_weight *w, const ft_model_files *files, const char *name)
{
    const ft_tensor_info *weight, *scales;
    char scale_name[256];
    uint8_t *codes = fp8_bytes(files, name, &weight);
    if (codes == NULL || weight->dtype != FT_DTYPE_F8_E4M3) {
        free(codes);
        return false;
    }
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    uint8_t *raw = fp8_bytes(files, scale_name, &scales);
    snprintf(scale_name, sizeof scale_name, "%s_scale_inv", name);
    if (raw == NULL) raw = fp8_bytes(files, scale_name, &scales);
    if (raw == NULL) abort();
    *w = (fp8_weight){.rows = weight->shape[0], .cols = weight->shape[1], .codes = codes,
                      .grid_rows = scales->rank > 0 ? scales->shape[0] : 1, .grid_cols = scales->rank > 1 ? scales->shape[1] : 1};
    w->scales = malloc((size_t)scales->elements * sizeof *w->scales);
    for (int64_t i = 0; i < scales->elements; i++)
        w->scales[i] = fp8_scale_value(raw + i * (scales->bytes / scales->elements), scales->dtype);
    free(raw);
    return true;
}

static inline void fp8_weight_free(fp8_weight *w)
{
    free(w->codes);
    free(w->scales);
}

// One scale, one for each row, or one for each 128 rows and 128 columns: which it is shows in the grid.
static inline double fp8_weight_scale(const fp8_weight *w, int64_t row, int64_t col)
{
    if (w->grid_rows == 1 && w->grid_cols == 1) return w->scales[0];
    if (w->grid_rows == w->rows && w->grid_cols == 1) return w->scales[row];
    return w->scales[row / 128 * w->grid_cols + col / 128];
}

// The product is exact in double.
static inline float fp8_weight_value(const fp8_weight *w, int64_t row, int64_t col)
{
    return (float)(fp8_code_value(w->codes[row * w->cols + col]) * fp8_weight_scale(w, row, col));
}

// CRC-32 (ISO-HDLC), as zlib computes it.
static inline uint32_t fp8_crc32(const void *data, size_t bytes)
{
    uint32_t crc = 0xFFFFFFFF;
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    }
    return ~crc;
}

#endif
