// SwiGLU and its gradient against float64.
#include "kernel_test.h"

static double sigmoid(double a)
{
    return 1 / (1 + exp(-a));
}

static void check(int64_t rows, int64_t ffn)
{
    t_matrix gate_up = t_matrix_random(rows, 2 * ffn, 3, 1, 4), dy = t_matrix_random(rows, ffn, 1, 2, 1);
    t_matrix y = t_matrix_nan(rows, ffn, 2), again = t_matrix_nan(rows, ffn, 1), gradient = t_matrix_nan(rows, 2 * ffn, 5);
    double *expected_y = t_doubles(rows * ffn), *expected_gradient = t_doubles(rows * 2 * ffn);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < ffn; c++) {
            double a = t_at(gate_up, r, c), b = t_at(gate_up, r, ffn + c), s = sigmoid(a), d = t_at(dy, r, c);
            expected_y[r * ffn + c] = a * s * b;
            expected_gradient[r * 2 * ffn + c] = d * b * (s + a * s * (1 - s));
            expected_gradient[r * 2 * ffn + ffn + c] = d * a * s;
        }
    }
    assert_int_equal(t.ops->swiglu_forward(t.queue, t_view(y), t_view(gate_up)), FT_OK);
    t_assert_close(y, expected_y, ft_op_table[FT_OP_SWIGLU].tolerance_f32);
    assert_int_equal(t.ops->swiglu_backward(t.queue, t_view(gradient), t_view(again), t_view(dy), t_view(gate_up)), FT_OK);
    t_assert_close(again, expected_y, ft_op_table[FT_OP_SWIGLU].tolerance_f32);
    t_assert_close(gradient, expected_gradient, ft_op_table[FT_OP_SWIGLU].tolerance_f32);
    t_matrix alone = t_matrix_nan(rows, 2 * ffn, 5);
    assert_int_equal(t.ops->swiglu_backward(t.queue, t_view(alone), (ft_view){0}, t_view(dy), t_view(gate_up)), FT_OK);
    for (int64_t r = 0; r < rows; r++)
        assert_memory_equal(alone.data + r * alone.ld, gradient.data + r * gradient.ld, (size_t)ffn * 8);
    t_matrix_free(alone);
    assert_int_equal(t.ops->swiglu_backward(t.queue, t_view(gate_up), t_view(dy), t_view(dy), t_view(gate_up)), FT_OK);  // both in place
    t_assert_close(dy, expected_y, ft_op_table[FT_OP_SWIGLU].tolerance_f32);
    for (int64_t r = 0; r < rows; r++) {
        assert_memory_equal(gate_up.data + r * gate_up.ld, gradient.data + r * gradient.ld, (size_t)ffn * 8);
    }
    t_matrix_free(gate_up);
    t_matrix_free(dy);
    t_matrix_free(y);
    t_matrix_free(again);
    t_matrix_free(gradient);
    ft_free(expected_y);
    ft_free(expected_gradient);
}

static void both_directions_match_float64(void **state)
{
    check(1, 1);
    check(1, 320);
    check(37, 65);
    check(129, 257);
}

static void extreme_gates_stay_finite(void **state)
{
    t_matrix gate_up = t_matrix_random(1, 4, 0, 1, 1), y = t_matrix_nan(1, 2, 0), dy = t_matrix_random(1, 2, 0, 2, 1);
    gate_up.data[0] = -1e30f;
    gate_up.data[1] = 1e30f;
    gate_up.data[2] = gate_up.data[3] = 2;
    assert_int_equal(t.ops->swiglu_forward(t.queue, t_view(y), t_view(gate_up)), FT_OK);
    assert_true(fabsf(y.data[0]) <= 2e-7f * 1e30f && y.data[1] == 2e30f);
    assert_int_equal(t.ops->swiglu_backward(t.queue, t_view(gate_up), t_view(y), t_view(dy), t_view(gate_up)), FT_OK);
    for (int i = 0; i < 4; i++) assert_true(isfinite(gate_up.data[i]));
    t_matrix_free(gate_up);
    t_matrix_free(y);
    t_matrix_free(dy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_match_float64),
        cmocka_unit_test(extreme_gates_stay_finite),
    };
    return T_GROUP(tests);
}
