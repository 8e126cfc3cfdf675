// The scalar table, the choice of a table for this CPU, and the bulk conversions over it.
#include "common/codec_ops.h"

#include <stdatomic.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static uint16_t load_u16(const void *src, size_t i)
{
    uint16_t value;
    memcpy(&value, (const char *)src + 2 * i, sizeof value);
    return value;
}

static void store_u16(void *dst, size_t i, uint16_t value)
{
    memcpy((char *)dst + 2 * i, &value, sizeof value);
}

static void scalar_bf16_to_f32(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = ft_bf16_to_f32(load_u16(src, i));
}

static void scalar_f32_to_bf16(void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) store_u16(dst, i, ft_f32_to_bf16(src[i]));
}

static void scalar_f16_to_f32(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = ft_f16_to_f32(load_u16(src, i));
}

static void scalar_f32_to_f16(void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) store_u16(dst, i, ft_f32_to_f16(src[i]));
}

static uint32_t scalar_amax_bits(const float *src, size_t n)
{
    uint32_t amax = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = ft_f32_to_bits(src[i]) & 0x7FFFFFFF;
        if (magnitude > amax) amax = magnitude;
    }
    return amax;
}

static void scalar_quantize(ft_e4m3 *codes, const float *src, size_t n, float scale, ft_tile_sums *sums)
{
    for (size_t i = 0; i < n; i++) {
        codes[i] = ft_f32_to_e4m3(src[i] / scale);
        double error = (double)(ft_e4m3_table[codes[i]] * scale) - (double)src[i];
        sums->error_sq[i % 8] += error * error;
        sums->norm_sq[i % 8] += (double)src[i] * (double)src[i];
    }
}

static void scalar_dequantize(float *dst, const ft_e4m3 *codes, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++) dst[i] = ft_e4m3_table[codes[i]] * scale;
}

const ft_codec_ops ft_codec_scalar = {
    .name = "scalar",
    .bf16_to_f32 = scalar_bf16_to_f32,
    .f32_to_bf16 = scalar_f32_to_bf16,
    .f16_to_f32 = scalar_f16_to_f32,
    .f32_to_f16 = scalar_f32_to_f16,
    .amax_bits = scalar_amax_bits,
    .quantize = scalar_quantize,
    .dequantize = scalar_dequantize,
};

#if defined(__x86_64__)
// Not every compiler's __builtin_cpu_supports knows f16c. That the system saves the registers is implied by its avx2 answer.
static bool has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

const ft_codec_ops *ft_codec_variant(size_t i)
{
    bool avx2 = __builtin_cpu_supports("avx2") && has_f16c();
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    if (i == 0) return &ft_codec_scalar;
    if (i == 1 && avx2) return &ft_codec_avx2;
    if (i == 2 && avx512) return &ft_codec_avx512;
    return NULL;
}
#else
const ft_codec_ops *ft_codec_variant(size_t i)
{
    return i == 0 ? &ft_codec_scalar : NULL;
}
#endif

const ft_codec_ops *ft_codec_best(void)
{
    // Threads that race here store the same value.
    static _Atomic(const ft_codec_ops *) best;
    const ft_codec_ops *ops = atomic_load_explicit(&best, memory_order_relaxed);
    if (ops != NULL) return ops;
    for (size_t i = 0; ft_codec_variant(i) != NULL; i++) ops = ft_codec_variant(i);
    atomic_store_explicit(&best, ops, memory_order_relaxed);
    return ops;
}

static void f64_to_f32(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, (const char *)src + 8 * i, sizeof value);
        dst[i] = (float)value;
    }
}

static void f32_to_f64(void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value = src[i];
        memcpy((char *)dst + 8 * i, &value, sizeof value);
    }
}

ft_status ft_convert_to_f32(float *dst, const void *src, ft_dtype dtype, size_t n)
{
    switch (dtype) {
    case FT_DTYPE_F32: if (n > 0) memcpy(dst, src, n * sizeof *dst); break;
    case FT_DTYPE_F16: ft_codec_best()->f16_to_f32(dst, src, n); break;
    case FT_DTYPE_BF16: ft_codec_best()->bf16_to_f32(dst, src, n); break;
    case FT_DTYPE_F64: f64_to_f32(dst, src, n); break;
    default: return ft_error(FT_E_UNSUPPORTED, "cannot convert %s to F32", ft_dtype_name(dtype));
    }
    return FT_OK;
}

ft_status ft_convert_from_f32(void *dst, const float *src, ft_dtype dtype, size_t n)
{
    switch (dtype) {
    case FT_DTYPE_F32: if (n > 0) memcpy(dst, src, n * sizeof *src); break;
    case FT_DTYPE_F16: ft_codec_best()->f32_to_f16(dst, src, n); break;
    case FT_DTYPE_BF16: ft_codec_best()->f32_to_bf16(dst, src, n); break;
    case FT_DTYPE_F64: f32_to_f64(dst, src, n); break;
    default: return ft_error(FT_E_UNSUPPORTED, "cannot convert F32 to %s", ft_dtype_name(dtype));
    }
    return FT_OK;
}
