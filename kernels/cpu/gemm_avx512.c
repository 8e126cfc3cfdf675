// Float32 products with AVX-512: tiles of 8 x 48, 24 sums in registers, 11 loads for 24 multiply-adds.
#include "kernels/cpu/gemm_kernel.h"

#if defined(__x86_64__)
#include "kernels/cpu/gemm_avx512.h"

enum { ROWS = 8, LANES = 16, VECTORS = 3 };

// panel rows [0, k) of 16 columns from B stored [n, k].
AVX512 static void pack_transposed(float *panel, int64_t width, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    for (int64_t at = 0; at < k; at += LANES) {
        __m512 block[LANES];
        int64_t depth = k - at < LANES ? k - at : LANES;
        __mmask16 mask = first_lanes(depth);
        for (int64_t j = 0; j < LANES; j++) block[j] = j < n ? _mm512_maskz_loadu_ps(mask, b + j * ldb + at) : _mm512_setzero_ps();
        transpose(block);
        for (int64_t i = 0; i < depth; i++) _mm512_storeu_ps(panel + (at + i) * width, block[i]);
    }
}

AVX512 static void pack_rows(float *panel, int64_t width, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    __mmask16 mask = first_lanes(n);
    for (int64_t i = 0; i < k; i++) _mm512_storeu_ps(panel + i * width, _mm512_maskz_loadu_ps(mask, b + i * ldb));
}

static void pack(void *panel, int64_t width, const ft_gemm_source *s)
{
    for (int64_t col = 0; col < width; col += LANES) {
        int64_t n = s->n - col < LANES ? s->n - col : LANES;
        float *to = (float *)panel + col;
        if (s->transposed) pack_transposed(to, width, s->b + col * s->ldb, s->ldb, s->k, n);
        else pack_rows(to, width, s->b + col, s->ldb, s->k, n);
    }
}

AVX512_INLINE void multiply_vectors(const ft_gemm_tile *t, const int vectors)
{
    const float *a[ROWS], *panel = t->panel;
    __m512 sum[ROWS][VECTORS];
    tile_begin(t, a, ROWS);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) sum[i][v] = _mm512_setzero_ps();
    int64_t stride = t->k_stride, end = t->k * stride;
    for (int64_t at = 0; at < end; at += stride, panel += vectors * LANES) {
        __m512 b[VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) b[v] = _mm512_loadu_ps(panel + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
            __m512 x = _mm512_set1_ps(a[i][at]);
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++) sum[i][v] = _mm512_fmadd_ps(x, b[v], sum[i][v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
        if (i < t->rows) tile_store_row(t, i, sum[i], vectors);
    }
}

AVX512 static void multiply(const ft_gemm_tile *t, int64_t width)
{
    if (width == 48) multiply_vectors(t, 3);
    else if (width == 32) multiply_vectors(t, 2);
    else multiply_vectors(t, 1);
}

const ft_gemm_kernel ft_gemm_avx512 = {.rows = ROWS, .cols = VECTORS * LANES, .lanes = LANES, .pack = pack, .multiply = multiply};
#endif
