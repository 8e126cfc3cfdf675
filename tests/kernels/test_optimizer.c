// AdamW in torch's order, the sum of squares with its finite flag, and scaled addition.
#include "kernel_test.h"

typedef struct {
    double p, m, v;
} adam;

static adam adam_reference(adam s, double g, const ft_adamw *o)
{
    s.p *= 1 - o->lr * o->weight_decay;
    s.m = o->beta1 * s.m + (1 - o->beta1) * g;
    s.v = o->beta2 * s.v + (1 - o->beta2) * g * g;
    s.p -= o->lr / o->bias1 * s.m / (sqrt(s.v) / sqrt(o->bias2) + o->eps);
    return s;
}

static void adamw_follows_torch_over_many_steps(void **state)
{
    enum { N = 5001, STEPS = 20 };
    t_matrix p = t_matrix_random(1, N, 0, 1, 1), m = t_matrix_nan(1, N, 0), v = t_matrix_nan(1, N, 0);
    adam *reference = ft_calloc(N, sizeof *reference);
    double *expected = t_doubles(3 * N);
    memset(m.data, 0, N * 4);
    memset(v.data, 0, N * 4);
    for (int i = 0; i < N; i++) reference[i].p = (double)p.data[i];
    for (int step = 1; step <= STEPS; step++) {
        ft_adamw options = {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .bias1 = 1 - pow(0.9, step),
                            .bias2 = 1 - pow(0.999, step)};
        t_matrix g = t_matrix_random(1, N, 0, 50 + (uint32_t)step, 1e-3f);
        for (int i = 0; i < N; i++) reference[i] = adam_reference(reference[i], (double)g.data[i] * 0.25, &options);
        assert_int_equal(t.ops->adamw(t.queue, p.data, g.data, m.data, v.data, N, &options, 0.25f), FT_OK);
        t_matrix_free(g);
    }
    for (int i = 0; i < N; i++) {
        expected[i] = reference[i].p;
        expected[N + i] = reference[i].m;
        expected[2 * N + i] = reference[i].v;
    }
    t_assert_close(p, expected, ft_op_table[FT_OP_ADAMW].tolerance_f32);
    t_assert_close(m, expected + N, ft_op_table[FT_OP_ADAMW].tolerance_f32);
    t_assert_close(v, expected + 2 * N, ft_op_table[FT_OP_ADAMW].tolerance_f32);
    t_matrix_free(p);
    t_matrix_free(m);
    t_matrix_free(v);
    ft_free(reference);
    ft_free(expected);
}

static double sum_squares(const float *x, int64_t n, int32_t *finite)
{
    ft_op_shape shape = {.n = n};
    t_workspace w = t_workspace_take(FT_OP_SUM_SQUARES, &shape);
    double sum = -1;
    assert_int_equal(t.ops->sum_squares(t.queue, &sum, finite, x, n, w.data, w.bytes), FT_OK);
    t_workspace_return(w);
    return sum;
}

static void sum_of_squares_matches_float64(void **state)
{
    static const int64_t sizes[] = {0, 1, 15, 37, 4095, 4096, 4097, 100003};
    t_matrix x = t_matrix_random(1, 100003, 0, 1, 1e-3f);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        double expected = 0;
        int32_t finite = 7;
        for (int64_t i = 0; i < sizes[k]; i++) expected += (double)x.data[i] * (double)x.data[i];
        double sum = sum_squares(x.data, sizes[k], &finite);
        assert_true(fabs(sum - expected) <= ft_op_table[FT_OP_SUM_SQUARES].tolerance_f32 * expected);
        assert_int_equal(finite, 1);
    }
    t_matrix_free(x);
}

static void any_value_that_is_not_finite_is_flagged(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    t_matrix x = t_matrix_random(1, 10000, 0, 1, 1);
    int32_t finite;
    x.data[17] = 3e38f;  // its square overflows float32, which is no reason
    sum_squares(x.data, 10000, &finite);
    assert_int_equal(finite, 1);
    for (int64_t at = 0; at < 10000; at += 3333) {
        for (size_t k = 0; k < 3; k++) {
            float kept = x.data[at];
            x.data[at] = bad[k];
            sum_squares(x.data, 10000, &finite);
            assert_int_equal(finite, 0);
            x.data[at] = kept;
        }
    }
    t_matrix_free(x);
}

static void scale_add_adds_or_overwrites(void **state)
{
    t_matrix x = t_matrix_random(1, 40001, 0, 1, 1), y = t_matrix_random(1, 40001, 0, 2, 1), before = t_matrix_copy(y);
    assert_int_equal(t.ops->scale_add(t.queue, y.data, x.data, 0.3f, 40001, false), FT_OK);
    for (int i = 0; i < 40001; i++) assert_true(y.data[i] == before.data[i] + x.data[i] * 0.3f);
    assert_int_equal(t.ops->scale_add(t.queue, y.data, x.data, 2, 40001, true), FT_OK);
    for (int i = 0; i < 40001; i++) assert_true(y.data[i] == 2 * x.data[i]);
    t_matrix_free(x);
    t_matrix_free(y);
    t_matrix_free(before);
}

static void add_adds_views_in_place_too(void **state)
{
    t_matrix a = t_matrix_random(37, 65, 1, 1, 1), b = t_matrix_random(37, 65, 2, 2, 1), y = t_matrix_nan(37, 65, 3);
    assert_int_equal(t.ops->add(t.queue, t_view(y), t_view(a), t_view(b)), FT_OK);
    for (int64_t r = 0; r < 37; r++) {
        for (int64_t c = 0; c < 65; c++) assert_true(y.data[r * y.ld + c] == a.data[r * a.ld + c] + b.data[r * b.ld + c]);
    }
    assert_int_equal(t.ops->add(t.queue, t_view(b), t_view(a), t_view(b)), FT_OK);
    for (int64_t r = 0; r < 37; r++) assert_memory_equal(b.data + r * b.ld, y.data + r * y.ld, 65 * 4);
    t_matrix_free(a);
    t_matrix_free(b);
    t_matrix_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adamw_follows_torch_over_many_steps),
        cmocka_unit_test(sum_of_squares_matches_float64),
        cmocka_unit_test(any_value_that_is_not_finite_is_flagged),
        cmocka_unit_test(add_adds_views_in_place_too),
        cmocka_unit_test(scale_add_adds_or_overwrites),
    };
    return T_GROUP(tests);
}
