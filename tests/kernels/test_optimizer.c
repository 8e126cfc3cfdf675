// AdamW in torch's order, and what the gradient's norm decides: the factor of the clip and whether anything is updated.
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
    const ft_clip quarter = {.finite = 1, .factor = 0.25f};
    memset(m.data, 0, N * 4);
    memset(v.data, 0, N * 4);
    for (int i = 0; i < N; i++) reference[i].p = (double)p.data[i];
    for (int step = 1; step <= STEPS; step++) {
        ft_adamw options = {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .bias1 = 1 - pow(0.9, step),
                            .bias2 = 1 - pow(0.999, step)};
        t_matrix g = t_matrix_random(1, N, 0, 50 + (uint32_t)step, 1e-3f);
        for (int i = 0; i < N; i++) reference[i] = adam_reference(reference[i], (double)g.data[i] * 0.25, &options);
        assert_int_equal(t.ops->adamw(t.queue, p.data, g.data, m.data, v.data, N, &options, &quarter), FT_OK);
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

static ft_clip clip_of(const float *x, int64_t n, double max_norm)
{
    ft_op_shape shape = {.n = n};
    t_workspace w = t_workspace_take(FT_OP_CLIP, &shape);
    ft_clip clip = {.sum_squares = -1, .finite = 7, .factor = -1};
    assert_int_equal(t.ops->clip(t.queue, &clip, x, n, max_norm, w.data, w.bytes), FT_OK);
    t_workspace_return(w);
    return clip;
}

static void sum_of_squares_matches_float64(void **state)
{
    static const int64_t sizes[] = {0, 1, 15, 37, 4095, 4096, 4097, 100003};
    t_matrix x = t_matrix_random(1, 100003, 0, 1, 1e-3f);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        double expected = 0;
        for (int64_t i = 0; i < sizes[k]; i++) expected += (double)x.data[i] * (double)x.data[i];
        ft_clip clip = clip_of(x.data, sizes[k], 0);
        assert_true(fabs(clip.sum_squares - expected) <= ft_op_table[FT_OP_CLIP].tolerance_f32 * expected);
        assert_int_equal(clip.finite, 1);
        assert_true(clip.factor == 1);
    }
    t_matrix_free(x);
}

static void any_value_that_is_not_finite_is_flagged(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    t_matrix x = t_matrix_random(1, 10000, 0, 1, 1);
    x.data[17] = 3e38f;  // its square overflows float32, which is no reason
    assert_int_equal(clip_of(x.data, 10000, 1).finite, 1);
    for (int64_t at = 0; at < 10000; at += 3333) {
        for (size_t k = 0; k < 3; k++) {
            float kept = x.data[at];
            x.data[at] = bad[k];
            assert_int_equal(clip_of(x.data, 10000, 1).finite, 0);
            x.data[at] = kept;
        }
    }
    t_matrix_free(x);
}

// torch.nn.utils.clip_grad_norm_: max_norm / (norm + 1e-6), at most 1.
static void the_factor_is_torchs(void **state)
{
    static const float x[] = {3, 4};
    assert_true(clip_of(x, 2, 0).factor == 1);
    assert_true(clip_of(x, 2, 10).factor == 1);
    assert_true(fabs((double)clip_of(x, 2, 1).factor - 1 / 5.000001) < 1e-8);
}

static void nothing_is_updated_by_gradients_that_are_not_finite(void **state)
{
    float p = 1, g = NAN, m = 2, v = 3;
    const ft_adamw options = {.lr = 1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .bias1 = 0.1, .bias2 = 0.001};
    const ft_clip clip = clip_of(&g, 1, 1);
    assert_int_equal(t.ops->adamw(t.queue, &p, &g, &m, &v, 1, &options, &clip), FT_OK);
    assert_true(p == 1 && m == 2 && v == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adamw_follows_torch_over_many_steps),
        cmocka_unit_test(sum_of_squares_matches_float64),
        cmocka_unit_test(any_value_that_is_not_finite_is_flagged),
        cmocka_unit_test(the_factor_is_torchs),
        cmocka_unit_test(nothing_is_updated_by_gradients_that_are_not_finite),
    };
    return T_GROUP(tests);
}
