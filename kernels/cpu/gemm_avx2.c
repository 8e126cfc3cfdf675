// Float32 products with AVX2 and FMA: tiles of 6 x 16, 12 sums in registers.
#include "kernels/cpu/gemm_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE AVX2 static inline __attribute__((always_inline))

enum { ROWS = 6, LANES = 8, VECTORS = 2 };

// 8 x 8: pairs of rows, pairs of pairs within 128-bit halves, then the halves.
AVX2_INLINE void transpose(__m256 r[LANES])
{
    __m256 t[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < LANES; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++) r[i] = t[i];
}

// One value at a time: what whole blocks leave over.
static void pack_edge(float *panel, int64_t width, const ft_gemm_source *s, int64_t col, int64_t from)
{
    for (int64_t i = from; i < s->k; i++) {
        for (int64_t j = col; j < col + LANES; j++)
            panel[i * width + j] = j >= s->n ? 0 : s->transposed ? s->b[j * s->ldb + i] : s->b[i * s->ldb + j];
    }
}

AVX2 static int64_t pack_transposed(float *panel, int64_t width, const float *b, int64_t ldb, int64_t k)
{
    int64_t at = 0;
    for (; at + LANES <= k; at += LANES) {
        __m256 block[LANES];
        for (int64_t j = 0; j < LANES; j++) block[j] = _mm256_loadu_ps(b + j * ldb + at);
        transpose(block);
        for (int64_t i = 0; i < LANES; i++) _mm256_storeu_ps(panel + (at + i) * width, block[i]);
    }
    return at;
}

static void pack(void *to, int64_t width, const ft_gemm_source *s)
{
    float *panel = to;
    for (int64_t col = 0; col < width; col += LANES) {
        int64_t done = 0;
        if (col + LANES <= s->n && s->transposed) done = pack_transposed(panel + col, width, s->b + col * s->ldb, s->ldb, s->k);
        else if (col + LANES <= s->n)
            for (; done < s->k; done++) memcpy(panel + done * width + col, s->b + done * s->ldb + col, LANES * sizeof *panel);
        pack_edge(panel, width, s, col, done);
    }
}

// alpha sum (+ beta c) for the columns that exist.
AVX2_INLINE void store_row(const ft_gemm_tile *t, int row, const __m256 *sum, const int vectors)
{
    float *c = t->c + row * t->ldc;
    __m256 alpha = _mm256_set1_ps(t->alpha), beta = _mm256_set1_ps(t->beta);
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(t->cols - v * LANES)), lane);
        __m256 value = _mm256_mul_ps(alpha, sum[v]);
        if (t->beta != 0) value = _mm256_fmadd_ps(beta, _mm256_maskload_ps(c + v * LANES, mask), value);
        _mm256_maskstore_ps(c + v * LANES, mask, value);
    }
}

// Missing rows read row 0 and are not stored.
AVX2_INLINE void multiply_vectors(const ft_gemm_tile *t, const int vectors)
{
    const float *a[ROWS], *panel = t->panel;
    __m256 sum[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++) {
        int64_t row = i < t->rows ? i : 0;
        a[i] = t->a + row * t->row_stride;
        _mm_prefetch((const char *)(t->c + row * t->ldc), _MM_HINT_T0);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_setzero_ps();
    }
    int64_t stride = t->k_stride, end = t->k * stride;
    for (int64_t at = 0; at < end; at += stride, panel += vectors * LANES) {
        __m256 b[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) b[v] = _mm256_loadu_ps(panel + v * LANES);
#pragma GCC unroll 6
        for (int i = 0; i < ROWS; i++) {
            __m256 x = _mm256_broadcast_ss(a[i] + at);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_fmadd_ps(x, b[v], sum[i][v]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < ROWS; i++) {
        if (i < t->rows) store_row(t, i, sum[i], vectors);
    }
}

AVX2 static void multiply(const ft_gemm_tile *t, int64_t width)
{
    if (width == VECTORS * LANES) multiply_vectors(t, 2);
    else multiply_vectors(t, 1);
}

const ft_gemm_kernel ft_gemm_avx2 = {.rows = ROWS, .cols = VECTORS * LANES, .lanes = LANES, .pack = pack, .multiply = multiply};
#endif
