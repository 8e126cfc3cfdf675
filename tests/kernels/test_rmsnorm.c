// RMSNorm forward, recompute and backward against float64; the gradient also against finite differences.
#include "kernel_test.h"

static const double eps = 1e-5;

static double rstd_reference(const double *h, int64_t n)
{
    double squares = 0;
    for (int64_t c = 0; c < n; c++) squares += h[c] * h[c];
    return 1 / sqrt(squares / (double)n + eps);
}

typedef struct {
    t_matrix x, residual, weight, sum, y;
    float *rstd;
} norm;

static norm make_norm(int64_t rows, int64_t cols)
{
    norm n = {.x = t_matrix_random(rows, cols, 3, 1, 2), .residual = t_matrix_random(rows, cols, 1, 2, 1),
              .weight = t_matrix_random(1, cols, 0, 3, 1), .sum = t_matrix_nan(rows, cols, 2), .y = t_matrix_nan(rows, cols, 4)};
    n.rstd = ft_malloc((size_t)rows * sizeof(float));
    return n;
}

static void free_norm(norm n)
{
    t_matrix_free(n.x);
    t_matrix_free(n.residual);
    t_matrix_free(n.weight);
    t_matrix_free(n.sum);
    t_matrix_free(n.y);
    ft_free(n.rstd);
}

static void check_forward(int64_t rows, int64_t cols)
{
    norm n = make_norm(rows, cols);
    double *h = t_doubles(rows * cols), *y = t_doubles(rows * cols);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) h[r * cols + c] = t_at(n.x, r, c) + t_at(n.residual, r, c);
        double rstd = rstd_reference(h + r * cols, cols);
        for (int64_t c = 0; c < cols; c++) y[r * cols + c] = h[r * cols + c] * rstd * t_at(n.weight, 0, c);
    }
    assert_int_equal(t.ops->rmsnorm_forward(t.queue, t_view(n.y), t_view(n.sum), n.rstd, t_view(n.x), t_view(n.residual),
                                            n.weight.data, (float)eps), FT_OK);
    t_assert_close(n.sum, h, 1e-7);
    t_assert_close(n.y, y, ft_op_table[FT_OP_RMSNORM].tolerance_f32);
    for (int64_t r = 0; r < rows; r++) assert_float_equal(n.rstd[r], rstd_reference(h + r * cols, cols), 1e-6);

    t_matrix again = t_matrix_nan(rows, cols, 1);
    assert_int_equal(t.ops->rmsnorm_apply(t.queue, t_view(again), t_view(n.sum), n.rstd, n.weight.data), FT_OK);
    for (int64_t r = 0; r < rows; r++) assert_memory_equal(again.data + r * again.ld, n.y.data + r * n.y.ld, (size_t)cols * 4);
    t_matrix_free(again);
    ft_free(h);
    ft_free(y);
    free_norm(n);
}

static void forward_matches_float64_and_apply_repeats_it(void **state)
{
    check_forward(1, 1);
    check_forward(1, 576);
    check_forward(37, 65);
    check_forward(129, 130);
    check_forward(5, 20000);
}

static void without_residual_only_the_norm_is_made(void **state)
{
    norm n = make_norm(37, 65);
    ft_view none = {0};
    assert_int_equal(t.ops->rmsnorm_forward(t.queue, t_view(n.y), none, n.rstd, t_view(n.x), none, n.weight.data, (float)eps),
                     FT_OK);
    t_matrix again = t_matrix_nan(37, 65, 4);
    assert_int_equal(t.ops->rmsnorm_apply(t.queue, t_view(again), t_view(n.x), n.rstd, n.weight.data), FT_OK);
    t_assert_same_bits(again, n.y);
    t_matrix_free(again);
    free_norm(n);
}

