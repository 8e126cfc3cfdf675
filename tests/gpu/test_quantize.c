// bf16 to E4M3 on CUDA: codes and scales are exactly those of common/codec.h, by 1x128 blocks, rows and tiles.
#include "gpu/view_test.h"

#include "kernels/cuda/quantize.h"

// Values over many binades, with blocks of zeros, of one value and of values whose scale would be subnormal.
static float *values_of(int64_t rows, int64_t cols)
{
    float *x = t_random(rows * cols, 1, 11);
    for (int64_t i = 0; i < rows * cols; i++) {
        int64_t block = i / cols * ((cols + 127) / 128) + i % cols / 128;
        if (block % 7 == 3) x[i] = 0;
        else if (block % 7 == 5) x[i] = i % 5 == 0 ? -3 : 0;
        else if (block % 11 == 6) x[i] *= 0x1p-126f;
        else x[i] *= ldexpf(1, (int)(block % 40) - 20);
        x[i] = ft_bf16_to_f32(ft_f32_to_bf16(x[i]));
    }
    return x;
}

static void check_blocks(int64_t rows, int64_t cols, int64_t ld, bool factor)
{
    const char *what = t_name(factor ? "blocks with column factors" : "blocks", rows, cols, ld);
    float *x = values_of(rows, cols), *factors = t_random(cols, 3, 5), *scaled = malloc((size_t)(rows * cols) * 4);
    for (int64_t i = 0; i < rows * cols; i++) scaled[i] = factor ? x[i] * factors[i % cols] : x[i];
    ft_view view = t_view(rows, cols, ld, x);
    uint8_t *codes = t_device(t_room(rows) * cols);
    float *scales = t_device((cols + 127) / 128 * t_room(rows) * 4);
    T_OK(ft_cuda_quantize(t_queue(), codes, scales, view, factor ? t_upload(factors, cols * 4) : NULL));
    t_check_blocks(what, codes, scales, scaled, rows, cols);
    free(scaled);
    t_free();
}

static const int64_t shapes[][3] = {{1, 1, 1},        {1, 128, 128},    {5, 130, 131},     {17, 136, 144},   {37, 65, 72},
                                    {129, 256, 320},  {20, 4096, 4160}, {130, 1000, 1000}, {3, 14336, 14336}, {2, 16392, 16400},
                                    {2, 40000, 40000}};

static void blocks_equal_the_codec(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_blocks(shapes[i][0], shapes[i][1], shapes[i][2], false);
        check_blocks(shapes[i][0], shapes[i][1], shapes[i][2], true);
    }
}

// Row m: amax has mantissa m; block e: its other values have exponent -e and each mantissa. With the sign and a power of two,
// which change no rounding, these are all pairs of a bf16 value and a bf16 amax that give other codes than zero.
static void every_pair_of_value_and_amax_rounds_as_the_codec(void **state)
{
    enum { MANTISSAS = 128, EXPONENTS = 20, COLS = 128 * EXPONENTS };
    float *x = malloc(sizeof(float) * MANTISSAS * COLS);
    for (int m = 0; m < MANTISSAS; m++) {
        for (int c = 0; c < COLS; c++) {
            float amax = 1 + (float)m / 128, value = ldexpf(1 + (float)(c % 128) / 128, -(c / 128));
            x[m * COLS + c] = c % 128 == 0 || value > amax ? amax : value;
        }
    }
    ft_view view = t_view(MANTISSAS, COLS, COLS, x);
    uint8_t *codes = t_device(MANTISSAS * COLS);
    float *scales = t_device(EXPONENTS * MANTISSAS * 4);
    T_OK(ft_cuda_quantize(t_queue(), codes, scales, view, NULL));
    t_check_blocks("every pair", codes, scales, x, MANTISSAS, COLS);
    free(x);
    t_free();
}

