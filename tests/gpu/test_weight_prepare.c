// Weight forms on CUDA: bf16 from every stored form with untouched columns behind, and the FP8 form's transposed codes and
// scale grids, exact.
#include "gpu/view_test.h"

typedef struct {
    ft_matrix device;
    float *values;       // dequantized, float32
    uint8_t *codes;      // host, E4M3
    float *scales;       // host
    int64_t n_scales;
    char what[128];
} stored;

static uint8_t code_of(int64_t i)
{
    uint32_t mixed = (uint32_t)i * 2654435761u >> 13;
    uint8_t code = (uint8_t)mixed;
    return (code & 0x7F) == 0x7F ? (uint8_t)(code ^ 1) : code;
}

static stored quantized(ft_scale_kind kind, int64_t rows, int64_t cols)
{
    stored s = {.n_scales = (int64_t)ft_scale_count(kind, rows, cols)};
    s.codes = malloc((size_t)(rows * cols));
    s.values = malloc((size_t)(rows * cols) * 4);
    s.scales = malloc((size_t)(s.n_scales + 1) * 4);
    for (int64_t i = 0; i < rows * cols; i++) s.codes[i] = code_of(i);
    for (int64_t i = 0; i < s.n_scales; i++) s.scales[i] = 0.001f * (float)(1 + (i * 13) % 29);
    ft_dequantize_rows(s.values, cols, s.codes, kind == FT_SCALE_NONE ? NULL : s.scales, kind, 0, rows, cols);
    s.device = (ft_matrix){.codes = t_upload(s.codes, rows * cols), .dtype = FT_DTYPE_F8_E4M3, .kind = kind, .rows = rows,
                           .cols = cols};
    if (kind != FT_SCALE_NONE) s.device.scales = t_upload(s.scales, s.n_scales * 4);
    snprintf(s.what, sizeof s.what, "E4M3 %s [%lld, %lld]", ft_scale_kind_name(kind), (long long)rows, (long long)cols);
    return s;
}

static stored plain(ft_dtype dtype, int64_t rows, int64_t cols)
{
    stored s = {0};
    int64_t n = rows * cols;
    float *random = t_random(2 * n, 1, 5);
    void *elements = malloc((size_t)n * ft_dtype_bytes(dtype));
    s.values = malloc((size_t)n * 4);
    for (int64_t i = 0; i < n; i++) s.values[i] = random[i] * (1 + random[n + i] / 64);
    T_OK(ft_convert_from_f32(elements, s.values, dtype, (size_t)n));
    T_OK(ft_convert_to_f32(s.values, elements, dtype, (size_t)n));
    s.device = (ft_matrix){.codes = t_upload(elements, n * (int64_t)ft_dtype_bytes(dtype)), .dtype = dtype, .kind = FT_SCALE_NONE,
                           .rows = rows, .cols = cols};
    free(elements);
    snprintf(s.what, sizeof s.what, "%s [%lld, %lld]", ft_dtype_name(dtype), (long long)rows, (long long)cols);
    return s;
}

static void release(stored s)
{
    free(s.values);
    free(s.codes);
    free(s.scales);
    t_free();
}

static void check_bf16(stored s, int64_t ld)
{
    int64_t rows = s.device.rows, cols = s.device.cols;
    ft_view got = t_view(rows, cols, ld, NULL);
    ft_weight dst = {.data = got.data, .repr = FT_REPR_BF16, .kind = FT_SCALE_NONE, .rows = rows, .cols = cols, .ld = ld};
    T_OK(t_ops()->weight_prepare(t_queue(), &dst, &s.device));
    t_same_bits(s.what, got, t_view(rows, cols, ld, s.values));
    release(s);
}

