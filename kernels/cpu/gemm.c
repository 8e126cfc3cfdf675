#include "kernels/cpu/gemm.h"

#include <cblas.h>
#include <limits.h>
#include <string.h>

#include "common/threads.h"

// Large tiles pack each operand fewer times; many tiles balance the threads. A dimension is cut until there are TILES_WANTED
// tiles, as long as the tile stays above TILE_LEAST; TILE_ROWS x TILE_COLS floats of C are the largest tile.
enum { TILE_ROWS = 256, TILE_COLS = 512, TILE_LEAST = 128, TILES_WANTED = 32, TILE_ALIGN = 16 };

typedef struct {
    const ft_gemm *gemm;
    int64_t rows, cols;  // tiles along m and n
} tiling;

void ft_gemm_setup(void)
{
    openblas_set_num_threads(1);
}

// One row (generation): sgemm would pack all of B for a single use. C is cleared because not every sgemv takes beta 0 to mean
// that what is there, a NaN say, does not count.
static void row_times_matrix(const ft_gemm *g)
{
    if (g->beta == 0) memset(g->c, 0, (size_t)g->n * sizeof *g->c);
    int64_t rows = g->b_transposed ? g->n : g->k, cols = g->b_transposed ? g->k : g->n;
    cblas_sgemv(CblasRowMajor, g->b_transposed ? CblasNoTrans : CblasTrans, (blasint)rows, (blasint)cols, g->alpha, g->b,
                (blasint)g->ldb, g->a, (blasint)(g->a_transposed ? g->lda : 1), g->beta, g->c, 1);
}

void ft_gemm_serial(const ft_gemm *g)
{
    if (g->m == 0 || g->n == 0) return;
    FT_ASSERT(g->m <= INT_MAX && g->n <= INT_MAX && g->k <= INT_MAX);
    FT_ASSERT(g->lda <= INT_MAX && g->ldb <= INT_MAX && g->ldc <= INT_MAX);
    if (g->m == 1) row_times_matrix(g);
    else cblas_sgemm(CblasRowMajor, g->a_transposed ? CblasTrans : CblasNoTrans, g->b_transposed ? CblasTrans : CblasNoTrans,
                     (blasint)g->m, (blasint)g->n, (blasint)g->k, g->alpha, g->a, (blasint)g->lda, g->b, (blasint)g->ldb,
                     g->beta, g->c, (blasint)g->ldc);
}

// Bound i of `parts` nearly equal parts of n, on multiples of TILE_ALIGN.
static int64_t bound(int64_t n, int64_t parts, int64_t i)
{
    if (i == parts) return n;
    return n * i / parts / TILE_ALIGN * TILE_ALIGN;
}

static tiling tile(const ft_gemm *g)
{
    tiling t = {g, (g->m + TILE_ROWS - 1) / TILE_ROWS, (g->n + TILE_COLS - 1) / TILE_COLS};
    while (t.rows * t.cols < TILES_WANTED) {
        int64_t height = g->m / t.rows, width = g->n / t.cols;
        if (height <= TILE_LEAST && width <= TILE_LEAST) break;
        if (width >= height) t.cols++;
        else t.rows++;
    }
    return t;
}

// Tiles are numbered down the columns of tiles: neighbours in time read the same part of B.
static void run_tiles(void *context, int64_t begin, int64_t end)
{
    const tiling *t = context;
    const ft_gemm *g = t->gemm;
    for (int64_t i = begin; i < end; i++) {
        int64_t row = bound(g->m, t->rows, i % t->rows), row_end = bound(g->m, t->rows, i % t->rows + 1);
        int64_t col = bound(g->n, t->cols, i / t->rows), col_end = bound(g->n, t->cols, i / t->rows + 1);
        ft_gemm part = *g;
        part.m = row_end - row;
        part.n = col_end - col;
        part.a += g->a_transposed ? row : row * g->lda;
        part.b += g->b_transposed ? col * g->ldb : col;
        part.c += row * g->ldc + col;
        ft_gemm_serial(&part);
    }
}

void ft_gemm_parallel(const ft_gemm *g)
{
    if (g->m == 0 || g->n == 0) return;
    tiling t = tile(g);
    ft_parallel_for(t.rows * t.cols, 1, run_tiles, &t);
}
