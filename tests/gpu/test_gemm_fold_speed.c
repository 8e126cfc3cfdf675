// The fold product beside the two library products it replaces, in the shapes of a step: microseconds and TFLOP/s of both, every
// cut. The results must agree as two roundings of one sum do. What is slower is not an error here: callers choose by these lines.
#include "gpu/gpu.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_fold_fp8.h"
#include "kernels/cuda/workspace.h"

enum { FOLD = 64, REPEAT = 10 };
static const char *const cut_name[FT_FOLD_CUTS] = {"tall pair", "turns pair", "tall", "short pair", "short"};

typedef struct {
    const char *what;
    int64_t m, n, k;
    bool backward, adds;
} speed_case;

typedef struct {
    ft_cuda_fold_product p;
    void *workspace;
    int cut;
    bool with_fold;
} speed_run;

// Random codes or values: a pattern of some megabytes over and over, so that the tensor cores switch as with real data.
static void *device_codes(int64_t bytes, uint64_t seed)
{
    enum { PATTERN = 4 << 20 };
    float *values = t_random(PATTERN, 60, seed);
    uint8_t *codes = malloc(PATTERN), *device;
    for (int64_t i = 0; i < PATTERN; i++) codes[i] = ft_f32_to_e4m3(values[i]);
    uint8_t *pattern = t_upload(codes, PATTERN);
    device = t_device(bytes);
    for (int64_t at = 0; at < bytes; at += PATTERN)
        assert_int_equal(ft_copy_d2d(t_queue(), device + at, pattern, bytes - at < PATTERN ? bytes - at : PATTERN), FT_OK);
    free(codes);
    return device;
}

static float *device_ones(int64_t n)
{
    float *ones = malloc((size_t)n * sizeof *ones);
    for (int64_t i = 0; i < n; i++) ones[i] = 1.0f / 64;
    float *device = t_upload(ones, n * 4);
    free(ones);
    return device;
}

static speed_run prepare(const speed_case *g)
{
    ft_cuda_fold_product p = {.m = g->m, .n = g->n, .k = g->k, .ldx = g->k, .ldw = g->k, .fold = FOLD, .s_ld = FOLD,
                              .f_transposed = g->backward, .f_ld = g->backward ? g->n : FOLD, .c_ld = g->n, .d_ld = g->n};
    p.x = device_codes(g->m * g->k, 1);
    p.w = device_codes(g->n * g->k, 2);
    p.x_scales = device_ones(g->k / FT_TILE * g->m);
    p.w_scales = device_ones(g->n / FT_TILE * ft_scale_stride(g->k));
    p.s = t_upload_bf16(t_random(g->m * FOLD, 4, 3), g->m * FOLD);
    p.f = t_upload_bf16(t_random(g->n * FOLD, 4, 4), g->n * FOLD);
    p.d = t_device(g->m * g->n * 2);
    if (g->adds) {
        void *c = t_device(g->m * g->n * 2);
        assert_int_equal(ft_fill(t_queue(), c, 0x3F, g->m * g->n * 2), FT_OK);
        p.c = c;
    }
    return (speed_run){p, t_device(FT_CUBLASLT_WORKSPACE), 0, true};
}

static void run_library(void *context)
{
    const speed_run *run = context;
    const ft_cuda_fold_product *p = &run->p;
    ft_cuda_product narrow = {.m = p->m, .n = p->n, .k = p->fold, .a = p->s, .lda = p->s_ld, .b = p->f, .ldb = p->f_ld,
                              .b_transposed = !p->f_transposed, .c = p->c, .ldc = p->c_ld, .beta = 1, .d = p->d, .ldd = p->d_ld};
    ft_cuda_product_fp8 wide = {.scaling = FT_FP8_BLOCK, .m = p->m, .n = p->n, .k = p->k, .a = p->x, .lda = p->ldx,
                                .a_scales = p->x_scales, .b = p->w, .ldb = p->ldw, .b_scales = p->w_scales,
                                .c = run->with_fold ? p->d : NULL, .ldc = p->d_ld, .beta = 1, .d = p->d, .ldd = p->d_ld};
    if (run->with_fold && ft_cuda_gemm(t_queue(), &narrow, run->workspace, FT_CUBLASLT_WORKSPACE) != FT_OK)
        fail_msg("%s", ft_error_message());
    if (ft_cuda_gemm_fp8(t_queue(), &wide, run->workspace, FT_CUBLASLT_WORKSPACE) != FT_OK) fail_msg("%s", ft_error_message());
}

