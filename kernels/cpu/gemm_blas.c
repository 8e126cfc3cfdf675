// Products by OpenBLAS, one call per term.
#include <cblas.h>
#include <limits.h>
#include <string.h>

#include "kernels/cpu/gemm_kernel.h"

// sgemm would pack all of B for a single use. C is cleared because not every sgemv takes beta 0 to mean that what is there, a
// NaN say, does not count.
static void row_times_matrix(const ft_gemm_term *t, float *c, int64_t n, float beta)
{
    if (beta == 0) memset(c, 0, (size_t)n * sizeof *c);
    int64_t rows = t->b_transposed ? n : t->k, cols = t->b_transposed ? t->k : n;
    cblas_sgemv(CblasRowMajor, t->b_transposed ? CblasNoTrans : CblasTrans, (blasint)rows, (blasint)cols, t->alpha, t->b,
                (blasint)t->ldb, t->a, (blasint)(t->a_transposed ? t->lda : 1), beta, c, 1);
}

void ft_gemm_blas(const ft_gemm_sum *sum, ft_gemm_part part)
{
    float *c = sum->c + part.row * sum->ldc + part.col;
    for (int i = 0; i < sum->n_terms; i++) {
        ft_gemm_term t = sum->term[i];
        float beta = i == 0 ? sum->beta : 1;
        FT_ASSERT(part.rows <= INT_MAX && part.cols <= INT_MAX && t.k <= INT_MAX);
        FT_ASSERT(t.lda <= INT_MAX && t.ldb <= INT_MAX && sum->ldc <= INT_MAX);
        t.a += t.a_transposed ? part.row : part.row * t.lda;
        t.b += t.b_transposed ? part.col * t.ldb : part.col;
        if (part.rows == 1) row_times_matrix(&t, c, part.cols, beta);
        else cblas_sgemm(CblasRowMajor, t.a_transposed ? CblasTrans : CblasNoTrans, t.b_transposed ? CblasTrans : CblasNoTrans,
                         (blasint)part.rows, (blasint)part.cols, (blasint)t.k, t.alpha, t.a, (blasint)t.lda, t.b, (blasint)t.ldb,
                         beta, c, (blasint)sum->ldc);
    }
}
