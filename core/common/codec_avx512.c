// Number conversion with AVX-512 F and BW, as codec_avx2.c in twice the width.
#include "common/codec_ops.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx2,f16c,avx512f,avx512bw")))

AVX512 static inline __m512i set32(uint32_t bits)
{
    return _mm512_set1_epi32((int)bits);
}

AVX512 static void avx512_bf16_to_f32(float *dst, const void *src, size_t n)
{
    const uint8_t *from = src;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i half = _mm256_loadu_si256((const __m256i *)(from + 2 * i));
        _mm512_storeu_si512(dst + i, _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
    ft_codec_scalar.bf16_to_f32(dst + i, from + 2 * i, n - i);
}

AVX512 static void avx512_f32_to_bf16(void *dst, const float *src, size_t n)
{
    uint8_t *to = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i bits = _mm512_loadu_si512(src + i);
        __m512i top = _mm512_srli_epi32(bits, 16);
        __m512i half_ulp = _mm512_add_epi32(set32(0x7FFF), _mm512_and_si512(top, set32(1)));
        __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half_ulp), 16);
        __mmask16 is_nan = _mm512_cmpgt_epi32_mask(_mm512_and_si512(bits, set32(0x7FFFFFFF)), set32(0x7F800000));
        rounded = _mm512_mask_or_epi32(rounded, is_nan, top, set32(0x40));
        _mm256_storeu_si256((__m256i *)(to + 2 * i), _mm512_cvtepi32_epi16(rounded));
    }
    ft_codec_scalar.f32_to_bf16(to + 2 * i, src + i, n - i);
}

AVX512 static void avx512_f16_to_f32(float *dst, const void *src, size_t n)
{
    const uint8_t *from = src;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        _mm512_storeu_ps(dst + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(from + 2 * i))));
    }
    ft_codec_scalar.f16_to_f32(dst + i, from + 2 * i, n - i);
}

AVX512 static void avx512_f32_to_f16(void *dst, const float *src, size_t n)
{
    uint8_t *to = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i half = _mm512_cvtps_ph(_mm512_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_storeu_si256((__m256i *)(to + 2 * i), half);
    }
    ft_codec_scalar.f32_to_f16(to + 2 * i, src + i, n - i);
}

AVX512 static uint32_t avx512_amax_bits(const float *src, size_t n)
{
    __m512i max[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        for (int k = 0; k < 2; k++) {
            __m512i bits = _mm512_loadu_si512(src + i + 16 * k);
            max[k] = _mm512_max_epi32(max[k], _mm512_and_si512(bits, set32(0x7FFFFFFF)));
        }
    }
    uint32_t vectors = (uint32_t)_mm512_reduce_max_epi32(_mm512_max_epi32(max[0], max[1]));
    uint32_t rest = ft_codec_scalar.amax_bits(src + i, n - i);
    return vectors > rest ? vectors : rest;
}

// Sixteen E4M3 codes without sign in 32-bit lanes, and the magnitudes they stand for. Input: magnitudes, not NaN.
AVX512 static inline __m512i e4m3_lanes(__m512 magnitude, __m512 *value)
{
    __m512i bits = _mm512_castps_si512(magnitude);
    __mmask16 is_small = _mm512_cmplt_epi32_mask(bits, set32(0x3C800000));
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 20), set32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, set32(0x7FFFF)));
    __m512i code = _mm512_sub_epi32(_mm512_srli_epi32(rounded, 20), set32(120 << 3));
    // The ulp of 2^14 is 2^-9, the smallest subnormal: adding rounds to it, subtracting again is exact.
    __m512 shifted = _mm512_add_ps(magnitude, _mm512_set1_ps(0x1p14f));
    code = _mm512_mask_sub_epi32(code, is_small, _mm512_castps_si512(shifted), set32(0x46800000));
    *value = _mm512_castsi512_ps(_mm512_and_si512(rounded, set32(0xFFF00000)));
    *value = _mm512_mask_sub_ps(*value, is_small, shifted, _mm512_set1_ps(0x1p14f));
    *value = _mm512_min_ps(*value, _mm512_set1_ps(FT_E4M3_MAX));
    return _mm512_min_epi32(code, set32(0x7E));
}

