// bf16 products with AVX512_BF16: as gemm_avx512.c with pairs of neighbours along k in a 32-bit word. vdpbf16ps adds both
// products of a pair to a float32 sum and flushes denormals.
#include "kernels/cpu/gemm_kernel.h"

#if defined(__x86_64__)
#include "kernels/cpu/gemm_avx512.h"

#define BF16 __attribute__((target("avx512f,avx512bw,avx512bf16")))
#define BF16_INLINE BF16 static inline __attribute__((always_inline))

enum { ROWS = 8, LANES = 16, VECTORS = 3 };

// 32 floats of a row to 16 pairs; lanes beyond n are zero.
BF16_INLINE __m512i pairs(const float *a, int64_t n)
{
    __m512 low = _mm512_maskz_loadu_ps(first_lanes(n), a), high = _mm512_maskz_loadu_ps(first_lanes(n - LANES), a + LANES);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

// Pairs of B stored [n, k]: words of 32 k by 16 columns, transposed as words.
BF16 static void pack_transposed(uint32_t *panel, int64_t width, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    for (int64_t at = 0; at < k; at += 2 * LANES) {
        __m512 block[LANES];
        int64_t left = k - at, words = left < 2 * LANES ? (left + 1) / 2 : LANES;
        for (int64_t j = 0; j < LANES; j++) block[j] = _mm512_castsi512_ps(j < n ? pairs(b + j * ldb + at, left) : _mm512_setzero_si512());
        transpose(block);
        for (int64_t i = 0; i < words; i++) _mm512_storeu_ps(panel + (at / 2 + i) * width, block[i]);
    }
}

// Two rows of B stored [k, n] become one row of pairs.
BF16 static void pack_rows(uint32_t *panel, int64_t width, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    __mmask16 mask = first_lanes(n);
    for (int64_t i = 0; i < k; i += 2) {
        __m512 even = _mm512_maskz_loadu_ps(mask, b + i * ldb);
        __m512 odd = i + 1 < k ? _mm512_maskz_loadu_ps(mask, b + (i + 1) * ldb) : _mm512_setzero_ps();
        __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even)), high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
        _mm512_storeu_si512(panel + i / 2 * width, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
}

static void pack(void *panel, int64_t width, const ft_gemm_source *s)
{
    for (int64_t col = 0; col < width; col += LANES) {
        int64_t n = s->n - col < LANES ? s->n - col : LANES;
        uint32_t *to = (uint32_t *)panel + col;
        if (s->transposed) pack_transposed(to, width, s->b + col * s->ldb, s->ldb, s->k, n);
        else pack_rows(to, width, s->b + col, s->ldb, s->k, n);
    }
}

BF16 static void pack_a(uint16_t *dst, int64_t stride, const float *a, int64_t row_stride, int64_t k_stride, int64_t rows, int64_t k)
{
    for (int64_t row = 0; row < rows; row++, dst += stride, a += row_stride) {
        for (int64_t at = 0; at < k; at += 2 * LANES) {
            float gathered[2 * LANES];
            const float *from = a + at;
            int64_t n = k - at < 2 * LANES ? k - at : 2 * LANES;
            if (k_stride != 1) {
                for (int64_t i = 0; i < n; i++) gathered[i] = a[(at + i) * k_stride];
                from = gathered;
            }
            _mm512_mask_storeu_epi32(dst + at, first_lanes((n + 1) / 2), pairs(from, n));
        }
    }
}

// t->a holds pairs: strides and k count words.
BF16_INLINE void multiply_vectors(const ft_gemm_tile *t, const int vectors)
{
    const float *a[ROWS], *panel = t->panel;
    __m512 sum[ROWS][VECTORS];
    tile_begin(t, a, ROWS);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) sum[i][v] = _mm512_setzero_ps();
    for (int64_t at = 0; at < t->k; at++, panel += vectors * LANES) {
        __m512bh b[VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) b[v] = (__m512bh)_mm512_loadu_ps(panel + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
            __m512bh x = (__m512bh)_mm512_set1_ps(a[i][at]);
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++) sum[i][v] = _mm512_dpbf16_ps(sum[i][v], x, b[v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
        if (i < t->rows) tile_store_row(t, i, sum[i], vectors);
    }
}

BF16 static void multiply(const ft_gemm_tile *t, int64_t width)
{
    if (width == 48) multiply_vectors(t, 3);
    else if (width == 32) multiply_vectors(t, 2);
    else multiply_vectors(t, 1);
}

const ft_gemm_kernel ft_gemm_avx512_bf16 = {.rows = ROWS, .cols = VECTORS * LANES, .lanes = LANES, .pack = pack, .multiply = multiply, .pack_a = pack_a};
#endif
