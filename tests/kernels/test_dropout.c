// Dropout: the mask is the one ft_rng defines, has the right share of zeros, and is the same in forward and backward.
#include "kernels/cpu/cpu_ops.h"
#include "kernel_test.h"

static const ft_dropout sample = {.p = 0.3f, .seed = 0x123456789ABCDEFull, .step = 7, .layer = 5, .group = 2, .token_base = 1000};

static bool kept(const ft_dropout *d, int64_t row, int64_t feature)
{
    ft_rng_block block = ft_rng(d->seed, FT_RNG_DROPOUT, d->step, d->layer << 8 | d->group, d->token_base + (uint32_t)row,
                                (uint32_t)(feature / 4));
    return ft_rng_uniform(block.word[feature % 4]) >= d->p;
}

static void the_mask_is_the_counters(void **state)
{
    static const int64_t widths[] = {1, 3, 64, 65, 130, 577};
    for (size_t k = 0; k < sizeof widths / sizeof *widths; k++) {
        t_matrix x = t_matrix_random(37, widths[k], 2, 1, 1), y = t_matrix_nan(37, widths[k], 3);
        t_matrix z = t_matrix_random(37, widths[k], 1, 2, 1), before = t_matrix_copy(z);
        ft_cpu_dropout(y.data, y.ld, x.data, x.ld, 37, widths[k], &sample, false);
        ft_cpu_dropout(z.data, z.ld, x.data, x.ld, 37, widths[k], &sample, true);
        for (int64_t r = 0; r < 37; r++) {
            for (int64_t c = 0; c < widths[k]; c++) {
                float expected = kept(&sample, r, c) ? x.data[r * x.ld + c] * (1.0f / (1.0f - sample.p)) : 0.0f;
                assert_true(y.data[r * y.ld + c] == expected);
                assert_true(z.data[r * z.ld + c] == before.data[r * z.ld + c] + expected);
            }
        }
        t_matrix_free(x);
        t_matrix_free(y);
        t_matrix_free(z);
        t_matrix_free(before);
    }
}

static int64_t zeros(float p, uint32_t step, uint32_t layer)
{
    ft_dropout d = sample;
    d.p = p;
    d.step = step;
    d.layer = layer;
    t_matrix ones = t_matrix_nan(500, 400, 0), y = t_matrix_nan(500, 400, 0);
    int64_t count = 0;
    for (int64_t i = 0; i < 200000; i++) ones.data[i] = 1;
    ft_cpu_dropout(y.data, 400, ones.data, 400, 500, 400, &d, false);
    for (int64_t i = 0; i < 200000; i++) count += y.data[i] == 0;
    t_matrix_free(ones);
    t_matrix_free(y);
    return count;
}

static void the_share_of_zeros_is_p(void **state)
{
    static const float shares[] = {0.05f, 0.3f, 0.5f};
    for (size_t i = 0; i < 3; i++) {
        double p = (double)shares[i], sigma = sqrt(200000 * p * (1 - p));
        assert_true(fabs((double)zeros(shares[i], 1, 0) - 200000 * p) < 5 * sigma);
        assert_int_not_equal(zeros(shares[i], 1, 0), zeros(shares[i], 2, 0));
        assert_int_not_equal(zeros(shares[i], 1, 0), zeros(shares[i], 1, 1));
    }
}

enum { ROWS = 37, IN = 70, OUT = 40, R = 4 };

// One part with LoRA and dropout; base weights 0, so that only the LoRA branch is seen.
typedef struct {
    ft_linear_group group;
    t_matrix w, a, b, da, db, x, y, s, ds, dy, dx;
} branch;

