// Blocking around the inner loops: a strip of op(B) is packed once per block of k and multiplied by all rows of the part.
//
// The panel of 48 columns that is in use lies in the first-level cache, the strip and a block of rows of A in the second.
// Blocks of k depend on k alone, so that the order of a sum does not depend on the part.
#include "kernels/cpu/gemm_kernel.h"

enum { DEPTH = 208, STRIP = 384, ROW_BLOCK = 192 };

// Per thread and made with it: products allocate nothing.
typedef struct {
    float strip[DEPTH * STRIP];
    uint16_t a[ROW_BLOCK * DEPTH];
} buffers;

static _Thread_local buffers buffer __attribute__((aligned(64)));

// One block of k of one term over one strip.
typedef struct {
    const ft_gemm_kernel *kernel;
    const ft_gemm_sum *sum;
    const ft_gemm_term *term;
    int64_t first, k;        // the block of k
    int64_t row, rows;       // of C
    int64_t col, cols;       // of C, at most STRIP
    int64_t panels;
    float beta;
} step;

int64_t ft_gemm_thread_bytes(void)
{
    return sizeof(buffers);
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

// Column of the strip where panel i begins: panels are of nearly equal width, because narrow ones feed the multipliers badly.
static int64_t panel_begin(const step *s, int64_t i)
{
    int64_t vectors = round_up(s->cols, s->kernel->lanes) / s->kernel->lanes;
    return vectors * i / s->panels * s->kernel->lanes;
}

// Where panel i lies: a word for each of its values, or for each pair of bf16.
static float *panel_at(const step *s, int64_t i)
{
    int64_t depth = s->kernel->pack_a ? (s->k + 1) / 2 : s->k;
    return buffer.strip + panel_begin(s, i) * depth;
}

static void pack_strip(const step *s)
{
    const ft_gemm_term *t = s->term;
    for (int64_t i = 0; i < s->panels; i++) {
        int64_t begin = panel_begin(s, i), end = panel_begin(s, i + 1), col = s->col + begin;
        ft_gemm_source source = {.ldb = t->ldb, .transposed = t->b_transposed, .k = s->k, .n = (end < s->cols ? end : s->cols) - begin};
        source.b = t->b_transposed ? t->b + col * t->ldb + s->first : t->b + s->first * t->ldb + col;
        s->kernel->pack(panel_at(s, i), end - begin, &source);
    }
}

// The rows of A that a tile reads, as strides; bf16 is packed beforehand.
static ft_gemm_tile rows_of_a(const step *s, int64_t row, int64_t rows)
{
    const ft_gemm_term *t = s->term;
    int64_t row_stride = t->a_transposed ? 1 : t->lda, k_stride = t->a_transposed ? t->lda : 1;
    const float *a = t->a + row * row_stride + s->first * k_stride;
    if (s->kernel->pack_a == NULL) return (ft_gemm_tile){.a = a, .row_stride = row_stride, .k_stride = k_stride, .k = s->k};
    s->kernel->pack_a(buffer.a, DEPTH, a, row_stride, k_stride, rows, s->k);
    return (ft_gemm_tile){.a = (const float *)(const void *)buffer.a, .row_stride = DEPTH / 2, .k_stride = 1, .k = (s->k + 1) / 2};
}

// Rows of A on their way into the cache while the tile above them is multiplied: they are read for the first time here, from
// addresses a leading dimension apart, which no hardware prefetcher follows.
static inline __attribute__((always_inline)) void prefetch_rows(const ft_gemm_tile *tile, const float *a, int64_t rows)
{
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t at = 0; at < tile->k; at += 16) __builtin_prefetch(a + row * tile->row_stride + at);
    }
}

static void multiply_rows(const step *s, int64_t row, int64_t rows)
{
    ft_gemm_tile tile = rows_of_a(s, row, rows);
    const float *a = tile.a;
    tile.ldc = s->sum->ldc;
    tile.alpha = s->term->alpha;
    tile.beta = s->beta;
    for (int64_t i = 0; i < s->panels; i++) {
        int64_t begin = panel_begin(s, i), end = panel_begin(s, i + 1);
        tile.panel = panel_at(s, i);
        tile.cols = (end < s->cols ? end : s->cols) - begin;
        for (int64_t at = 0; at < rows; at += s->kernel->rows) {
            tile.a = a + at * tile.row_stride;
            tile.c = s->sum->c + (row + at) * s->sum->ldc + s->col + begin;
            tile.rows = rows - at < s->kernel->rows ? rows - at : s->kernel->rows;
            int64_t left = rows - at - tile.rows;
            if (i == 0 && tile.k_stride == 1 && s->kernel->pack_a == NULL)
                prefetch_rows(&tile, tile.a + tile.rows * tile.row_stride, left < tile.rows ? left : tile.rows);
            s->kernel->multiply(&tile, end - begin);
        }
    }
}

static void multiply_block(const step *s)
{
    // A whole number of tiles, so that only the last block has a partial one.
    int64_t block = ROW_BLOCK / s->kernel->rows * s->kernel->rows;
    pack_strip(s);
    for (int64_t at = 0; at < s->rows; at += block) multiply_rows(s, s->row + at, s->rows - at < block ? s->rows - at : block);
}

// Blocks of k are nearly equal and, but for the last, of even length (bf16 pairs). A term with k 0 still applies beta.
static void multiply_term(step *s)
{
    int64_t k = s->term->k, blocks = (k + DEPTH - 1) / DEPTH, length = blocks > 0 ? round_up((k + blocks - 1) / blocks, 2) : 1;
    s->panels = (s->cols + s->kernel->cols - 1) / s->kernel->cols;
    s->first = 0;
    do {
        s->k = k - s->first < length ? k - s->first : length;
        multiply_block(s);
        s->beta = 1;
        s->first += length;
    } while (s->first < k);
}

void ft_gemm_block(const ft_gemm_kernel *kernel, const ft_gemm_sum *sum, ft_gemm_part part)
{
    for (int64_t col = 0; col < part.cols; col += STRIP) {
        step s = {.sum = sum, .row = part.row, .rows = part.rows, .col = part.col + col, .cols = part.cols - col < STRIP ? part.cols - col : STRIP, .beta = sum->beta};
        for (int i = 0; i < sum->n_terms; i++) {
            s.term = &sum->term[i];
            s.kernel = s.term->bf16 ? ft_gemm_bf16_kernel() : kernel;
            multiply_term(&s);
        }
    }
}
