// Rotary embedding: frequencies of both kinds, tables, the rotation and its inverse.
#include "kernel_test.h"

static void default_frequencies_are_powers_of_theta(void **state)
{
    double inverse[64];
    ft_rope_frequencies(inverse, 128, 10000, 0, 0, 0, 0);
    assert_true(inverse[0] == 1.0);
    assert_true(fabs(inverse[32] - 0.01) < 1e-15);               // 10000^(-64/128)
    assert_true(fabs(inverse[16] - 0.1) < 1e-15);                // 10000^(-32/128)
    assert_true(fabs(inverse[63] - 1.15478198468945822e-4) < 1e-17);
}

// Llama 3.1: theta 500000, d 128, factor 8, low 1, high 4, original 8192. Wavelengths 2 pi 500000^(i/64) are below 8192/4 up to
// i = 28, above 8192 from i = 35, and in between the frequency is mixed.
static void llama3_frequencies_fall_in_three_bands(void **state)
{
    double plain[64], scaled[64];
    ft_rope_frequencies(plain, 128, 500000, 0, 0, 0, 0);
    ft_rope_frequencies(scaled, 128, 500000, 8, 1, 4, 8192);
    for (int i = 0; i <= 28; i++) assert_true(scaled[i] == plain[i]);
    for (int i = 35; i < 64; i++) assert_true(fabs(scaled[i] / plain[i] - 0.125) < 1e-15);
    // (1 - t)/8 + t with t = (8192/wavelength - 1)/3, worked out with 40 digits for both ends of the band and its middle.
    static const struct { int i; double inverse; } mixed[] = {
        {29, 2.16657076350335867e-03}, {31, 8.56751412919632077e-04}, {34, 1.78507812767996410e-04},
    };
    for (size_t k = 0; k < 3; k++) assert_true(fabs(scaled[mixed[k].i] / mixed[k].inverse - 1) < 1e-12);
}

static void tables_are_rounded_once(void **state)
{
    double inverse[4];
    float cosine[4 * 3000], sine[4 * 3000];
    ft_rope_frequencies(inverse, 8, 500000, 0, 0, 0, 0);
    ft_rope_tables(cosine, sine, inverse, 3000, 4);
    for (int p = 0; p < 3000; p++) {
        for (int i = 0; i < 4; i++) {
            assert_true(cosine[p * 4 + i] == (float)cos((double)p * inverse[i]));
            assert_true(sine[p * 4 + i] == (float)sin((double)p * inverse[i]));
        }
    }
}

typedef struct {
    ft_attention shape;
    ft_rope table;
    t_matrix qkv;
    int32_t *positions;
    double *inverse;
} rotation;

static rotation make_rotation(int64_t rows, int64_t q_heads, int64_t kv_heads, int64_t d)
{
    rotation r = {.shape = {q_heads, kv_heads, d, 1}, .qkv = t_matrix_random(rows, (q_heads + 2 * kv_heads) * d, 3, 1, 1)};
    r.positions = ft_malloc((size_t)rows * sizeof(int32_t));
    r.inverse = t_doubles(d / 2);
    float *tables = ft_malloc((size_t)(512 * d) * sizeof(float));
    ft_rope_frequencies(r.inverse, d, 10000, 0, 0, 0, 0);
    ft_rope_tables(tables, tables + 256 * d, r.inverse, 512, d / 2);
    r.table = (ft_rope){tables, tables + 256 * d, 512, d / 2};
    for (int64_t i = 0; i < rows; i++) r.positions[i] = (int32_t)(i * 7 % 512);
    return r;
}

static void free_rotation(rotation r)
{
    ft_free((void *)r.table.cosine);
    ft_free(r.positions);
    ft_free(r.inverse);
    t_matrix_free(r.qkv);
}

static void check(int64_t rows, int64_t q_heads, int64_t kv_heads, int64_t d)
{
    rotation r = make_rotation(rows, q_heads, kv_heads, d);
    int64_t cols = r.qkv.cols, half = d / 2;
    double *expected = t_doubles(rows * cols), *before = t_doubles(rows * cols);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < cols; c++) {
            int64_t head = c / d, i = c % d % half;
            double x = t_at(r.qkv, row, c), angle = (double)r.positions[row] * r.inverse[i];
            double other = c % d < half ? -t_at(r.qkv, row, c + half) : t_at(r.qkv, row, c - half);
            before[row * cols + c] = x;
            expected[row * cols + c] = head < q_heads + kv_heads ? x * cos(angle) + other * sin(angle) : x;
        }
    }
    assert_int_equal(t.ops->rope(t.queue, t_view(r.qkv), &r.shape, &r.table, r.positions, 1), FT_OK);
    t_assert_close(r.qkv, expected, ft_op_table[FT_OP_ROPE].tolerance_f32);
    // The gradient of a rotation is the rotation back.
    assert_int_equal(t.ops->rope(t.queue, t_view(r.qkv), &r.shape, &r.table, r.positions, -1), FT_OK);
    t_assert_close(r.qkv, before, ft_op_table[FT_OP_ROPE].tolerance_f32);
    ft_free(expected);
    ft_free(before);
    free_rotation(r);
}

static void rotation_matches_float64_and_backward_undoes_it(void **state)
{
    check(1, 1, 1, 2);
    check(37, 3, 1, 64);
    check(129, 8, 2, 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_frequencies_are_powers_of_theta),
        cmocka_unit_test(llama3_frequencies_fall_in_three_bands),
        cmocka_unit_test(tables_are_rounded_once),
        cmocka_unit_test(rotation_matches_float64_and_backward_undoes_it),
    };
    return T_GROUP(tests);
}