static branch make_branch(void)
{
    branch m = {.w = t_matrix_nan(OUT, IN, 0), .a = t_matrix_random(R, IN, 0, 1, 1), .b = t_matrix_random(OUT, R, 0, 2, 1),
                .da = t_matrix_nan(R, IN, 0), .db = t_matrix_nan(OUT, R, 0), .x = t_matrix_random(ROWS, IN, 1, 3, 1),
                .y = t_matrix_nan(ROWS, OUT, 0), .s = t_matrix_nan(ROWS, R, 0), .ds = t_matrix_nan(ROWS, R, 0), .dy = t_matrix_random(ROWS, OUT, 0, 4, 1),
                .dx = t_matrix_nan(ROWS, IN, 2)};
    memset(m.w.data, 0, OUT * IN * sizeof(float));
    memset(m.da.data, 0, R * IN * sizeof(float));
    memset(m.db.data, 0, OUT * R * sizeof(float));
    m.group = (ft_linear_group){.n_parts = 1, .out = {OUT}, .n_weights = 1, .dropout = sample};
    m.group.weight[0] = (ft_weight){.data = m.w.data, .repr = FT_REPR_F32, .rows = OUT, .cols = IN, .ld = IN};
    m.group.lora[0] = (ft_lora){m.a.data, m.b.data, m.da.data, m.db.data, R, 2};
    ft_op_shape shape = {.rows = ROWS, .in = IN, .out = OUT, .rank = R, .parts = 1, .dropout = true};
    const ft_view none = {0};
    t_workspace w = t_workspace_take(FT_OP_LINEAR_FORWARD, &shape);
    assert_int_equal(t.ops->linear_forward(t.queue, &m.group, t_view(m.y), t_view(m.x), none, t_view(m.s), w.data, w.bytes), FT_OK);
    t_workspace_return(w);
    w = t_workspace_take(FT_OP_LINEAR_BACKWARD, &shape);
    assert_int_equal(t.ops->linear_backward(t.queue, &m.group, t_view(m.dx), t_view(m.dy), t_view(m.s), t_view(m.ds), w.data, w.bytes), FT_OK);
    assert_int_equal(t.ops->lora_backward_a(t.queue, &m.group, t_view(m.x), t_view(m.ds), w.data, w.bytes), FT_OK);
    t_workspace_return(w);
    return m;
}

static void free_branch(branch m)
{
    const t_matrix all[] = {m.w, m.a, m.b, m.da, m.db, m.x, m.y, m.s, m.ds, m.dy, m.dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) t_matrix_free(all[i]);
}

static void a_group_uses_one_mask_in_both_directions(void **state)
{
    branch m = make_branch();
    double factor = 1 / (1 - (double)sample.p), *y = t_doubles(ROWS * OUT), *dx = t_doubles(ROWS * IN), *da = t_doubles(R * IN);
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t k = 0; k < R; k++) {
            double s = 0, ds = 0;
            for (int64_t i = 0; i < IN; i++) s += kept(&sample, r, i) ? factor * t_at(m.x, r, i) * t_at(m.a, k, i) : 0;
            for (int64_t o = 0; o < OUT; o++) {
                y[r * OUT + o] += 2 * s * t_at(m.b, o, k);
                ds += 2 * t_at(m.dy, r, o) * t_at(m.b, o, k);
            }
            for (int64_t i = 0; i < IN; i++) {
                if (!kept(&sample, r, i)) continue;
                dx[r * IN + i] += factor * ds * t_at(m.a, k, i);
                da[k * IN + i] += factor * ds * t_at(m.x, r, i);
            }
        }
    }
    t_assert_close(m.y, y, 2e-6);
    t_assert_close(m.dx, dx, 2e-6);
    t_assert_close(m.da, da, 2e-6);
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t i = 0; i < IN; i++) assert_int_equal(t_at(m.dx, r, i) != 0, kept(&sample, r, i));
    }
    ft_free(y);
    ft_free(dx);
    ft_free(da);
    free_branch(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mask_is_the_counters),
        cmocka_unit_test(the_share_of_zeros_is_p),
        cmocka_unit_test(a_group_uses_one_mask_in_both_directions),
    };
    return T_GROUP(tests);
}
