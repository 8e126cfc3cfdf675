// ft_cuda_gemm against float64 sums of the same bf16 values: odd sizes, every storage order, C apart and in place, both outputs.
#include "gpu/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_table.h"
#include "kernels/cuda/workspace.h"

// float32 sums rounded to bf16 once: its unit roundoff, with room for the sum itself.
static const double tolerance_bf16 = 4e-3, tolerance_f32 = 2e-6;

typedef struct {
    int64_t m, n, k;
    int64_t pad;              // elements by which every leading dimension exceeds its row
    bool a_transposed, b_transposed;
    enum { NO_C, OTHER_C, SAME_C } c;
    float beta;
    bool f32;
} gemm_case;

static void must(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

// Row-major [rows, cols] with a leading dimension, NaN in between; bf16 or float32.
static void *upload(const float *values, int64_t rows, int64_t cols, int64_t ld, bool f32)
{
    int64_t size = f32 ? 4 : 2, bytes = rows * ld * size;
    char *image = malloc((size_t)bytes);
    memset(image, 0xFF, (size_t)bytes);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            ft_bf16 rounded = ft_f32_to_bf16(values[i * cols + j]);
            memcpy(image + (i * ld + j) * size, f32 ? (const void *)&values[i * cols + j] : &rounded, (size_t)size);
        }
    }
    void *device = t_upload(image, bytes);
    free(image);
    return device;
}

static double *reference(const gemm_case *g, const float *a, const float *b, const float *c)
{
    double *want = calloc((size_t)(g->m * g->n), sizeof *want);
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t l = 0; l < g->k; l++) {
            double x = g->a_transposed ? a[l * g->m + i] : a[i * g->k + l];
            const float *column = g->b_transposed ? b + l : b + l * g->n;
            int64_t step = g->b_transposed ? g->k : 1;
            for (int64_t j = 0; j < g->n; j++) want[i * g->n + j] += x * column[j * step];
        }
    }
    for (int64_t i = 0; c != NULL && i < g->m * g->n; i++) want[i] += g->beta * c[i];
    return want;
}

// The product's values out of D's image; the gaps between rows must be as they were.
static float *gather(const gemm_case *g, const char *image, int64_t ldd)
{
    int64_t size = g->f32 ? 4 : 2;
    static const unsigned char poison[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    float *got = malloc((size_t)(g->m * g->n) * sizeof *got);
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < ldd; j++) {
            const char *at = image + (i * ldd + j) * size;
            if (j >= g->n) {
                if (memcmp(at, poison, (size_t)size) != 0) fail_msg("row %lld, column %lld was written", (long long)i, (long long)j);
                continue;
            }
            ft_bf16 rounded;
            memcpy(&rounded, at, 2);
            if (g->f32) memcpy(&got[i * g->n + j], at, 4);
            else got[i * g->n + j] = ft_bf16_to_f32(rounded);
        }
    }
    return got;
}

static void check_case(const gemm_case *g)
{
    int64_t lda = (g->a_transposed ? g->m : g->k) + g->pad, ldb = (g->b_transposed ? g->k : g->n) + g->pad, ldd = g->n + g->pad;
    float *a = t_random(g->m * g->k, 1, 1), *b = t_random(g->n * g->k, 0.125f, 2), *c = g->c == NO_C ? NULL : t_random(g->m * g->n, 1, 3);
    ft_cuda_product p = {.m = g->m, .n = g->n, .k = g->k, .lda = lda, .ldb = ldb, .a_transposed = g->a_transposed,
                         .b_transposed = g->b_transposed, .ldd = ldd, .ldc = ldd, .beta = g->beta, .d_f32 = g->f32};
    p.a = g->a_transposed ? upload(a, g->k, g->m, lda, false) : upload(a, g->m, g->k, lda, false);
    p.b = g->b_transposed ? upload(b, g->n, g->k, ldb, false) : upload(b, g->k, g->n, ldb, false);
    int64_t bytes = g->m * ldd * (g->f32 ? 4 : 2);
    void *workspace = t_device(FT_CUBLASLT_WORKSPACE);
    char *image[2] = {malloc((size_t)bytes), malloc((size_t)bytes)};
    for (int run = 0; run < 2; run++) {
        void *uploaded = c == NULL ? NULL : upload(c, g->m, g->n, ldd, g->f32);
        p.d = g->c == SAME_C ? uploaded : t_device(bytes);
        p.c = uploaded;
        must(ft_cuda_gemm(t_queue(), &p, workspace, FT_CUBLASLT_WORKSPACE));
        t_download(image[run], p.d, bytes);
    }
    if (memcmp(image[0], image[1], (size_t)bytes) != 0) fail_msg("two runs differ in their bits");
    char what[160];
    snprintf(what, sizeof what, "%lldx%lldx%lld a%c b%c pad %lld c %d beta %g %s", (long long)g->m, (long long)g->n, (long long)g->k,
             g->a_transposed ? 't' : 'n', g->b_transposed ? 't' : 'n', (long long)g->pad, (int)g->c, (double)g->beta,
             g->f32 ? "f32" : "bf16");
    float *got = gather(g, image[0], ldd);
    double *want = reference(g, a, b, c);
    t_check(what, got, want, g->m * g->n, g->f32 ? tolerance_f32 : tolerance_bf16);
    free(got);
    free(want);
    free(image[0]);
    free(image[1]);
    t_free();
}

