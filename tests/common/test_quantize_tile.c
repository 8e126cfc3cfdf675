// Quantization in 128x128 tiles: scales, padding, error sums, refusal of non-finite values, and results that depend neither
// on threads nor on how the rows are cut into calls.
#include "t_common.h"

#include <float.h>
#include <math.h>

#include "common/codec.h"
#include "common/threads.h"

enum { ROWS = 300, COLS = 650, TILE_ROWS = 3, TILE_COLS = 6, STRIDE = 8, SCALES = TILE_ROWS * STRIDE };

static float w[ROWS * COLS];
static ft_e4m3 codes[ROWS * COLS];
static float scales[SCALES];

static int fill_matrix(void **state)
{
    (void)state;
    uint64_t random = 11;
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < COLS; c++) {
            // Another magnitude in every 64x64 block: a wrong tile shows.
            float block = ldexpf(1, (r / 64 * 5 + c / 64 * 3) % 11 - 5);
            w[r * COLS + c] = (float)(int32_t)t_random(&random) * 0x1p-31f * block;
        }
    }
    return 0;
}

static float tile_amax(int tile_row, int tile_col)
{
    float amax = 0;
    for (int r = tile_row * 128; r < ROWS && r < tile_row * 128 + 128; r++) {
        for (int c = tile_col * 128; c < COLS && c < tile_col * 128 + 128; c++) amax = fmaxf(amax, fabsf(w[r * COLS + c]));
    }
    return amax;
}

static ft_status quantize(double *error_sq, double *norm_sq)
{
    *error_sq = *norm_sq = 0;
    for (int i = 0; i < SCALES; i++) scales[i] = -7;
    return ft_quantize_tile(codes, scales, w, 0, ROWS, COLS, error_sq, norm_sq);
}

static void scale_is_amax_over_448_per_tile_and_padding_is_1(void **state)
{
    (void)state;
    double error_sq, norm_sq;
    assert_int_equal(quantize(&error_sq, &norm_sq), FT_OK);
    assert_int_equal(ft_scale_count(FT_SCALE_TILE, ROWS, COLS), SCALES);
    for (int tr = 0; tr < TILE_ROWS; tr++) {
        for (int tc = 0; tc < STRIDE; tc++) {
            float expected = tc < TILE_COLS ? tile_amax(tr, tc) / 448.0f : 1.0f;
            assert_memory_equal(&scales[tr * STRIDE + tc], &expected, 4);
        }
    }
}

static void codes_are_the_scalar_codec_of_the_quotient(void **state)
{
    (void)state;
    double error_sq, norm_sq;
    assert_int_equal(quantize(&error_sq, &norm_sq), FT_OK);
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < COLS; c++) {
            float scale = scales[r / 128 * STRIDE + c / 128];
            assert_int_equal(codes[r * COLS + c], ft_f32_to_e4m3(w[r * COLS + c] / scale));
        }
    }
}

static void error_and_norm_are_added_to_what_was_there(void **state)
{
    (void)state;
    double error_sq, norm_sq, expected_error = 0, expected_norm = 0, error_more = 5, norm_more = 7;
    assert_int_equal(quantize(&error_sq, &norm_sq), FT_OK);
    for (int i = 0; i < ROWS * COLS; i++) {
        float scale = scales[i / COLS / 128 * STRIDE + i % COLS / 128];
        double error = (double)(ft_e4m3_table[codes[i]] * scale) - (double)w[i];
        expected_error += error * error;
        expected_norm += (double)w[i] * (double)w[i];
    }
    assert_true(fabs(error_sq - expected_error) < 1e-10 * expected_error);
    assert_true(fabs(norm_sq - expected_norm) < 1e-10 * expected_norm);
    // Three mantissa bits: relative rms near 2.6 %.
    assert_true(sqrt(error_sq / norm_sq) > 0.01 && sqrt(error_sq / norm_sq) < 0.04);
    assert_int_equal(ft_quantize_tile(codes, scales, w, 0, ROWS, COLS, &error_more, &norm_more), FT_OK);
    assert_true(fabs(error_more - 5 - expected_error) < 1e-9 && fabs(norm_more - 7 - expected_norm) < 1e-9 * expected_norm);
}

