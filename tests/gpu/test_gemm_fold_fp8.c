// The fold product against float64: small integers as codes and powers of two as scales, which vary from block to block, so that
// a code, a scale or a term of the fold taken from a wrong place shows. What must not be read as a value is NaN: the rows behind
// m of X, of its scales and of S, and the gaps of all leading dimensions. A case that fails prints which 64 x 128 products of D
// are wrong and of what three terms the first wrong values should be made. The cases go from one block of one product to
// everything at once: the first that fails tells what is broken.
#include "gpu/gpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_fold_fp8.h"
#include "kernels/cuda/workspace.h"

static const double tolerance = 4e-3;  // bf16's rounding
static const char *const cut_name[FT_FOLD_CUTS] = {"tall pair", "turns pair", "tall", "short pair", "short"};

typedef struct {
    const char *what;
    int64_t m, n, k, fold;
    bool f_transposed, adds, in_place;
    int64_t pad;              // bytes beyond a row of X and W, elements beyond one of S, F, C and D
} fold_case;

// The three terms of D, [m, n] each, and the operands they are made of.
typedef struct {
    const fold_case *g;
    float *s, *f, *c;         // [m, fold], [n, fold], [m, n]
    double *codes, *folded, *want;
} reference;

static int64_t padded(int64_t rows) { return (rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN; }
static bool is_pair(int cut) { return cut != FT_FOLD_TALL && cut != FT_FOLD_SHORT; }

static uint32_t random_word(uint32_t stream, int64_t index)
{
    return ft_rng(7, FT_RNG_DATA, stream, (uint32_t)(index >> 32), (uint32_t)index, 0).word[0];
}

// 2^-3 .. 2^4 by a hash of the place: row of X or row of tiles of W, and block along k.
static float scale_at(uint32_t operand, int64_t row, int64_t block)
{
    return ldexpf(1, (int)(random_word(2 + operand, row * 65536 + block) % 8) - 3);
}

static float code_at(uint32_t operand, int64_t row, int64_t column)
{
    return (float)((int)(random_word(operand, row * 65536 + column) % 9) - 4);
}

static uint8_t *upload_codes(uint32_t operand, int64_t rows, int64_t room, int64_t k, int64_t ld)
{
    uint8_t *image = malloc((size_t)(room * ld));
    memset(image, 0xFF, (size_t)(room * ld));
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t l = 0; l < k; l++) image[i * ld + l] = ft_f32_to_e4m3(code_at(operand, i, l));
    }
    uint8_t *device = t_upload(image, room * ld);
    free(image);
    return device;
}

static float *upload_x_scales(const fold_case *g)
{
    int64_t stride = padded(g->m), n = g->k / FT_TILE * stride;
    float *image = malloc((size_t)n * sizeof *image);
    memset(image, 0xFF, (size_t)n * sizeof *image);
    for (int64_t b = 0; b < g->k / FT_TILE; b++) {
        for (int64_t i = 0; i < g->m; i++) image[b * stride + i] = scale_at(0, i, b);
    }
    float *device = t_upload(image, n * 4);
    free(image);
    return device;
}

static float *upload_w_scales(const fold_case *g)
{
    int64_t stride = ft_scale_stride(g->k), n = g->n / FT_TILE * stride;
    float *image = malloc((size_t)n * sizeof *image);
    for (int64_t i = 0; i < n; i++) image[i] = i % stride < g->k / FT_TILE ? scale_at(1, i / stride, i % stride) : NAN;
    float *device = t_upload(image, n * 4);
    free(image);
    return device;
}

// [rows, cols] with NaN in the rows up to `room` and in the gaps; transposed: stored [cols, rows], ld then from column to column.
static void *upload_values(const float *values, int64_t rows, int64_t cols, int64_t room, int64_t ld, bool transposed)
{
    int64_t n = (transposed ? cols : room) * ld;
    ft_bf16 *image = malloc((size_t)n * 2);
    memset(image, 0xFF, (size_t)n * 2);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) image[transposed ? j * ld + i : i * ld + j] = ft_f32_to_bf16(values[i * cols + j]);
    }
    void *device = t_upload(image, n * 2);
    free(image);
    return device;
}

