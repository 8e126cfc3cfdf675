// What the float32 and bf16 kernels of AVX-512 share.
#ifndef FT_KERNELS_CPU_GEMM_AVX512_H
#define FT_KERNELS_CPU_GEMM_AVX512_H

#include <immintrin.h>

#include "kernels/cpu/gemm_kernel.h"

#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define AVX512_INLINE AVX512 static inline __attribute__((always_inline))

AVX512_INLINE __mmask16 first_lanes(int64_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1 << n) - 1);
}

// 16 x 16 words. Pairs of rows, then pairs of pairs within 128-bit quarters, then the quarters.
AVX512_INLINE void transpose(__m512 r[16])
{
    __m512 t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    }
    // r[4 g + i] holds, in quarter q, words 4 g .. 4 g + 3 of column 4 q + i.
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512 even_low = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88), odd_low = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xDD);
        __m512 even_high = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88), odd_high = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xDD);
        t[i] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
        t[8 + i] = _mm512_shuffle_f32x4(even_low, even_high, 0xDD);
        t[4 + i] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        t[12 + i] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xDD);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) r[i] = t[i];
}

// Row pointers of a tile (missing rows read row 0 and are not stored), and its lines of C on their way into the cache.
AVX512_INLINE void tile_begin(const ft_gemm_tile *t, const float **a, int rows)
{
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        int64_t row = i < t->rows ? i : 0;
        a[i] = t->a + row * t->row_stride;
        for (int64_t col = 0; col < t->cols; col += 16) _mm_prefetch((const char *)(t->c + row * t->ldc + col), _MM_HINT_T0);
    }
}

AVX512_INLINE void tile_store_row(const ft_gemm_tile *t, int row, const __m512 *sum, const int vectors)
{
    float *c = t->c + row * t->ldc;
    __m512 alpha = _mm512_set1_ps(t->alpha), beta = _mm512_set1_ps(t->beta);
#pragma GCC unroll 3
    for (int v = 0; v < vectors; v++) {
        __mmask16 mask = first_lanes(t->cols - v * 16);
        __m512 value = _mm512_mul_ps(alpha, sum[v]);
        if (t->beta != 0) value = _mm512_fmadd_ps(beta, _mm512_maskz_loadu_ps(mask, c + v * 16), value);
        _mm512_mask_storeu_ps(c + v * 16, mask, value);
    }
}

#endif
