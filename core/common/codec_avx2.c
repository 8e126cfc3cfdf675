// Number conversion with AVX2 and F16C. Whole vectors here, the rest through the scalar table.
#include "common/codec_ops.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,f16c")))

AVX2 static inline __m256i set32(uint32_t bits)
{
    return _mm256_set1_epi32((int)bits);
}

AVX2 static void avx2_bf16_to_f32(float *dst, const void *src, size_t n)
{
    const uint8_t *from = src;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i half = _mm_loadu_si128((const __m128i *)(from + 2 * i));
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
    }
    ft_codec_scalar.bf16_to_f32(dst + i, from + 2 * i, n - i);
}

// Eight bf16 in the low halves of 32-bit lanes.
AVX2 static inline __m256i bf16_lanes(__m256i bits)
{
    __m256i top = _mm256_srli_epi32(bits, 16);
    __m256i half_ulp = _mm256_add_epi32(set32(0x7FFF), _mm256_and_si256(top, set32(1)));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half_ulp), 16);
    __m256i is_nan = _mm256_cmpgt_epi32(_mm256_and_si256(bits, set32(0x7FFFFFFF)), set32(0x7F800000));
    return _mm256_blendv_epi8(rounded, _mm256_or_si256(top, set32(0x40)), is_nan);
}

AVX2 static void avx2_f32_to_bf16(void *dst, const float *src, size_t n)
{
    uint8_t *to = dst;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i low = bf16_lanes(_mm256_loadu_si256((const __m256i *)(src + i)));
        __m256i high = bf16_lanes(_mm256_loadu_si256((const __m256i *)(src + i + 8)));
        // packus works within 128-bit halves: put the quarters back in order.
        __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xD8);
        _mm256_storeu_si256((__m256i *)(to + 2 * i), packed);
    }
    ft_codec_scalar.f32_to_bf16(to + 2 * i, src + i, n - i);
}

AVX2 static void avx2_f16_to_f32(float *dst, const void *src, size_t n)
{
    const uint8_t *from = src;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + 2 * i))));
    }
    ft_codec_scalar.f16_to_f32(dst + i, from + 2 * i, n - i);
}

AVX2 static void avx2_f32_to_f16(void *dst, const float *src, size_t n)
{
    uint8_t *to = dst;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_storeu_si128((__m128i *)(to + 2 * i), half);
    }
    ft_codec_scalar.f32_to_f16(to + 2 * i, src + i, n - i);
}

AVX2 static uint32_t avx2_amax_bits(const float *src, size_t n)
{
    __m256i max[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int k = 0; k < 2; k++) {
            __m256i bits = _mm256_loadu_si256((const __m256i *)(src + i + 8 * k));
            max[k] = _mm256_max_epi32(max[k], _mm256_and_si256(bits, set32(0x7FFFFFFF)));
        }
    }
    uint32_t lanes[8];
    _mm256_storeu_si256((__m256i *)lanes, _mm256_max_epi32(max[0], max[1]));
    uint32_t amax = ft_codec_scalar.amax_bits(src + i, n - i);
    for (int k = 0; k < 8; k++) amax = lanes[k] > amax ? lanes[k] : amax;
    return amax;
}

// Eight E4M3 codes without sign in 32-bit lanes, and the magnitudes they stand for. Input: magnitudes, not NaN.
AVX2 static inline __m256i e4m3_lanes(__m256 magnitude, __m256 *value)
{
    __m256i bits = _mm256_castps_si256(magnitude);
    __m256i is_small = _mm256_cmpgt_epi32(set32(0x3C800000), bits);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 20), set32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, set32(0x7FFFF)));
    __m256i normal = _mm256_sub_epi32(_mm256_srli_epi32(rounded, 20), set32(120 << 3));
    // The ulp of 2^14 is 2^-9, the smallest subnormal: adding rounds to it, subtracting again is exact.
    __m256 shifted = _mm256_add_ps(magnitude, _mm256_set1_ps(0x1p14f));
    __m256i subnormal = _mm256_sub_epi32(_mm256_castps_si256(shifted), set32(0x46800000));
    __m256 small_value = _mm256_sub_ps(shifted, _mm256_set1_ps(0x1p14f));
    __m256 normal_value = _mm256_castsi256_ps(_mm256_and_si256(rounded, set32(0xFFF00000)));
    *value = _mm256_blendv_ps(normal_value, small_value, _mm256_castsi256_ps(is_small));
    *value = _mm256_min_ps(*value, _mm256_set1_ps(FT_E4M3_MAX));
    return _mm256_min_epi32(_mm256_blendv_epi8(normal, subnormal, is_small), set32(0x7E));
}