static void cutting_the_rows_into_calls_changes_no_bit(void **state)
{
    (void)state;
    static ft_e4m3 cut_codes[ROWS * COLS];
    float cut_scales[SCALES];
    double error_sq, norm_sq, cut_error = 0, cut_norm = 0;
    assert_int_equal(quantize(&error_sq, &norm_sq), FT_OK);
    for (int row0 = 0; row0 < ROWS; row0 += 128) {
        int n = ROWS - row0 < 128 ? ROWS - row0 : 128;
        ft_status status = ft_quantize_tile(cut_codes + row0 * COLS, cut_scales, w + row0 * COLS, row0, n, COLS, &cut_error, &cut_norm);
        assert_int_equal(status, FT_OK);
    }
    assert_memory_equal(cut_codes, codes, sizeof codes);
    assert_memory_equal(cut_scales, scales, sizeof scales);
    assert_memory_equal(&cut_error, &error_sq, sizeof error_sq);
    assert_memory_equal(&cut_norm, &norm_sq, sizeof norm_sq);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    static ft_e4m3 expected_codes[ROWS * COLS];
    float expected_scales[SCALES];
    double expected_error, expected_norm, error_sq, norm_sq;
    assert_int_equal(quantize(&expected_error, &expected_norm), FT_OK);
    memcpy(expected_codes, codes, sizeof codes);
    memcpy(expected_scales, scales, sizeof scales);
    assert_int_equal(ft_threads_init(3), FT_OK);
    memset(codes, 0, sizeof codes);
    assert_int_equal(quantize(&error_sq, &norm_sq), FT_OK);
    ft_threads_shutdown();
    assert_memory_equal(codes, expected_codes, sizeof codes);
    assert_memory_equal(scales, expected_scales, sizeof scales);
    assert_memory_equal(&error_sq, &expected_error, sizeof error_sq);
    assert_memory_equal(&norm_sq, &expected_norm, sizeof norm_sq);
}

static void more_tiles_than_one_batch_are_all_done(void **state)
{
    (void)state;
    enum { WIDE = 600 * 128 };
    static float row[WIDE];
    static ft_e4m3 row_codes[WIDE];
    static float row_scales[600];
    double error_sq = 0, norm_sq = 0;
    for (int c = 0; c < WIDE; c++) row[c] = (float)(c / 128 + 1);
    assert_int_equal(ft_scale_count(FT_SCALE_TILE, 1, WIDE), 600);
    assert_int_equal(ft_quantize_tile(row_codes, row_scales, row, 0, 1, WIDE, &error_sq, &norm_sq), FT_OK);
    for (int t = 0; t < 600; t++) assert_true(row_scales[t] == (float)(t + 1) / 448.0f);
    for (int c = 0; c < WIDE; c++) assert_int_equal(row_codes[c], 0x7E);
}

static void a_tile_of_zeros_has_scale_1_and_keeps_the_signs(void **state)
{
    (void)state;
    float zeros[4] = {0.0f, -0.0f, 0.0f, -0.0f}, scale[4];
    ft_e4m3 out[4];
    double error_sq = 0, norm_sq = 0;
    assert_int_equal(ft_quantize_tile(out, scale, zeros, 0, 1, 4, &error_sq, &norm_sq), FT_OK);
    for (int i = 0; i < 4; i++) {
        assert_true(scale[i] == 1.0f);
        assert_int_equal(out[i], i % 2 ? 0x80 : 0x00);
    }
    assert_true(error_sq == 0 && norm_sq == 0);
}

