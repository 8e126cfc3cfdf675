// Number formats: float32 <-> bf16, f16, E4M3FN. The scalar functions are the definition; bulk conversions choose AVX2 or
// AVX-512 at run time (core/common/codec_ops.h) and give exactly the scalar bits.
//
// Every narrowing rounds to nearest even. NaN between IEEE formats keeps its sign and the payload bits that fit, counted from
// the top, and its quiet bit is set (what F16C and cvtsd2ss do). E4M3FN: 1-4-3, bias 7, max 448 (0x7E), NaN 0x7F/0xFF, no
// infinity; saturating (OCP OFP8 v1.0, section 5; cuda_fp8.h __NV_SATFINITE).
#ifndef FT_COMMON_CODEC_H
#define FT_COMMON_CODEC_H

#include <string.h>

#include "common/dtype.h"

typedef uint16_t ft_bf16;
typedef uint16_t ft_f16;
typedef uint8_t ft_e4m3;

#define FT_E4M3_MAX 448.0f
#define FT_TILE 128  // rows and columns of a scale tile

static inline float ft_bits_to_f32(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t ft_f32_to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float ft_bf16_to_f32(ft_bf16 value)
{
    return ft_bits_to_f32((uint32_t)value << 16);
}

ft_bf16 ft_f32_to_bf16(float value);
float ft_f16_to_f32(ft_f16 value);
ft_f16 ft_f32_to_f16(float value);
float ft_e4m3_to_f32(ft_e4m3 code);
ft_e4m3 ft_f32_to_e4m3(float value);  // saturating; +-Inf -> +-448; NaN -> 0x7F with the sign
extern const float ft_e4m3_table[256];

// Bulk: n elements of `dtype` (F32, F16, BF16, F64) to float32 and back. FT_E_UNSUPPORTED for other types. The side that is
// not float32 needs no alignment; the two must not overlap.
ft_status ft_convert_to_f32(float *dst, const void *src, ft_dtype dtype, size_t n);
ft_status ft_convert_from_f32(void *dst, const float *src, ft_dtype dtype, size_t n);

// Whether n elements of F32, F16, BF16 or F8_E4M3 are neither infinite nor NaN. No alignment is needed.
bool ft_all_finite(const void *data, ft_dtype dtype, int64_t n);

// How scales of a quantized matrix [rows = out features, cols = in features] are laid out.
typedef enum {
    FT_SCALE_NONE,    // not quantized
    FT_SCALE_TENSOR,  // one float
    FT_SCALE_ROW,     // one float per row
    FT_SCALE_TILE,    // one float per 128x128 tile, partial tiles at the edges
} ft_scale_kind;
const char *ft_scale_kind_name(ft_scale_kind kind);  // "none", "tensor", "row", "tile"

// Floats of the scale array of a matrix, W orientation. TILE: ceil(rows/128) x round_up(ceil(cols/128), 4), the row stride
// cuBLASLt's BLK128x128 layout wants ("L4"); padding entries are 1. ROW: rows rounded up to 4. TENSOR: 4 (entry 0 is used).
size_t ft_scale_count(ft_scale_kind kind, int64_t rows, int64_t cols);
static inline int64_t ft_scale_stride(int64_t cols) { return ((cols + FT_TILE - 1) / FT_TILE + 3) / 4 * 4; }

// Quantizes rows [row0, row0 + n_rows) of a row-major float32 matrix into codes (ld = cols) and its tile scales:
// scale = amax/448 (amax 0 -> 1), code = sat_rne(w / scale). `src` and `codes` hold those rows only; row0 must be a multiple
// of 128, and n_rows too unless they are the last rows. `scales` is the whole array of ft_scale_count(TILE, rows, cols): the
// tile rows covered are written, padding entries included. An amax below 448 * FLT_MIN takes FLT_MIN as its scale, so that a
// scale is never subnormal. *error_sq += sum (code*scale - w)^2, *norm_sq += sum w^2, in an order that depends only on the
// shape. FT_E_NUMERIC with the element's row and column if a value is NaN or Inf; codes and scales are then unspecified.
ft_status ft_quantize_tile(ft_e4m3 *codes, float *scales, const float *src, int64_t row0, int64_t n_rows, int64_t cols,
                           double *error_sq, double *norm_sq);
// W^T's tile scales from W's: transposed grid of ceil(cols/128) x round_up(ceil(rows/128), 4), padding 1.
void ft_scale_transpose(float *dst, const float *src, int64_t rows, int64_t cols);
// Rows [row0, row0 + n_rows) to float32: code * scale, one rounding. `codes` (ld = cols) and dst (ld = dst_ld >= cols) hold
// those rows only; `scales` is the whole array (NULL for NONE, which multiplies by 1); row0 is arbitrary.
void ft_dequantize_rows(float *dst, int64_t dst_ld, const ft_e4m3 *codes, const float *scales, ft_scale_kind kind,
                        int64_t row0, int64_t n_rows, int64_t cols);

#endif
