// Scalar definitions of the number formats. Integer arithmetic and additions of normal numbers only, so that flush-to-zero
// modes set by a library loaded into the process change nothing.
#include "common/codec.h"

// Eight codes of one exponent. Multiples of 2^-9, the smallest subnormal, as integers: exact.
#define MAGNITUDES(exponent, sign, last)                                                                  \
    sign VALUE(exponent, 0), sign VALUE(exponent, 1), sign VALUE(exponent, 2), sign VALUE(exponent, 3),   \
    sign VALUE(exponent, 4), sign VALUE(exponent, 5), sign VALUE(exponent, 6), last
#define VALUE(exponent, mantissa) \
    ((float)((exponent) == 0 ? (mantissa) : (8 + (mantissa)) << ((exponent) > 0 ? (exponent) - 1 : 0)) * 0x1p-9f)
#define EXPONENT(exponent, sign) MAGNITUDES(exponent, sign, sign VALUE(exponent, 7))
#define HALF(sign)                                                                                         \
    EXPONENT(0, sign), EXPONENT(1, sign), EXPONENT(2, sign), EXPONENT(3, sign), EXPONENT(4, sign),         \
    EXPONENT(5, sign), EXPONENT(6, sign), EXPONENT(7, sign), EXPONENT(8, sign), EXPONENT(9, sign),         \
    EXPONENT(10, sign), EXPONENT(11, sign), EXPONENT(12, sign), EXPONENT(13, sign), EXPONENT(14, sign),    \
    MAGNITUDES(15, sign, sign __builtin_nanf(""))

const float ft_e4m3_table[256] = {HALF(+), HALF(-)};

ft_bf16 ft_f32_to_bf16(float value)
{
    uint32_t bits = ft_f32_to_bits(value);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return (ft_bf16)(bits >> 16 | 0x40);
    return (ft_bf16)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float ft_f16_to_f32(ft_f16 value)
{
    uint32_t sign = (uint32_t)(value & 0x8000) << 16;
    uint32_t magnitude = value & 0x7FFF;
    if (magnitude > 0x7C00) return ft_bits_to_f32(sign | 0x7FC00000 | magnitude << 13);
    if (magnitude == 0x7C00) return ft_bits_to_f32(sign | 0x7F800000);
    if (magnitude >= 0x0400) return ft_bits_to_f32(sign | ((magnitude << 13) + (112u << 23)));
    return ft_bits_to_f32(sign | ft_f32_to_bits((float)magnitude * 0x1p-24f));
}

ft_f16 ft_f32_to_f16(float value)
{
    uint32_t bits = ft_f32_to_bits(value);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) return (ft_f16)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    if (magnitude >= 0x47800000) return (ft_f16)(sign | 0x7C00);  // 65536 and above
    // Below 2^-14 the result is subnormal: the ulp of 0.5 is 2^-24, so the addition rounds to it.
    if (magnitude < 0x38800000) return (ft_f16)(sign | (ft_f32_to_bits(ft_bits_to_f32(magnitude) + 0.5f) - 0x3F000000));
    uint32_t rounded = (magnitude + 0xFFF + (magnitude >> 13 & 1)) >> 13;
    return (ft_f16)(sign | (rounded - (112u << 10)));
}

float ft_e4m3_to_f32(ft_e4m3 code)
{
    return ft_e4m3_table[code];
}

ft_e4m3 ft_f32_to_e4m3(float value)
{
    uint32_t bits = ft_f32_to_bits(value);
    uint32_t sign = bits >> 24 & 0x80;
    uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) return (ft_e4m3)(sign | 0x7F);
    // Below 2^-6 the result is subnormal: the ulp of 2^14 is 2^-9, so the addition rounds to it.
    if (magnitude < 0x3C800000) return (ft_e4m3)(sign | (ft_f32_to_bits(ft_bits_to_f32(magnitude) + 0x1p14f) - 0x46800000));
    uint32_t rounded = (magnitude + 0x7FFFF + (magnitude >> 20 & 1)) >> 20;
    uint32_t code = rounded - (120u << 3);
    return (ft_e4m3)(sign | (code < 0x7E ? code : 0x7E));
}

// Inf and NaN have every exponent bit set. The loops only OR, so that they vectorise.
static bool all_finite_16(const char *at, int64_t n, uint16_t exponent)
{
    uint32_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, at + i * (int64_t)sizeof bits, sizeof bits);
        found |= (bits & exponent) == exponent;
    }
    return found == 0;
}

static bool all_finite_32(const char *at, int64_t n)
{
    uint32_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, at + i * (int64_t)sizeof bits, sizeof bits);
        found |= (bits & 0x7F800000) == 0x7F800000;
    }
    return found == 0;
}

// E4M3 has no infinity; NaN has every bit but the sign set.
static bool all_finite_8(const ft_e4m3 *codes, int64_t n)
{
    uint32_t found = 0;
    for (int64_t i = 0; i < n; i++) found |= (codes[i] & 0x7F) == 0x7F;
    return found == 0;
}

bool ft_all_finite(const void *data, ft_dtype dtype, int64_t n)
{
    if (dtype == FT_DTYPE_F8_E4M3) return all_finite_8(data, n);
    if (dtype == FT_DTYPE_F32) return all_finite_32(data, n);
    FT_ASSERT(dtype == FT_DTYPE_F16 || dtype == FT_DTYPE_BF16);
    return all_finite_16(data, n, dtype == FT_DTYPE_BF16 ? 0x7F80 : 0x7C00);
}

const char *ft_scale_kind_name(ft_scale_kind kind)
{
    static const char *const names[] = {[FT_SCALE_NONE] = "none", [FT_SCALE_TENSOR] = "tensor", [FT_SCALE_ROW] = "row",
                                        [FT_SCALE_TILE] = "tile"};
    return names[kind];
}
