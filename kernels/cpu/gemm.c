// Which kernel multiplies, and how C is cut over the threads.
#include "kernels/cpu/gemm.h"

#include <cblas.h>

#include "common/threads.h"
#include "kernels/cpu/gemm_kernel.h"

// Narrow strips leave long columns, for which B is packed once. A dimension is cut until every thread has PIECES tiles or the
// tiles are as small as they may be.
enum { STRIP_MOST = 384, ROWS_MOST = 2048, COLS_LEAST = 96, ROWS_LEAST = 128, PIECES = 4, COL_ALIGN = 48, ROW_ALIGN = 8 };

typedef struct {
    const ft_gemm_sum *sum;
    int64_t rows, cols;  // tiles along m and n
    int64_t row_align, col_align;
} tiling;

static const ft_gemm_kernel *float_kernel;  // NULL: OpenBLAS

#if defined(__x86_64__)
const ft_gemm_kernel *ft_gemm_variant(size_t i)
{
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    if (i == 0 && avx2) return &ft_gemm_avx2;
    if (i == 1 && avx512) return &ft_gemm_avx512;
    return NULL;
}

const ft_gemm_kernel *ft_gemm_bf16_kernel(void)
{
    return ft_gemm_variant(1) && __builtin_cpu_supports("avx512bf16") ? &ft_gemm_avx512_bf16 : NULL;
}
#else
const ft_gemm_kernel *ft_gemm_variant(size_t i)
{
    return NULL;
}

const ft_gemm_kernel *ft_gemm_bf16_kernel(void)
{
    return NULL;
}
#endif

bool ft_gemm_has_bf16(void)
{
    return ft_gemm_bf16_kernel() != NULL;
}

void ft_gemm_use(const ft_gemm_kernel *kernel)
{
    float_kernel = kernel;
}

void ft_gemm_setup(void)
{
    openblas_set_num_threads(1);
    for (size_t i = 0; ft_gemm_variant(i) != NULL; i++) float_kernel = ft_gemm_variant(i);
}

static bool any_bf16(const ft_gemm_sum *sum)
{
    for (int i = 0; i < sum->n_terms; i++) {
        if (sum->term[i].bf16) return true;
    }
    return false;
}

// A single row is bound by reading B: OpenBLAS reads it where it lies.
static void multiply_part(const ft_gemm_sum *sum, ft_gemm_part part)
{
    if (any_bf16(sum)) FT_ASSERT(ft_gemm_has_bf16() && float_kernel != NULL, "this CPU has no bf16 products");
    else if (float_kernel == NULL || sum->m == 1) {
        ft_gemm_blas(sum, part);
        return;
    }
    ft_gemm_block(float_kernel, sum, part);
}

// Bound i of `parts` nearly equal parts of n, on multiples of `align`.
static int64_t bound(int64_t n, int64_t parts, int64_t i, int64_t align)
{
    if (i == parts) return n;
    return (n + align - 1) / align * i / parts * align;
}

static tiling cut(const ft_gemm_sum *sum)
{
    tiling t = {sum, (sum->m + ROWS_MOST - 1) / ROWS_MOST, (sum->n + STRIP_MOST - 1) / STRIP_MOST, ROW_ALIGN, COL_ALIGN};
    // OpenBLAS's bits, a single row's too, depend on the tiles: there they must not depend on the number of threads.
    int64_t wanted = float_kernel && sum->m > 1 ? (int64_t)PIECES * ft_threads_count() : 32;
    while (t.rows * t.cols < wanted) {
        if (sum->n / (t.cols + 1) >= COLS_LEAST) t.cols++;
        else if (sum->m / (t.rows + 1) >= ROWS_LEAST) t.rows++;
        else break;
    }
    return t;
}

// Tiles are numbered down the columns of tiles: neighbours in time read the same part of B.
static void run_tiles(void *context, int64_t begin, int64_t end)
{
    const tiling *t = context;
    const ft_gemm_sum *sum = t->sum;
    for (int64_t i = begin; i < end; i++) {
        ft_gemm_part part = {.row = bound(sum->m, t->rows, i % t->rows, t->row_align), .col = bound(sum->n, t->cols, i / t->rows, t->col_align)};
        part.rows = bound(sum->m, t->rows, i % t->rows + 1, t->row_align) - part.row;
        part.cols = bound(sum->n, t->cols, i / t->rows + 1, t->col_align) - part.col;
        if (part.rows > 0 && part.cols > 0) multiply_part(sum, part);
    }
}

void ft_gemm_sum_parallel(const ft_gemm_sum *sum)
{
    if (sum->m == 0 || sum->n == 0) return;
    tiling t = cut(sum);
    ft_parallel_for(t.rows * t.cols, 1, run_tiles, &t);
}

static ft_gemm_sum one_term(const ft_gemm *g)
{
    return (ft_gemm_sum){.m = g->m, .n = g->n, .c = g->c, .ldc = g->ldc, .beta = g->beta, .n_terms = 1,
                         .term = {{.k = g->k, .a = g->a, .lda = g->lda, .a_transposed = g->a_transposed, .b = g->b, .ldb = g->ldb,
                                   .b_transposed = g->b_transposed, .alpha = g->alpha, .bf16 = g->bf16}}};
}

void ft_gemm_serial(const ft_gemm *g)
{
    if (g->m == 0 || g->n == 0) return;
    ft_gemm_sum sum = one_term(g);
    multiply_part(&sum, (ft_gemm_part){.rows = g->m, .cols = g->n});
}

void ft_gemm_parallel(const ft_gemm *g)
{
    ft_gemm_sum sum = one_term(g);
    ft_gemm_sum_parallel(&sum);
}