static void bf16_is_the_dequantized_matrix_rounded(void **state)
{
    static const int64_t shapes[][3] = {{1, 8, 8},       {5, 65, 67},       {130, 136, 200},  {128, 256, 320},
                                        {300, 576, 640}, {129, 4096, 4160}, {3, 14336, 14400}};
    static const ft_dtype dtypes[] = {FT_DTYPE_BF16, FT_DTYPE_F16, FT_DTYPE_F32};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *s = shapes[i];
        for (ft_scale_kind kind = FT_SCALE_NONE; kind <= FT_SCALE_TILE; kind++) check_bf16(quantized(kind, s[0], s[1]), s[2]);
        for (int d = 0; d < 3; d++) check_bf16(plain(dtypes[d], s[0], s[1]), s[2]);
    }
}

// A grid of cuBLASLt's block layout: `value` in its tiles, 1 in its padding.
static void check_grid(const char *what, const float *device, float value, int64_t rows, int64_t cols)
{
    int64_t stride = ft_scale_stride(cols), n = (int64_t)ft_scale_count(FT_SCALE_TILE, rows, cols);
    float *got = malloc((size_t)n * 4);
    t_download(got, device, n * 4);
    for (int64_t i = 0; i < n; i++) {
        float want = i % stride < (cols + 127) / 128 ? value : 1;
        if (got[i] != want) fail_msg("%s: scale [%lld] got %.9g want %.9g", what, (long long)i, (double)got[i], (double)want);
    }
    free(got);
}

static void check_fp8(ft_scale_kind kind, int64_t rows, int64_t cols)
{
    stored s = quantized(kind, rows, cols);
    int64_t n = rows * cols, n_grid = (int64_t)ft_scale_count(FT_SCALE_TILE, rows, cols);
    int64_t n_t = (int64_t)ft_scale_count(FT_SCALE_TILE, cols, rows);
    uint8_t *transposed = t_device(n + 16), *got = malloc((size_t)n + 16);
    float *grid = t_device(n_grid * 4), *grid_t = t_device(n_t * 4);
    ft_weight dst = {.data = (void *)s.device.codes, .data_t = transposed, .scales_t = grid_t, .repr = FT_REPR_E4M3, .kind = kind,
                     .scales = kind == FT_SCALE_TENSOR ? grid : s.device.scales, .rows = rows, .cols = cols, .ld = cols};
    T_OK(t_ops()->weight_prepare(t_queue(), &dst, &s.device));
    t_download(got, transposed, n + 16);
    for (int64_t i = 0; i < n; i++) {
        uint8_t want = s.codes[i % rows * cols + i / rows];
        if (got[i] != want) {
            fail_msg("%s: data_t row %lld, column %lld got 0x%02x want 0x%02x", s.what, (long long)(i / rows),
                     (long long)(i % rows), got[i], want);
        }
    }
    for (int64_t i = n; i < n + 16; i++) assert_int_equal(got[i], 0xFF);
    if (kind == FT_SCALE_TENSOR) check_grid(s.what, grid, s.scales[0], rows, cols);
    if (kind != FT_SCALE_TILE) check_grid(s.what, grid_t, kind == FT_SCALE_TENSOR ? s.scales[0] : 1, cols, rows);
    free(got);
    release(s);
}

static void fp8_form_is_the_transpose_with_its_grids(void **state)
{
    static const int64_t shapes[][2] = {{128, 128}, {256, 128}, {128, 640}, {384, 1280}, {1024, 4096}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (ft_scale_kind kind = FT_SCALE_TENSOR; kind <= FT_SCALE_TILE; kind++) check_fp8(kind, shapes[i][0], shapes[i][1]);
    }
}

static void what_has_no_fp8_form_is_refused(void **state)
{
    stored ragged = quantized(FT_SCALE_TILE, 130, 128);
    ft_weight dst = {.data_t = t_device(130 * 128), .repr = FT_REPR_E4M3, .rows = 130, .cols = 128, .ld = 128};
    assert_int_equal(t_ops()->weight_prepare(t_queue(), &dst, &ragged.device), FT_E_UNSUPPORTED);
    release(ragged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bf16_is_the_dequantized_matrix_rounded),
                                       cmocka_unit_test(fp8_form_is_the_transpose_with_its_grids),
                                       cmocka_unit_test(what_has_no_fp8_form_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
