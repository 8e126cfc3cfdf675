// Loops that the compiler turns into vector code, with the same bits whatever the vector width.
//
// Elementwise loops have these bits anyway. A reduction keeps FT_LANES partial values, element i in lane i % FT_LANES, and adds
// the lanes as a tree: the order is written out, so 4, 8 or 16 at a time is the same sum. No FMA is formed (-ffp-contract=off).
#ifndef FT_KERNELS_CPU_VECTOR_H
#define FT_KERNELS_CPU_VECTOR_H

#include <stdint.h>

#include "common/codec.h"

// Compiled once per instruction set, chosen at load time. Sanitizers instrument the chooser, which runs before they are set up.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define FT_VECTOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FT_VECTOR
#endif
#define FT_VECTOR_INLINE static inline __attribute__((always_inline))

#define FT_LANES 16

FT_VECTOR_INLINE float ft_lanes_add(float lane[FT_LANES])
{
    for (int width = FT_LANES / 2; width > 0; width /= 2) {
        for (int l = 0; l < width; l++) lane[l] += lane[l + width];
    }
    return lane[0];
}

FT_VECTOR_INLINE float ft_dot(const float *a, const float *b, int64_t n)
{
    float lane[FT_LANES] = {0};
    int64_t i = 0;
    for (; i + FT_LANES <= n; i += FT_LANES) {
        for (int l = 0; l < FT_LANES; l++) lane[l] += a[i + l] * b[i + l];
    }
    for (; i < n; i++) lane[i % FT_LANES] += a[i] * b[i];
    return ft_lanes_add(lane);
}

FT_VECTOR_INLINE float ft_sum(const float *a, int64_t n)
{
    float lane[FT_LANES] = {0};
    int64_t i = 0;
    for (; i + FT_LANES <= n; i += FT_LANES) {
        for (int l = 0; l < FT_LANES; l++) lane[l] += a[i + l];
    }
    for (; i < n; i++) lane[i % FT_LANES] += a[i];
    return ft_lanes_add(lane);
}

// NaN is passed over; -Inf if there is nothing else.
FT_VECTOR_INLINE float ft_largest(const float *a, int64_t n)
{
    float lane[FT_LANES];
    for (int l = 0; l < FT_LANES; l++) lane[l] = -__builtin_inff();
    int64_t i = 0;
    for (; i + FT_LANES <= n; i += FT_LANES) {
        for (int l = 0; l < FT_LANES; l++) lane[l] = a[i + l] > lane[l] ? a[i + l] : lane[l];
    }
    for (; i < n; i++) lane[i % FT_LANES] = a[i] > lane[i % FT_LANES] ? a[i] : lane[i % FT_LANES];
    for (int l = 1; l < FT_LANES; l++) lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
    return lane[0];
}

// e^x within 1 ulp (measured: 0.8) for x in [-87, 88]; 0 below, e^88 above, NaN stays NaN. x = n ln 2 + r with |r| <= ln(2)/2,
// where e^r's Taylor series to r^7 leaves 5e-9; ln 2 is split so that n times its high part is exact. Adding 1.5 * 2^23 rounds to
// an integer and leaves n in the low bits of the float, from where it is shifted into the exponent.
FT_VECTOR_INLINE float ft_exp(float x)
{
    float c = x < -87.0f ? -87.0f : x;
    c = c > 88.0f ? 88.0f : c;
    float shifted = c * 1.44269504f + 12582912.0f;
    float n = shifted - 12582912.0f;
    float r = c - n * 0.693359375f - n * -2.12194440e-4f;
    float sum = 1.0f / 5040;
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 1.0f / 2;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    float power = ft_bits_to_f32((ft_f32_to_bits(shifted) << 23) + 0x3F800000u);
    return x < -87.0f ? 0.0f : sum * power;
}

FT_VECTOR_INLINE float ft_sigmoid(float x)
{
    return 1.0f / (1.0f + ft_exp(-x));
}

#endif
