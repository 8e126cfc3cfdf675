// Stored form -> compute form: every scale kind and element type, against the definition element by element.
#include "kernel_test.h"

enum { ROWS = 300, COLS = 411 };

static ft_matrix quantized(ft_e4m3 *codes, float *scales, ft_scale_kind kind)
{
    for (int64_t i = 0; i < ROWS * COLS; i++) {
        codes[i] = (ft_e4m3)(ft_rng(7, FT_RNG_DATA, (uint32_t)i, 0, 0, 0).word[0] & 0xFF);
        if ((codes[i] & 0x7F) == 0x7F) codes[i] ^= 1;  // no NaN
    }
    for (size_t i = 0; i < ft_scale_count(kind, ROWS, COLS); i++) scales[i] = ldexpf(1.0f, (int)(i % 13) - 6);
    return (ft_matrix){.codes = codes, .scales = scales, .dtype = FT_DTYPE_F8_E4M3, .kind = kind, .rows = ROWS, .cols = COLS};
}

static float scale_of(const ft_matrix *m, int64_t row, int64_t col)
{
    if (m->kind == FT_SCALE_TENSOR) return m->scales[0];
    if (m->kind == FT_SCALE_ROW) return m->scales[row];
    return m->scales[row / FT_TILE * ft_scale_stride(COLS) + col / FT_TILE];
}

static t_matrix prepare(const ft_matrix *source)
{
    t_matrix w = t_matrix_nan(ROWS, COLS, 5);
    ft_weight dst = {.data = w.data, .repr = FT_REPR_F32, .rows = ROWS, .cols = COLS, .ld = w.ld};
    assert_int_equal(t.ops->weight_prepare(t.queue, &dst, source), FT_OK);
    return w;
}

static void every_scale_kind_multiplies_its_codes(void **state)
{
    static const ft_scale_kind kinds[] = {FT_SCALE_TENSOR, FT_SCALE_ROW, FT_SCALE_TILE};
    ft_e4m3 *codes = ft_malloc(ROWS * COLS);
    for (size_t k = 0; k < 3; k++) {
        float *scales = ft_malloc(ft_scale_count(kinds[k], ROWS, COLS) * sizeof(float));
        ft_matrix source = quantized(codes, scales, kinds[k]);
        t_matrix w = prepare(&source);
        for (int64_t r = 0; r < ROWS; r++) {
            for (int64_t c = 0; c < COLS; c++) {
                assert_true(w.data[r * w.ld + c] == ft_e4m3_to_f32(codes[r * COLS + c]) * scale_of(&source, r, c));
            }
        }
        t_matrix_free(w);
        ft_free(scales);
    }
    ft_free(codes);
}

static void float_types_are_widened_exactly(void **state)
{
    static const ft_dtype types[] = {FT_DTYPE_BF16, FT_DTYPE_F16, FT_DTYPE_F32};
    t_matrix values = t_matrix_random(ROWS, COLS, 0, 3, 1);
    for (size_t k = 0; k < 3; k++) {
        void *stored = ft_malloc(ROWS * COLS * 4);
        t_matrix expected = t_matrix_nan(ROWS, COLS, 0);
        assert_int_equal(ft_convert_from_f32(stored, values.data, types[k], ROWS * COLS), FT_OK);
        assert_int_equal(ft_convert_to_f32(expected.data, stored, types[k], ROWS * COLS), FT_OK);
        t_matrix w = prepare(&(ft_matrix){.codes = stored, .dtype = types[k], .kind = FT_SCALE_NONE, .rows = ROWS, .cols = COLS});
        for (int64_t r = 0; r < ROWS; r++) {
            assert_memory_equal(w.data + r * w.ld, expected.data + r * COLS, COLS * sizeof(float));
        }
        t_matrix_free(w);
        t_matrix_free(expected);
        ft_free(stored);
    }
    t_matrix_free(values);
}

static void other_types_are_refused(void **state)
{
    int8_t codes[4] = {0};
    float w[4];
    ft_matrix source = {.codes = codes, .dtype = FT_DTYPE_I8, .kind = FT_SCALE_NONE, .rows = 2, .cols = 2};
    ft_weight dst = {.data = w, .repr = FT_REPR_F32, .rows = 2, .cols = 2, .ld = 2};
    assert_int_equal(t.ops->weight_prepare(t.queue, &dst, &source), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "I8"));
}

static void embedding_rows_and_vectors_are_widened(void **state)
{
    t_matrix values = t_matrix_random(37, 65, 0, 4, 1), x = t_matrix_nan(37, 65, 2);
    ft_bf16 *stored = ft_malloc(37 * 65 * 2);
    float *vector = ft_malloc(37 * 65 * 4);
    assert_int_equal(ft_convert_from_f32(stored, values.data, FT_DTYPE_BF16, 37 * 65), FT_OK);
    assert_int_equal(t.ops->embed(t.queue, t_view(x), stored, FT_DTYPE_BF16, NULL), FT_OK);
    assert_int_equal(t.ops->vector_prepare(t.queue, vector, stored, FT_DTYPE_BF16, 37 * 65), FT_OK);
    for (int64_t r = 0; r < 37; r++) {
        for (int64_t c = 0; c < 65; c++) {
            assert_true(x.data[r * x.ld + c] == ft_bf16_to_f32(stored[r * 65 + c]));
            assert_true(vector[r * 65 + c] == ft_bf16_to_f32(stored[r * 65 + c]));
        }
    }
    ft_free(stored);
    ft_free(vector);
    t_matrix_free(values);
    t_matrix_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scale_kind_multiplies_its_codes),
        cmocka_unit_test(float_types_are_widened_exactly),
        cmocka_unit_test(other_types_are_refused),
        cmocka_unit_test(embedding_rows_and_vectors_are_widened),
    };
    return T_GROUP(tests);
}