static void the_sum_may_replace_the_residual_and_y_may_be_left_out(void **state)
{
    norm n = make_norm(37, 65);
    ft_view none = {0};
    float *rstd = ft_malloc(37 * sizeof(float));
    assert_int_equal(t.ops->rmsnorm_forward(t.queue, t_view(n.y), t_view(n.sum), n.rstd, t_view(n.x), t_view(n.residual),
                                            n.weight.data, (float)eps), FT_OK);
    assert_int_equal(t.ops->rmsnorm_forward(t.queue, none, t_view(n.residual), rstd, t_view(n.x), t_view(n.residual),
                                            n.weight.data, (float)eps), FT_OK);
    assert_memory_equal(rstd, n.rstd, 37 * sizeof(float));
    for (int64_t r = 0; r < 37; r++) assert_memory_equal(n.residual.data + r * n.residual.ld, n.sum.data + r * n.sum.ld, 65 * 4);
    ft_free(rstd);
    free_norm(n);
}

// sum(dy * y) + sum(dres * x), the function whose gradient by x backward returns.
static double objective(const double *x, t_matrix weight, t_matrix dy, t_matrix dres, int64_t row)
{
    int64_t n = weight.cols;
    double r = rstd_reference(x, n), value = 0;
    for (int64_t c = 0; c < n; c++) value += t_at(dy, row, c) * x[c] * r * t_at(weight, 0, c) + t_at(dres, row, c) * x[c];
    return value;
}

static void check_backward(int64_t rows, int64_t cols)
{
    norm n = make_norm(rows, cols);
    ft_view none = {0};
    t_matrix dy = t_matrix_random(rows, cols, 2, 5, 1), dres = t_matrix_random(rows, cols, 3, 6, 1);
    t_matrix dx = t_matrix_nan(rows, cols, 1);
    assert_int_equal(t.ops->rmsnorm_forward(t.queue, t_view(n.y), none, n.rstd, t_view(n.x), none, n.weight.data, (float)eps),
                     FT_OK);
    assert_int_equal(t.ops->rmsnorm_backward(t.queue, t_view(dx), t_view(dres), t_view(dy), t_view(n.x), n.rstd,
                                             n.weight.data), FT_OK);
    double *reference = t_doubles(rows * cols), *x = t_doubles(cols);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) x[c] = t_at(n.x, r, c);
        for (int64_t c = 0; c < cols; c++) {
            double at = x[c], h = 1e-5;
            x[c] = at + h;
            double above = objective(x, n.weight, dy, dres, r);
            x[c] = at - h;
            reference[r * cols + c] = (above - objective(x, n.weight, dy, dres, r)) / (2 * h);
            x[c] = at;
        }
    }
    t_assert_close(dx, reference, ft_op_table[FT_OP_RMSNORM].tolerance_f32);
    // dx may be dres.
    assert_int_equal(t.ops->rmsnorm_backward(t.queue, t_view(dres), t_view(dres), t_view(dy), t_view(n.x), n.rstd,
                                             n.weight.data), FT_OK);
    for (int64_t r = 0; r < rows; r++) assert_memory_equal(dres.data + r * dres.ld, dx.data + r * dx.ld, (size_t)cols * 4);
    // Without dres it counts as zero.
    for (int64_t r = 0; r < rows; r++) memset(dres.data + r * dres.ld, 0, (size_t)cols * 4);
    assert_int_equal(t.ops->rmsnorm_backward(t.queue, t_view(dx), none, t_view(dy), t_view(n.x), n.rstd,
                                             n.weight.data), FT_OK);
    assert_int_equal(t.ops->rmsnorm_backward(t.queue, t_view(dres), t_view(dres), t_view(dy), t_view(n.x), n.rstd,
                                             n.weight.data), FT_OK);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) assert_true(dx.data[r * dx.ld + c] == dres.data[r * dres.ld + c]);
    }
    ft_free(reference);
    ft_free(x);
    t_matrix_free(dy);
    t_matrix_free(dres);
    t_matrix_free(dx);
    free_norm(n);
}

static void backward_matches_finite_differences(void **state)
{
    check_backward(1, 40);
    check_backward(37, 65);
    check_backward(129, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_matches_float64_and_apply_repeats_it),
        cmocka_unit_test(without_residual_only_the_norm_is_made),
        cmocka_unit_test(the_sum_may_replace_the_residual_and_y_may_be_left_out),
        cmocka_unit_test(backward_matches_finite_differences),
    };
    return T_GROUP(tests);
}