static void run_fold(void *context)
{
    const speed_run *run = context;
    ft_cuda_fold_product p = run->p;
    if (!run->with_fold) p.fold = 0, p.c = NULL;
    if (ft_cuda_gemm_fold_fp8_cut(t_queue(), &p, (ft_fold_cut)run->cut) != FT_OK) fail_msg("%s", ft_error_message());
}

// Rows from the front and the end.
static float *sample(const speed_run *run)
{
    int64_t rows = 64, n = rows * run->p.n;
    float *values = malloc((size_t)(2 * n) * sizeof *values);
    ft_bf16 *stored = malloc((size_t)(2 * n) * sizeof *stored);
    t_download(stored, run->p.d, n * 2);
    t_download(stored + n, (const ft_bf16 *)run->p.d + (run->p.m - rows) * run->p.n, n * 2);
    for (int64_t i = 0; i < 2 * n; i++) values[i] = ft_bf16_to_f32(stored[i]);
    free(stored);
    return values;
}

static void check_sample(const speed_case *g, const speed_run *run, const float *library)
{
    int64_t n = 2 * 64 * run->p.n;
    float *got = sample(run);
    double *want = malloc((size_t)n * sizeof *want);
    char what[128];
    for (int64_t i = 0; i < n; i++) want[i] = library[i];
    snprintf(what, sizeof what, "%s, %s, against the library", g->what, cut_name[run->cut]);
    t_check(what, got, want, n, 1e-2);
    free(got);
    free(want);
}

static void tell(const speed_run *run, const char *who, double seconds, double library)
{
    const ft_cuda_fold_product *p = &run->p;
    double flops = 2.0 * (double)p->m * (double)p->n * (double)(p->k + (run->with_fold ? p->fold : 0));
    printf("    %-28s %8.1f us %7.1f TFLOP/s  %.3f of the library's time\n", who, seconds * 1e6, flops / seconds * 1e-12,
           seconds / library);
}

// With the fold and C, then the E4M3 product by itself.
static void measure(const speed_case *g)
{
    speed_run run = prepare(g);
    float *want = NULL;
    printf("  %s: %lldx%lldx%lld%s%s\n", g->what, (long long)g->m, (long long)g->n, (long long)g->k, g->backward ? ", F^T" : "",
           g->adds ? ", + C" : "");
    for (int with_fold = 1; with_fold >= 0; with_fold--) {
        run.with_fold = with_fold;
        double library = t_time(run_library, &run, REPEAT);
        tell(&run, with_fold ? "library, two products" : "library, E4M3 alone", library, library);
        if (with_fold) want = sample(&run);
        for (run.cut = 0; run.cut < FT_FOLD_CUTS; run.cut++) {
            double seconds = t_time(run_fold, &run, REPEAT);
            tell(&run, cut_name[run.cut], seconds, library);
            if (with_fold) check_sample(g, &run, want);
        }
    }
    free(want);
    t_free();
}

static void products_of_8b_at_8192_tokens(void **state)
{
    static const speed_case cases[] = {
        {"8B qkv", 8192, 6144, 4096, false, false},        {"8B o", 8192, 4096, 4096, false, true},
        {"8B gate up", 8192, 28672, 4096, false, false},   {"8B down", 8192, 4096, 14336, false, true},
        {"8B d down", 8192, 14336, 4096, true, false},     {"8B d gate up", 8192, 4096, 28672, true, false},
        {"8B d o", 8192, 4096, 4096, true, false},         {"8B d qkv", 8192, 4096, 6144, true, false},
    };
    t_open(&(ft_ops_options){.rows = 8192});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) measure(&cases[i]);
}

static void products_of_32b_at_4096_tokens(void **state)
{
    static const speed_case cases[] = {
        {"32B gate up", 4096, 55296, 5120, false, false},
        {"32B down", 4096, 5120, 27648, false, true},
    };
    t_open(&(ft_ops_options){.rows = 4096});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) measure(&cases[i]);
}

int main(void)
{
    ft_cuda_fold_product p = {.m = 1, .n = 128, .k = 128, .ldx = 128, .ldw = 128, .d_ld = 128};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_8b_at_8192_tokens),
        cmocka_unit_test(products_of_32b_at_4096_tokens),
    };
    t_queue();
    if (!ft_cuda_gemm_fold_fits(&p)) return 77;
    return cmocka_run_group_tests_name("gemm_fold_speed", tests, NULL, NULL);
}