AVX2 static inline void store_codes(ft_e4m3 *codes, __m256i lanes)
{
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    _mm_storel_epi64((__m128i *)codes, _mm_packus_epi16(words, words));
}

// lanes[0..7] += (a - b)^2 in double.
AVX2 static inline void add_squares(__m256d lanes[2], __m256 a, __m256 b)
{
    __m256d low = _mm256_sub_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_castps256_ps128(b)));
    __m256d high = _mm256_sub_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)), _mm256_cvtps_pd(_mm256_extractf128_ps(b, 1)));
    lanes[0] = _mm256_add_pd(lanes[0], _mm256_mul_pd(low, low));
    lanes[1] = _mm256_add_pd(lanes[1], _mm256_mul_pd(high, high));
}

AVX2 static void avx2_quantize(ft_e4m3 *codes, const float *src, size_t n, float scale, ft_tile_sums *sums)
{
    __m256d error[2] = {_mm256_loadu_pd(sums->error_sq), _mm256_loadu_pd(sums->error_sq + 4)};
    __m256d norm[2] = {_mm256_loadu_pd(sums->norm_sq), _mm256_loadu_pd(sums->norm_sq + 4)};
    const __m256 divisor = _mm256_set1_ps(scale), sign_mask = _mm256_set1_ps(-0.0f);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 w = _mm256_loadu_ps(src + i), value;
        __m256 magnitude = _mm256_andnot_ps(sign_mask, w);
        __m256i lanes = e4m3_lanes(_mm256_div_ps(magnitude, divisor), &value);
        __m256i sign = _mm256_srli_epi32(_mm256_castps_si256(_mm256_and_ps(w, sign_mask)), 24);
        store_codes(codes + i, _mm256_or_si256(lanes, sign));
        // w and code share the sign, so the squares of magnitudes are the squares of the values.
        add_squares(error, _mm256_mul_ps(value, divisor), magnitude);
        add_squares(norm, magnitude, _mm256_setzero_ps());
    }
    _mm256_storeu_pd(sums->error_sq, error[0]);
    _mm256_storeu_pd(sums->error_sq + 4, error[1]);
    _mm256_storeu_pd(sums->norm_sq, norm[0]);
    _mm256_storeu_pd(sums->norm_sq + 4, norm[1]);
    ft_codec_scalar.quantize(codes + i, src + i, n - i, scale, sums);
}

// Sixteen codes as f16 of 2^-8 their value: the same fields, moved up; exponents differ by the biases, 15 - 7. F16C reads
// subnormals at full speed.
AVX2 static inline __m256i e4m3_to_f16_lanes(__m256i codes)
{
    __m256i magnitude = _mm256_and_si256(codes, _mm256_set1_epi16(0x7F));
    __m256i sign = _mm256_slli_epi16(_mm256_andnot_si256(_mm256_set1_epi16(0x7F), codes), 8);
    __m256i is_nan = _mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x7F));
    __m256i half = _mm256_or_si256(_mm256_slli_epi16(magnitude, 7), sign);
    return _mm256_xor_si256(half, _mm256_and_si256(is_nan, _mm256_set1_epi16(0x3F80 ^ 0x7E00)));
}

AVX2 static void avx2_dequantize(float *dst, const ft_e4m3 *codes, size_t n, float scale)
{
    const __m256 bias = _mm256_set1_ps(0x1p8f), factor = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(codes + i)));
        __m256i half = e4m3_to_f16_lanes(bytes);
        __m256 low = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(half)), bias);
        __m256 high = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(half, 1)), bias);
        _mm256_storeu_ps(dst + i, _mm256_mul_ps(low, factor));
        _mm256_storeu_ps(dst + i + 8, _mm256_mul_ps(high, factor));
    }
    ft_codec_scalar.dequantize(dst + i, codes + i, n - i, scale);
}

const ft_codec_ops ft_codec_avx2 = {
    .name = "avx2",
    .bf16_to_f32 = avx2_bf16_to_f32,
    .f32_to_bf16 = avx2_f32_to_bf16,
    .f16_to_f32 = avx2_f16_to_f32,
    .f32_to_f16 = avx2_f32_to_f16,
    .amax_bits = avx2_amax_bits,
    .quantize = avx2_quantize,
    .dequantize = avx2_dequantize,
};
#endif