AVX512 static inline __m512d low_double(__m512 x)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
}

AVX512 static inline __m512d high_double(__m512 x)
{
    return _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
}

AVX512 static inline __m512d add_square(__m512d sum, __m512d x)
{
    return _mm512_add_pd(sum, _mm512_mul_pd(x, x));
}

AVX512 static void avx512_quantize(ft_e4m3 *codes, const float *src, size_t n, float scale, ft_tile_sums *sums)
{
    __m512d error = _mm512_loadu_pd(sums->error_sq), norm = _mm512_loadu_pd(sums->norm_sq);
    const __m512 divisor = _mm512_set1_ps(scale);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512 w = _mm512_loadu_ps(src + i), value;
        __m512 magnitude = _mm512_abs_ps(w);
        __m512i code = e4m3_lanes(_mm512_div_ps(magnitude, divisor), &value);
        __m512i sign = _mm512_and_si512(_mm512_srli_epi32(_mm512_castps_si512(w), 24), set32(0x80));
        _mm_storeu_si128((__m128i *)(codes + i), _mm512_cvtepi32_epi8(_mm512_or_si512(code, sign)));
        // w and code share the sign, so the squares of magnitudes are the squares of the values.
        value = _mm512_mul_ps(value, divisor);
        error = add_square(error, _mm512_sub_pd(low_double(value), low_double(magnitude)));
        error = add_square(error, _mm512_sub_pd(high_double(value), high_double(magnitude)));
        norm = add_square(add_square(norm, low_double(magnitude)), high_double(magnitude));
    }
    _mm512_storeu_pd(sums->error_sq, error);
    _mm512_storeu_pd(sums->norm_sq, norm);
    ft_codec_scalar.quantize(codes + i, src + i, n - i, scale, sums);
}

// Thirty-two codes as f16 of 2^-8 their value: the same fields, moved up; exponents differ by the biases, 15 - 7.
AVX512 static inline __m512i e4m3_to_f16_lanes(__m512i codes)
{
    __m512i magnitude = _mm512_and_si512(codes, _mm512_set1_epi16(0x7F));
    __m512i sign = _mm512_slli_epi16(_mm512_andnot_si512(_mm512_set1_epi16(0x7F), codes), 8);
    __mmask32 is_nan = _mm512_cmpeq_epi16_mask(magnitude, _mm512_set1_epi16(0x7F));
    magnitude = _mm512_mask_mov_epi16(_mm512_slli_epi16(magnitude, 7), is_nan, _mm512_set1_epi16(0x7E00));
    return _mm512_or_si512(magnitude, sign);
}

AVX512 static void avx512_dequantize(float *dst, const ft_e4m3 *codes, size_t n, float scale)
{
    const __m512 bias = _mm512_set1_ps(0x1p8f), factor = _mm512_set1_ps(scale);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512i bytes = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(codes + i)));
        __m512i half = e4m3_to_f16_lanes(bytes);
        __m512 low = _mm512_mul_ps(_mm512_cvtph_ps(_mm512_castsi512_si256(half)), bias);
        __m512 high = _mm512_mul_ps(_mm512_cvtph_ps(_mm512_extracti64x4_epi64(half, 1)), bias);
        _mm512_storeu_ps(dst + i, _mm512_mul_ps(low, factor));
        _mm512_storeu_ps(dst + i + 16, _mm512_mul_ps(high, factor));
    }
    ft_codec_scalar.dequantize(dst + i, codes + i, n - i, scale);
}

const ft_codec_ops ft_codec_avx512 = {
    .name = "avx512",
    .bf16_to_f32 = avx512_bf16_to_f32,
    .f32_to_bf16 = avx512_f32_to_bf16,
    .f16_to_f32 = avx512_f16_to_f32,
    .f32_to_f16 = avx512_f32_to_f16,
    .amax_bits = avx512_amax_bits,
    .quantize = avx512_quantize,
    .dequantize = avx512_dequantize,
};
#endif
