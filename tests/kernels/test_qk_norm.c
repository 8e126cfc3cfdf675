// The norm of q and k heads against float64; the gradient against finite differences.
#include "kernel_test.h"

static const double eps = 1e-6;

typedef struct {
    ft_attention shape;
    int64_t heads, d;
    t_matrix qkv, raw, q_weight, k_weight;
    float *rstd;
} heads_norm;

static heads_norm make(int64_t rows, int64_t q_heads, int64_t kv_heads, int64_t d)
{
    heads_norm n = {.shape = {q_heads, kv_heads, d, 1}, .heads = q_heads + kv_heads, .d = d};
    n.qkv = t_matrix_random(rows, (q_heads + 2 * kv_heads) * d, 3, 1, 2);
    n.raw = t_matrix_nan(rows, n.heads * d, 1);
    n.q_weight = t_matrix_random(1, d, 0, 2, 1);
    n.k_weight = t_matrix_random(1, d, 0, 3, 1);
    n.q_weight.data[0] = 0;  // a head cannot be had back from its norm
    n.rstd = ft_malloc((size_t)(rows * n.heads) * sizeof(float));
    return n;
}

static void free_all(heads_norm n)
{
    t_matrix_free(n.qkv);
    t_matrix_free(n.raw);
    t_matrix_free(n.q_weight);
    t_matrix_free(n.k_weight);
    ft_free(n.rstd);
}

static double weight_at(const heads_norm *n, int64_t head, int64_t i)
{
    return t_at(head < n->shape.q_heads ? n->q_weight : n->k_weight, 0, i);
}

static double rstd_of(const double *x, int64_t d)
{
    double squares = 0;
    for (int64_t i = 0; i < d; i++) squares += x[i] * x[i];
    return 1 / sqrt(squares / (double)d + eps);
}

static ft_status forward(const heads_norm *n)
{
    return t.ops->qk_norm_forward(t.queue, t_view(n->qkv), t_view(n->raw), n->rstd, &n->shape, n->q_weight.data, n->k_weight.data,
                                  (float)eps);
}

static void check_forward(int64_t rows, int64_t q_heads, int64_t kv_heads, int64_t d)
{
    heads_norm n = make(rows, q_heads, kv_heads, d);
    int64_t cols = n.qkv.cols;
    double *expected = t_doubles(rows * cols), *x = t_doubles(cols);
    t_matrix before = t_matrix_copy(n.qkv);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) x[c] = expected[r * cols + c] = t_at(n.qkv, r, c);
        for (int64_t h = 0; h < n.heads; h++) {
            for (int64_t i = 0; i < d; i++) expected[r * cols + h * d + i] *= rstd_of(x + h * d, d) * weight_at(&n, h, i);
        }
    }
    assert_int_equal(forward(&n), FT_OK);
    t_assert_close(n.qkv, expected, ft_op_table[FT_OP_QK_NORM].tolerance_f32);
    for (int64_t r = 0; r < rows; r++) {
        const float *was = before.data + r * before.ld;
        assert_memory_equal(n.raw.data + r * n.raw.ld, was, (size_t)(n.heads * d) * 4);
        assert_memory_equal(n.qkv.data + r * n.qkv.ld + n.heads * d, was + n.heads * d, (size_t)(kv_heads * d) * 4);  // v
        for (int64_t h = 0; h < n.heads; h++) {
            for (int64_t i = 0; i < d; i++) x[i] = was[h * d + i];
            assert_float_equal(n.rstd[r * n.heads + h] / rstd_of(x, d), 1, 1e-6);
        }
    }
    t_matrix_free(before);
    ft_free(expected);
    ft_free(x);
    free_all(n);
}

static void forward_matches_float64_and_leaves_v_alone(void **state)
{
    check_forward(1, 1, 1, 2);
    check_forward(37, 3, 1, 18);
    check_forward(129, 5, 5, 34);
    check_forward(65, 4, 2, 128);
    check_forward(3, 1, 1, 514);
}

// sum(dy * norm(x)) over one head.
static double objective(const heads_norm *n, int64_t head, const double *x, const float *dy)
{
    double value = 0, rstd = rstd_of(x, n->d);
    for (int64_t i = 0; i < n->d; i++) value += (double)dy[i] * x[i] * rstd * weight_at(n, head, i);
    return value;
}

static void differentiate(const heads_norm *n, int64_t head, const float *raw, const float *dy, double *gradient)
{
    double *x = t_doubles(n->d), h = 1e-5;
    for (int64_t i = 0; i < n->d; i++) x[i] = raw[i];
    for (int64_t i = 0; i < n->d; i++) {
        double at = x[i];
        x[i] = at + h;
        double above = objective(n, head, x, dy);
        x[i] = at - h;
        gradient[i] = (above - objective(n, head, x, dy)) / (2 * h);
        x[i] = at;
    }
    ft_free(x);
}

static void check_backward(int64_t rows, int64_t q_heads, int64_t kv_heads, int64_t d)
{
    heads_norm n = make(rows, q_heads, kv_heads, d);
    int64_t cols = n.qkv.cols;
    t_matrix dqkv = t_matrix_random(rows, cols, 2, 7, 1);
    double *expected = t_doubles(rows * cols);
    assert_int_equal(forward(&n), FT_OK);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) expected[r * cols + c] = t_at(dqkv, r, c);
        for (int64_t h = 0; h < n.heads; h++)
            differentiate(&n, h, n.raw.data + r * n.raw.ld + h * d, dqkv.data + r * dqkv.ld + h * d, expected + r * cols + h * d);
    }
    assert_int_equal(t.ops->qk_norm_backward(t.queue, t_view(dqkv), t_view(n.raw), n.rstd, &n.shape, n.q_weight.data, n.k_weight.data),
                     FT_OK);
    t_assert_close(dqkv, expected, ft_op_table[FT_OP_QK_NORM].tolerance_f32);
    t_matrix_free(dqkv);
    ft_free(expected);
    free_all(n);
}

static void backward_matches_finite_differences_and_leaves_v_alone(void **state)
{
    check_backward(1, 1, 1, 2);
    check_backward(37, 3, 1, 18);
    check_backward(65, 4, 2, 32);
    check_backward(5, 2, 1, 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_matches_float64_and_leaves_v_alone),
        cmocka_unit_test(backward_matches_finite_differences_and_leaves_v_alone),
    };
    return T_GROUP(tests);
}