static float *values_of(uint32_t operand, int64_t rows, int64_t k)
{
    float *values = malloc((size_t)(rows * k) * sizeof *values);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t l = 0; l < k; l++)
            values[i * k + l] = code_at(operand, i, l) * scale_at(operand, operand == 1 ? i / FT_TILE : i, l / FT_TILE);
    }
    return values;
}

// sum = a b^T, [m, n].
static double *multiply(const float *a, const float *b, int64_t m, int64_t n, int64_t k)
{
    double *product = malloc((size_t)(m * n) * sizeof *product);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++) sum += (double)a[i * k + l] * b[j * k + l];
            product[i * n + j] = sum;
        }
    }
    return product;
}

static reference reference_of(const fold_case *g)
{
    reference r = {.g = g, .s = t_random(g->m * g->fold, 16, 1), .f = t_random(g->n * g->fold, 16, 2),
                   .c = t_random(g->m * g->n, 2000, 3), .want = malloc((size_t)(g->m * g->n) * sizeof *r.want)};
    float *x = values_of(0, g->m, g->k), *w = values_of(1, g->n, g->k);
    r.codes = multiply(x, w, g->m, g->n, g->k);
    r.folded = multiply(r.s, r.f, g->m, g->n, g->fold);
    for (int64_t i = 0; i < g->m * g->n; i++) r.want[i] = r.codes[i] + r.folded[i] + (g->adds ? (double)r.c[i] : 0);
    free(x);
    free(w);
    return r;
}

static bool is_wrong(const reference *r, const float *got, int64_t i)
{
    double terms = fabs(r->codes[i]) + fabs(r->folded[i]) + fabs((double)r->c[i]);
    return !(fabs((double)got[i] - r->want[i]) <= 8e-3 * terms + 1);
}

static void explain(const reference *r, const float *got)
{
    const fold_case *g = r->g;
    for (int64_t row = 0; row < g->m; row += 64) {
        for (int64_t column = 0; column < g->n; column += FT_TILE) {
            int64_t wrong = 0, all = 0;
            for (int64_t i = row; i < g->m && i < row + 64; i++) {
                for (int64_t j = column; j < column + FT_TILE; j++, all++) wrong += is_wrong(r, got, i * g->n + j);
            }
            if (wrong > 0)
                printf("    rows from %lld, columns from %lld: %lld of %lld wrong\n", (long long)row, (long long)column,
                       (long long)wrong, (long long)all);
        }
    }
    int shown = 0;
    for (int64_t i = 0; i < g->m * g->n && shown < 24; i++) {
        if (!is_wrong(r, got, i)) continue;
        printf("    (%lld, %lld): got %.7g, want %.7g = X W^T %.7g + S F^T %.7g + C %.7g\n", (long long)(i / g->n),
               (long long)(i % g->n), (double)got[i], r->want[i], r->codes[i], r->folded[i], g->adds ? (double)r->c[i] : 0.0);
        shown++;
    }
}

// D has 16 rows more than the rounded m: all from m on and the gaps must be as they were.
static float *gather(const char *what, const fold_case *g, const ft_bf16 *image, int64_t ld)
{
    float *got = malloc((size_t)(g->m * g->n) * sizeof *got);
    const uint16_t untouched = 0xFFFF;
    for (int64_t i = 0; i < padded(g->m) + FT_ROW_ALIGN; i++) {
        for (int64_t j = 0; j < ld; j++) {
            bool outside = j >= g->n || i >= g->m;
            if (outside && image[i * ld + j] != untouched)
                fail_msg("%s: row %lld, column %lld was written", what, (long long)i, (long long)j);
            if (!outside) got[i * g->n + j] = ft_bf16_to_f32(image[i * ld + j]);
        }
    }
    return got;
}