static void check_rows(int64_t rows, int64_t cols, int64_t ld)
{
    const char *what = t_name("rows", rows, cols, ld);
    float *x = values_of(rows, cols), *scale = malloc((size_t)rows * 4);
    uint8_t *device = t_device(t_room(rows) * cols), *codes = malloc((size_t)(rows * cols));
    float *scales = t_device(t_room(rows) * 4);
    T_OK(ft_cuda_quantize_rows(t_queue(), device, scales, t_view(rows, cols, ld, x)));
    t_download(codes, device, rows * cols);
    t_download(scale, scales, rows * 4);
    for (int64_t r = 0; r < rows; r++) {
        float amax = 0;
        for (int64_t c = 0; c < cols; c++) amax = fmaxf(amax, fabsf(x[r * cols + c]));
        if (scale[r] != t_scale_of(amax))
            fail_msg("%s: scale of row %lld is %.9g, want %.9g", what, (long long)r, (double)scale[r], (double)t_scale_of(amax));
        for (int64_t c = 0; c < cols; c++) t_check_code(what, codes[r * cols + c], x[r * cols + c], scale[r], r, c);
    }
    free(codes);
    free(scale);
    t_free();
}

static void rows_equal_the_codec(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_rows(shapes[i][0], shapes[i][1], shapes[i][2]);
}

static void check_tiles(int64_t rows, int64_t cols, int64_t ld)
{
    const char *what = t_name("tiles", rows, cols, ld);
    int64_t n = rows * cols, n_scales = (int64_t)ft_scale_count(FT_SCALE_TILE, rows, cols);
    float *x = values_of(rows, cols), *got = malloc((size_t)n_scales * 4), *want = malloc((size_t)n_scales * 4);
    uint8_t *device = t_device(n), *codes = malloc((size_t)n), *want_codes = malloc((size_t)n);
    float *scales = t_device(n_scales * 4);
    double error = 0, norm = 0;
    T_OK(ft_quantize_tile(want_codes, want, x, 0, rows, cols, &error, &norm));
    T_OK(ft_cuda_quantize_tile(t_queue(), device, scales, t_view(rows, cols, ld, x)));
    t_download(codes, device, n);
    t_download(got, scales, n_scales * 4);
    for (int64_t i = 0; i < n_scales; i++) {
        if (got[i] != want[i]) fail_msg("%s: scale [%lld] got %.9g want %.9g", what, (long long)i, (double)got[i], (double)want[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        if (codes[i] != want_codes[i] && ((codes[i] | want_codes[i]) & 0x7F) != 0)
            fail_msg("%s: code of row %lld, column %lld got 0x%02x want 0x%02x", what, (long long)(i / cols), (long long)(i % cols),
                     codes[i], want_codes[i]);
    }
    free(got);
    free(want);
    free(codes);
    free(want_codes);
    t_free();
}

static void tiles_equal_the_codec(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_tiles(shapes[i][0], shapes[i][1], shapes[i][2]);
}

// A diverged run must show in the loss, not hide in a saturated code.
static void nan_and_infinity_stay_non_finite(void **state)
{
    float *x = t_random(4 * 256, 1, 3);
    x[5] = NAN;
    x[256 + 200] = INFINITY;
    uint8_t *device = t_device(16 * 256), codes[4 * 256];
    float *scales = t_device(2 * 16 * 4);
    T_OK(ft_cuda_quantize(t_queue(), device, scales, t_view(4, 256, 256, x), NULL));
    t_download(codes, device, sizeof codes);
    assert_int_equal(codes[5] & 0x7F, 0x7F);
    assert_int_equal(codes[256 + 200] & 0x7F, 0x7F);
    t_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_equal_the_codec), cmocka_unit_test(every_pair_of_value_and_amax_rounds_as_the_codec),
        cmocka_unit_test(rows_equal_the_codec), cmocka_unit_test(tiles_equal_the_codec),
        cmocka_unit_test(nan_and_infinity_stay_non_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