static void tiny_tiles_get_a_normal_scale_and_no_nan(void **state)
{
    (void)state;
    const float amax[] = {FLT_TRUE_MIN, 1e-40f, FLT_MIN, 448 * FLT_MIN, 449 * FLT_MIN};
    for (size_t k = 0; k < sizeof amax / sizeof *amax; k++) {
        float in[3] = {0.0f, amax[k], -amax[k] / 2}, scale[4];
        ft_e4m3 out[3];
        double error_sq = 0, norm_sq = 0;
        assert_int_equal(ft_quantize_tile(out, scale, in, 0, 1, 3, &error_sq, &norm_sq), FT_OK);
        float expected = amax[k] / 448.0f < FLT_MIN ? FLT_MIN : amax[k] / 448.0f;
        assert_true(scale[0] == expected);
        assert_int_equal(out[0], 0);
        for (int i = 0; i < 3; i++) assert_int_equal(out[i], ft_f32_to_e4m3(in[i] / expected));
        if (amax[k] >= 448 * FLT_MIN) assert_int_equal(out[1], 0x7E);
    }
}

// One bad value anywhere stops the call, and the message says which.
static void check_bad(int row, int col, float value, const char *name)
{
    char where[64];
    double error_sq = 0, norm_sq = 0;
    float kept = w[row * COLS + col];
    int row0 = row / 128 * 128;
    w[row * COLS + col] = value;
    assert_int_equal(ft_quantize_tile(codes, scales, w + row0 * COLS, row0, ROWS - row0, COLS, &error_sq, &norm_sq), FT_E_NUMERIC);
    w[row * COLS + col] = kept;
    snprintf(where, sizeof where, "row %d, column %d", row, col);
    assert_non_null(strstr(ft_error_message(), where));
    assert_non_null(strstr(ft_error_message(), name));
}

static void nan_and_inf_are_refused_with_row_and_column(void **state)
{
    (void)state;
    check_bad(0, 0, NAN, "nan");
    check_bad(299, 649, INFINITY, "inf");
    check_bad(130, 127, -INFINITY, "-inf");
    check_bad(127, 128, ft_bits_to_f32(0xFF800001), "nan");
    check_bad(256, 645, NAN, "nan");
}

static void the_first_bad_value_is_named_whatever_the_threads_do(void **state)
{
    (void)state;
    assert_int_equal(ft_threads_init(3), FT_OK);
    float kept = w[200 * COLS + 600];
    w[200 * COLS + 600] = NAN;
    for (int i = 0; i < 20; i++) check_bad(140, 300, INFINITY, "inf");
    w[200 * COLS + 600] = kept;
    ft_threads_shutdown();
}

static void start_in_the_middle_of_a_tile(void)
{
    double error_sq = 0, norm_sq = 0;
    ft_quantize_tile(codes, scales, w, 64, 64, COLS, &error_sq, &norm_sq);
}

static void rows_must_start_at_a_tile(void **state)
{
    (void)state;
    assert_true(t_aborts(start_in_the_middle_of_a_tile));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scale_is_amax_over_448_per_tile_and_padding_is_1),
        cmocka_unit_test(codes_are_the_scalar_codec_of_the_quotient),
        cmocka_unit_test(error_and_norm_are_added_to_what_was_there),
        cmocka_unit_test(cutting_the_rows_into_calls_changes_no_bit),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(more_tiles_than_one_batch_are_all_done),
        cmocka_unit_test(a_tile_of_zeros_has_scale_1_and_keeps_the_signs),
        cmocka_unit_test(tiny_tiles_get_a_normal_scale_and_no_nan),
        cmocka_unit_test(nan_and_inf_are_refused_with_row_and_column),
        cmocka_unit_test(the_first_bad_value_is_named_whatever_the_threads_do),
        cmocka_unit_test(rows_must_start_at_a_tile),
    };
    return cmocka_run_group_tests(tests, fill_matrix, NULL);
}