static ft_cuda_fold_product upload(const reference *r)
{
    const fold_case *g = r->g;
    ft_cuda_fold_product p = {.m = g->m, .n = g->n, .k = g->k, .ldx = g->k + 2 * g->pad, .ldw = g->k + g->pad, .fold = g->fold,
                              .f_transposed = g->f_transposed, .s_ld = g->fold + g->pad, .d_ld = g->n + g->pad};
    int64_t room = padded(g->m) + FT_ROW_ALIGN;
    p.x = upload_codes(0, g->m, padded(g->m), g->k, p.ldx);
    p.w = upload_codes(1, g->n, g->n, g->k, p.ldw);
    p.x_scales = upload_x_scales(g);
    p.w_scales = upload_w_scales(g);
    p.f_ld = (g->f_transposed ? g->n : g->fold) + 2 * g->pad;
    p.c_ld = g->in_place ? p.d_ld : g->n + 2 * g->pad;
    if (g->fold > 0) p.s = upload_values(r->s, g->m, g->fold, room, p.s_ld, false);
    if (g->fold > 0) p.f = upload_values(r->f, g->n, g->fold, g->n, p.f_ld, g->f_transposed);
    return p;
}

static ft_bf16 *run_cut(const char *what, const reference *r, ft_cuda_fold_product p, int cut)
{
    const fold_case *g = r->g;
    int64_t room = padded(g->m) + FT_ROW_ALIGN;
    ft_bf16 *image = malloc((size_t)(room * p.d_ld) * 2);
    if (g->adds) p.c = upload_values(r->c, g->m, g->n, room, p.c_ld, false);
    p.d = g->in_place ? (void *)p.c : t_device(room * p.d_ld * 2);
    if (!ft_cuda_gemm_fold_fits(&p)) fail_msg("%s: a legal product does not fit", what);
    printf("  %s ...\n", what);
    if (ft_cuda_gemm_fold_fp8_cut(t_queue(), &p, (ft_fold_cut)cut) != FT_OK) fail_msg("%s: %s", what, ft_error_message());
    t_download(image, p.d, room * p.d_ld * 2);
    return image;
}

// Every cut twice; all give the bits of the first.
static void check_case(const fold_case *g)
{
    reference r = reference_of(g);
    ft_cuda_fold_product p = upload(&r);
    float *first = NULL;
    for (int run = 0; run < 2 * FT_FOLD_CUTS; run++) {
        int cut = (FT_FOLD_CUTS - 1) - run / 2;  // the simplest first
        if (is_pair(cut) && g->n % (2 * FT_TILE) != 0) continue;
        char what[200];
        snprintf(what, sizeof what, "%s, %s: %lldx%lldx%lld + %lld%s%s pad %lld", g->what, cut_name[cut], (long long)g->m,
                 (long long)g->n, (long long)g->k, (long long)g->fold, g->f_transposed ? " F^T" : "",
                 g->in_place ? " in place" : g->adds ? " + C" : "", (long long)g->pad);
        ft_bf16 *image = run_cut(what, &r, p, cut);
        float *got = gather(what, g, image, p.d_ld);
        if (t_error(got, r.want, g->m * g->n) > tolerance) explain(&r, got);
        t_check(what, got, r.want, g->m * g->n, tolerance);
        if (first != NULL && memcmp(first, got, (size_t)(g->m * g->n) * sizeof *got) != 0)
            fail_msg("%s: other bits than before", what);
        if (first == NULL) first = got;
        else free(got);
        free(image);
    }
    free(first);
    free(r.codes);
    free(r.folded);
    free(r.want);
    t_free();
}

static void need_hopper(void)
{
    t_open(&(ft_ops_options){.rows = 512});
    ft_cuda_fold_product p = {.m = 1, .n = 128, .k = 128, .ldx = 128, .ldw = 128, .d_ld = 128};
    if (!ft_cuda_gemm_fold_fits(&p)) skip();
}

