// ft_cuda_gemm_fp8 against float64: small integers as codes and powers of two as scales, which vary from block to block, so that
// the sum is exact but for its rounding to bf16 and a scale taken from a wrong place shows. Unused rows of A and of its scales
// hold NaN.
#include "gpu/gpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec.h"
#include "common/rng.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/workspace.h"

static const double tolerance = 4e-3;  // bf16's rounding

typedef struct {
    ft_fp8_scaling scaling;
    int64_t m, n, k, pad;     // pad: bytes beyond a row of A and B, elements beyond one of C and D
    bool adds, in_place, fast;
} fp8_case;

static int64_t padded(int64_t rows) { return (rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN; }
static int64_t blocks(int64_t n) { return (n + FT_TILE - 1) / FT_TILE; }

static uint32_t random_word(uint32_t stream, int64_t index)
{
    return ft_rng(7, FT_RNG_DATA, stream, (uint32_t)(index >> 32), (uint32_t)index, 0).word[0];
}

// 2^-3 .. 2^4 by a hash of the place.
static float scale_at(const fp8_case *g, uint32_t operand, int64_t block_row, int64_t block)
{
    if (g->scaling == FT_FP8_TENSOR) return operand == 0 ? 0.5f : 4.0f;
    if (g->scaling == FT_FP8_OUTER) block = 0;
    return ldexpf(1, (int)(random_word(2 + operand, block_row * 65536 + block) % 8) - 3);
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

static float *upload_scales(const fp8_case *g, uint32_t operand)
{
    int64_t kb = blocks(g->k), rows = operand == 0 ? g->m : g->n, stride = operand == 0 ? padded(g->m) : ft_scale_stride(g->k);
    int64_t n = g->scaling == FT_FP8_TENSOR ? 1 : g->scaling == FT_FP8_OUTER ? padded(rows) : operand == 0 ? kb * stride
                                                                                                         : blocks(rows) * stride;
    float *image = malloc((size_t)n * sizeof *image);
    memset(image, 0xFF, (size_t)n * sizeof *image);
    for (int64_t i = 0; operand == 1 && i < n; i++) image[i] = 1;
    if (g->scaling == FT_FP8_TENSOR) image[0] = scale_at(g, operand, 0, 0);
    for (int64_t i = 0; g->scaling == FT_FP8_OUTER && i < rows; i++) image[i] = scale_at(g, operand, i, 0);
    for (int64_t b = 0; g->scaling == FT_FP8_BLOCK && b < kb; b++) {
        for (int64_t i = 0; operand == 0 && i < rows; i++) image[b * stride + i] = scale_at(g, 0, i, b);
        for (int64_t t = 0; operand == 1 && t < blocks(rows); t++) image[t * stride + b] = scale_at(g, 1, t, b);
    }
    float *device = t_upload(image, n * 4);
    free(image);
    return device;
}

// Values of an operand, [rows, k].
static float *values_of(const fp8_case *g, uint32_t operand)
{
    int64_t rows = operand == 0 ? g->m : g->n;
    float *values = malloc((size_t)(rows * g->k) * sizeof *values);
    for (int64_t i = 0; i < rows; i++) {
        int64_t place = operand == 1 && g->scaling == FT_FP8_BLOCK ? i / FT_TILE : i;
        for (int64_t l = 0; l < g->k; l++) values[i * g->k + l] = code_at(operand, i, l) * scale_at(g, operand, place, l / FT_TILE);
    }
    return values;
}

static double *reference(const fp8_case *g, const float *c)
{
    float *a = values_of(g, 0), *b = values_of(g, 1);
    double *want = malloc((size_t)(g->m * g->n) * sizeof *want);
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) {
            double sum = c == NULL ? 0 : 0.5 * c[i * g->n + j];
            for (int64_t l = 0; l < g->k; l++) sum += (double)a[i * g->k + l] * b[j * g->k + l];
            want[i * g->n + j] = sum;
        }
    }
    free(a);
    free(b);
    return want;
}

static ft_bf16 *upload_c(const fp8_case *g, const float *c, int64_t ld, int64_t room)
{
    ft_bf16 *image = malloc((size_t)(room * ld) * 2);
    memset(image, 0xFF, (size_t)(room * ld) * 2);
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) image[i * ld + j] = ft_f32_to_bf16(c[i * g->n + j]);
    }
    ft_bf16 *device = t_upload(image, room * ld * 2);
    free(image);
    return device;
}

// D has 16 rows more than there is room for: those and the gaps must be as they were.
static float *gather(const fp8_case *g, const ft_bf16 *image, int64_t ld)
{
    float *got = malloc((size_t)(g->m * g->n) * sizeof *got);
    for (int64_t i = 0; i < padded(g->m) + FT_ROW_ALIGN; i++) {
        for (int64_t j = 0; j < ld; j++) {
            bool outside = j >= g->n || i >= padded(g->m);
            if (outside && image[i * ld + j] != 0xFFFF) fail_msg("row %lld, column %lld was written", (long long)i, (long long)j);
            if (!outside && i < g->m) got[i * g->n + j] = ft_bf16_to_f32(image[i * ld + j]);
        }
    }
    return got;
}

