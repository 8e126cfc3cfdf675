// Scale arrays: sizes of each kind, the transposed grid, and dequantization of any rows with any kind.
#include "t_common.h"

#include "common/codec.h"
#include "common/threads.h"

static void sizes_follow_the_layout(void **state)
{
    (void)state;
    assert_int_equal(ft_scale_count(FT_SCALE_NONE, 100, 100), 0);
    assert_int_equal(ft_scale_count(FT_SCALE_TENSOR, 100, 100), 4);
    assert_int_equal(ft_scale_count(FT_SCALE_ROW, 100, 1), 100);
    assert_int_equal(ft_scale_count(FT_SCALE_ROW, 101, 1), 104);
    assert_int_equal(ft_scale_count(FT_SCALE_TILE, 128, 128), 4);
    assert_int_equal(ft_scale_count(FT_SCALE_TILE, 129, 512), 8);
    assert_int_equal(ft_scale_count(FT_SCALE_TILE, 129, 513), 16);
    // Llama 3.1 405B's gate: 53248 x 16384.
    assert_int_equal(ft_scale_count(FT_SCALE_TILE, 53248, 16384), 416 * 128);
    assert_int_equal(ft_scale_stride(1), 4);
    assert_int_equal(ft_scale_stride(640), 8);
}

static void transpose_moves_every_tile_and_pads_with_1(void **state)
{
    (void)state;
    enum { ROWS = 700, COLS = 300, TR = 6, TC = 3, SRC_LD = 4, DST_LD = 8 };
    float src[TR * SRC_LD], dst[TC * DST_LD], back[TR * SRC_LD];
    for (int i = 0; i < TR * SRC_LD; i++) src[i] = i % SRC_LD < TC ? (float)(i + 2) : 1.0f;
    assert_int_equal(ft_scale_count(FT_SCALE_TILE, COLS, ROWS), TC * DST_LD);
    ft_scale_transpose(dst, src, ROWS, COLS);
    for (int c = 0; c < TC; c++) {
        for (int r = 0; r < DST_LD; r++) assert_true(dst[c * DST_LD + r] == (r < TR ? src[r * SRC_LD + c] : 1.0f));
    }
    ft_scale_transpose(back, dst, COLS, ROWS);
    assert_memory_equal(back, src, sizeof src);
}

enum { ROWS = 260, COLS = 333, LD = 340 };
static ft_e4m3 codes[ROWS * COLS];
static float scales[ROWS + 12];

static float expected_scale(ft_scale_kind kind, int row, int col)
{
    switch (kind) {
    case FT_SCALE_TENSOR: return scales[0];
    case FT_SCALE_ROW: return scales[row];
    case FT_SCALE_TILE: return scales[row / 128 * 4 + col / 128];
    default: return 1.0f;
    }
}

static void check_rows(ft_scale_kind kind, int row0, int n_rows)
{
    static float dst[ROWS * LD];
    for (int i = 0; i < ROWS * LD; i++) dst[i] = -99;
    ft_dequantize_rows(dst, LD, codes + row0 * COLS, kind == FT_SCALE_NONE ? NULL : scales, kind, row0, n_rows, COLS);
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < LD; c++) {
            float expected = -99;
            if (r < n_rows && c < COLS) expected = ft_e4m3_table[codes[(row0 + r) * COLS + c]] * expected_scale(kind, row0 + r, c);
            assert_memory_equal(&dst[r * LD + c], &expected, 4);
        }
    }
}

static int fill_codes(void **state)
{
    (void)state;
    uint64_t random = 17;
    for (int i = 0; i < ROWS * COLS; i++) codes[i] = (ft_e4m3)t_random(&random);
    for (int i = 0; i < ROWS + 12; i++) scales[i] = 0.001f * (float)(i + 1);
    return 0;
}

static void rows_dequantize_with_the_scale_of_their_place(void **state)
{
    (void)state;
    const ft_scale_kind kinds[] = {FT_SCALE_NONE, FT_SCALE_TENSOR, FT_SCALE_ROW, FT_SCALE_TILE};
    for (size_t k = 0; k < 4; k++) {
        check_rows(kinds[k], 0, ROWS);
        check_rows(kinds[k], 127, 2);
        check_rows(kinds[k], 200, 60);
        check_rows(kinds[k], 5, 0);
    }
}

static void threads_change_no_dequantized_bit(void **state)
{
    (void)state;
    assert_int_equal(ft_threads_init(3), FT_OK);
    check_rows(FT_SCALE_TILE, 0, ROWS);
    check_rows(FT_SCALE_ROW, 3, 250);
    ft_threads_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_the_layout),
        cmocka_unit_test(transpose_moves_every_tile_and_pads_with_1),
        cmocka_unit_test(rows_dequantize_with_the_scale_of_their_place),
        cmocka_unit_test(threads_change_no_dequantized_bit),
    };
    return cmocka_run_group_tests(tests, fill_codes, NULL);
}