static void e4m3_products_are_scaled_by_block(void **state)
{
    need_hopper();
    static const fold_case cases[] = {
        {.what = "one block of K, one product", .m = 64, .n = 128, .k = 128},
        {.what = "all products of a tile", .m = 256, .n = 256, .k = 128},
        {.what = "two blocks of K", .m = 256, .n = 256, .k = 256},
        {.what = "three blocks of K", .m = 128, .n = 128, .k = 384},
        {.what = "the ring of stages comes round", .m = 256, .n = 256, .k = 1152},
        {.what = "several tiles, a part of one", .m = 300, .n = 640, .k = 640, .pad = 16},
        {.what = "one row", .m = 1, .n = 256, .k = 384},
        {.what = "seven rows", .m = 7, .n = 384, .k = 512, .pad = 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i]);
}

static void the_fold_is_added_in_both_orders_of_f(void **state)
{
    need_hopper();
    static const fold_case cases[] = {
        {.what = "fold along K", .m = 256, .n = 256, .k = 128, .fold = 64},
        {.what = "fold along N", .m = 256, .n = 256, .k = 128, .fold = 64, .f_transposed = true},
        {.what = "folds along K", .m = 130, .n = 384, .k = 640, .fold = 192, .pad = 16},
        {.what = "folds along N", .m = 130, .n = 384, .k = 640, .fold = 192, .f_transposed = true, .pad = 16},
        {.what = "two folds along K", .m = 7, .n = 512, .k = 384, .fold = 128, .pad = 8 * 2},
        {.what = "two folds along N", .m = 1, .n = 512, .k = 256, .fold = 128, .f_transposed = true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i]);
}

static void c_is_added_once_where_d_lies_too(void **state)
{
    need_hopper();
    static const fold_case cases[] = {
        {.what = "C", .m = 256, .n = 256, .k = 128, .adds = true},
        {.what = "C of another stride", .m = 130, .n = 640, .k = 256, .adds = true, .pad = 16},
        {.what = "C in place", .m = 130, .n = 256, .k = 256, .adds = true, .in_place = true, .pad = 16},
        {.what = "all at once", .m = 1000, .n = 512, .k = 640, .fold = 64, .adds = true, .in_place = true, .pad = 64},
        {.what = "all at once", .m = 1000, .n = 384, .k = 384, .fold = 64, .f_transposed = true, .adds = true, .pad = 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i]);
}

// Every block works off several tiles, so that a tile's end meets the next one's loads.
static void blocks_go_from_tile_to_tile(void **state)
{
    need_hopper();
    check_case(&(fold_case){.what = "many tiles", .m = 1100, .n = 5120, .k = 256, .fold = 64, .adds = true});
}

static void what_does_not_fit_is_told(void **state)
{
    need_hopper();
    ft_cuda_fold_product fits = {.m = 5, .n = 128, .k = 256, .ldx = 256, .ldw = 256, .d_ld = 128}, p = fits;
    p.n = 192;
    assert_false(ft_cuda_gemm_fold_fits(&p));
    p = fits;
    p.k = 208;
    assert_false(ft_cuda_gemm_fold_fits(&p));
    p = fits;
    p.fold = 32;
    assert_false(ft_cuda_gemm_fold_fits(&p));
    p = fits;
    p.d = (void *)8;
    assert_false(ft_cuda_gemm_fold_fits(&p));
    p = fits;
    p.d_ld = 132;
    assert_false(ft_cuda_gemm_fold_fits(&p));
    assert_true(ft_cuda_gemm_fold_fits(&fits));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(e4m3_products_are_scaled_by_block),
        cmocka_unit_test(the_fold_is_added_in_both_orders_of_f),
        cmocka_unit_test(c_is_added_once_where_d_lies_too),
        cmocka_unit_test(blocks_go_from_tile_to_tile),
    };
    return cmocka_run_group_tests_name("gemm_fold_fp8", tests, NULL, NULL);
}