static void open_queue(void)
{
    t_open(&(ft_ops_options){.rows = 512});
}

static void gemm_takes_every_storage_order_and_odd_sizes(void **state)
{
    static const int64_t shape[][3] = {{1, 8, 8}, {1, 4096, 520}, {7, 72, 136}, {130, 520, 1032}, {300, 64, 2056}};
    open_queue();
    for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++) {
        for (int order = 0; order < 4; order++)
            check_case(&(gemm_case){shape[s][0], shape[s][1], shape[s][2], 8, order & 1, order & 2, NO_C, 0, false});
    }
}

static void gemm_adds_c_apart_and_in_place(void **state)
{
    open_queue();
    for (int order = 0; order < 2; order++) {
        check_case(&(gemm_case){130, 264, 136, 8, false, order, OTHER_C, 1, false});
        check_case(&(gemm_case){130, 264, 136, 8, false, order, SAME_C, 1, false});
        check_case(&(gemm_case){7, 64, 264, 0, false, order, SAME_C, 0.5f, false});
    }
}

static void gemm_keeps_float32_sums_where_asked(void **state)
{
    open_queue();
    check_case(&(gemm_case){1, 264, 136, 8, false, true, NO_C, 0, true});
    check_case(&(gemm_case){130, 264, 1032, 0, false, true, NO_C, 0, true});
    check_case(&(gemm_case){130, 72, 136, 8, true, false, SAME_C, 1, true});
}

static void gemm_takes_addresses_aligned_to_one_element(void **state)
{
    open_queue();
    check_case(&(gemm_case){7, 9, 11, 0, false, true, NO_C, 0, false});
    check_case(&(gemm_case){33, 24, 40, 1, false, false, SAME_C, 1, false});
}

static bool same_kind(const ft_cuda_gemm_key *x, const ft_cuda_gemm_key *y)
{
    return x->m == y->m && x->n == y->n && x->k == y->k && x->adds == y->adds;
}

static void calibration_is_kept_saved_and_read_again(void **state)
{
    char directory[] = "/tmp/ft_gemm_XXXXXX", path[64], before[256];
    ft_cuda_gemm_key keys[FT_CUDA_LINEAR_PRODUCTS];
    ft_cuda_linear_case linear = {.rows = 256, .in = 512, .n_parts = 2, .out = {256, 384}, .fold = 64, .lora = true, .residual = true,
                                  .backward = true};
    open_queue();
    int n = ft_cuda_linear_products(&linear, keys);
    assert_int_equal(n, 2);
    int64_t bytes = (int64_t)256 << 20;
    void *scratch = t_device(bytes);
    for (int i = 0; i < n; i++) {
        ft_cuda_gemm_timing timing;
        char text[96];
        must(ft_cuda_gemm_measure(t_queue(), &keys[i], 8, scratch, bytes, true, &timing));
        ft_cuda_gemm_describe(&keys[i], text, sizeof text);
        printf("  %s: %d candidates, first %.2f us, best %.2f us (%.1f TFLOP/s)\n", text, timing.candidates, 1e6 * timing.first_s,
               1e6 * timing.best_s, 1e-12 * timing.flops / timing.best_s);
        assert_true(timing.candidates >= 1 && timing.best_s > 0 && timing.best_s <= timing.first_s);
    }
    // The same group with E4M3 weights: a narrow product and one for each weight, both ways.
    linear.fp8 = true;
    assert_int_equal(ft_cuda_linear_products(&linear, keys), 6);
    for (int i = 0; i < 6; i++) {
        ft_cuda_gemm_timing timing;
        must(ft_cuda_gemm_measure(t_queue(), &keys[i], 4, scratch, bytes, true, &timing));
    }
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/gemm", directory);
    must(ft_cuda_gemm_save(t_queue(), path));
    snprintf(before, sizeof before, "%s", t_ops()->describe(t_queue()));
    t_open(&(ft_ops_options){.rows = 256, .gemm_table = path});
    printf("  %s\n", t_ops()->describe(t_queue()));
    assert_non_null(strstr(before, " 0 measured algorithms"));
    assert_non_null(strstr(t_ops()->describe(t_queue()), " 8 measured algorithms"));
    unlink(path);
    rmdir(directory);
    t_free();
    // A product of the table's kind runs with what was read.
    check_case(&(gemm_case){256, 640, 576, 0, false, true, SAME_C, 1, false});
    ft_cuda_gemm_key seen[8];
    int n_seen = ft_cuda_gemm_products(t_queue(), seen, 8);
    assert_int_equal(n_seen, 1);
    linear.fp8 = false;
    ft_cuda_linear_products(&linear, keys);
    assert_true(same_kind(&seen[0], &keys[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_takes_every_storage_order_and_odd_sizes),
        cmocka_unit_test(gemm_adds_c_apart_and_in_place),
        cmocka_unit_test(gemm_keeps_float32_sums_where_asked),
        cmocka_unit_test(gemm_takes_addresses_aligned_to_one_element),
        cmocka_unit_test(calibration_is_kept_saved_and_read_again),
    };
    return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
}