static void check_case(const fp8_case *g)
{
    static const char *const name[] = {"tensor", "outer", "block"};
    int64_t ld = g->k + g->pad, ldd = g->n + g->pad, room = padded(g->m) + FT_ROW_ALIGN;
    float *c = g->adds ? t_random(g->m * g->n, 16, 3) : NULL;
    ft_cuda_product_fp8 p = {.scaling = g->scaling, .m = g->m, .n = g->n, .k = g->k, .lda = ld, .ldb = ld, .ldc = ldd, .ldd = ldd,
                             .beta = 0.5f, .fast = g->fast};
    p.a = upload_codes(0, g->m, padded(g->m), g->k, ld);
    p.b = upload_codes(1, g->n, g->n, g->k, ld);
    p.a_scales = upload_scales(g, 0);
    p.b_scales = upload_scales(g, 1);
    void *workspace = t_device(FT_CUBLASLT_WORKSPACE);
    ft_bf16 *image[2] = {malloc((size_t)(room * ldd) * 2), malloc((size_t)(room * ldd) * 2)};
    for (int run = 0; run < 2; run++) {
        p.c = c == NULL ? NULL : upload_c(g, c, ldd, room);
        p.d = g->in_place ? (void *)p.c : t_device(room * ldd * 2);
        if (ft_cuda_gemm_fp8(t_queue(), &p, workspace, FT_CUBLASLT_WORKSPACE) != FT_OK)
            fail_msg("%s %lldx%lldx%lld: %s", name[g->scaling], (long long)g->m, (long long)g->n, (long long)g->k, ft_error_message());
        t_download(image[run], p.d, room * ldd * 2);
    }
    char what[160];
    snprintf(what, sizeof what, "%s %lldx%lldx%lld pad %lld%s%s%s", name[g->scaling], (long long)g->m, (long long)g->n, (long long)g->k,
             (long long)g->pad, g->adds ? " +c" : "", g->in_place ? " in place" : "", g->fast ? " fast" : "");
    float *got = gather(g, image[0], ldd), *again = gather(g, image[1], ldd);
    double *want = reference(g, c);
    t_check(what, got, want, g->m * g->n, g->fast ? 2 * tolerance : tolerance);
    if (memcmp(got, again, (size_t)(g->m * g->n) * sizeof *got) != 0) fail_msg("%s: two runs differ in their bits", what);
    free(got);
    free(again);
    free(want);
    free(image[0]);
    free(image[1]);
    t_free();
}

static void open_queue(void)
{
    t_open(&(ft_ops_options){.rows = 512});
}

static void block_scales_are_read_where_they_lie(void **state)
{
    // Blocks along k: 1, 3, 4, 5, 7; tiles of n: 1 to 5; rows short of 16, between and full.
    static const int64_t shape[][3] = {{16, 128, 128}, {1, 128, 384}, {7, 640, 512}, {130, 384, 640}, {256, 256, 896}, {300, 128, 640}};
    open_queue();
    for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++) {
        check_case(&(fp8_case){FT_FP8_BLOCK, shape[s][0], shape[s][1], shape[s][2], 0, false, false, false});
        check_case(&(fp8_case){FT_FP8_BLOCK, shape[s][0], shape[s][1], shape[s][2], 16, true, s % 2 == 0, false});
    }
}

static void row_scales_are_read_where_they_lie(void **state)
{
    static const int64_t shape[][3] = {{16, 128, 128}, {1, 128, 384}, {130, 384, 640}, {33, 144, 208}};
    open_queue();
    for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++) {
        check_case(&(fp8_case){FT_FP8_OUTER, shape[s][0], shape[s][1], shape[s][2], 0, false, false, false});
        check_case(&(fp8_case){FT_FP8_OUTER, shape[s][0], shape[s][1], shape[s][2], 16, true, true, false});
    }
    check_case(&(fp8_case){FT_FP8_OUTER, 130, 384, 640, 0, false, false, true});
}

static void tensor_scales_multiply(void **state)
{
    open_queue();
    check_case(&(fp8_case){FT_FP8_TENSOR, 130, 384, 640, 0, false, false, false});
    check_case(&(fp8_case){FT_FP8_TENSOR, 7, 144, 208, 16, true, true, false});
    check_case(&(fp8_case){FT_FP8_TENSOR, 130, 384, 640, 0, true, false, true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_scales_are_read_where_they_lie),
        cmocka_unit_test(row_scales_are_read_where_they_lie),
        cmocka_unit_test(tensor_scales_multiply),
    };
    return cmocka_run_group_tests_name("gemm_fp8", tests, NULL, NULL);
}
