// cpu_compute: bf16 rounds the factors of the frozen products of linears and head, and nothing else; it is refused where the CPU
// has no such instruction, and float32 is what a device starts with.
#include "kernels/cpu/compute.h"
#include "kernels/cpu/gemm.h"
#include "kernel_test.h"

enum { ROWS = 70, IN = 96, OUT = 80, R = 4, VOCAB = 300 };

static t_matrix rounded(t_matrix m)
{
    t_matrix r = t_matrix_copy(m);
    for (int64_t i = 0; i < m.rows; i++) {
        for (int64_t j = 0; j < m.cols; j++) r.data[i * m.ld + j] = ft_bf16_to_f32(ft_f32_to_bf16(m.data[i * m.ld + j]));
    }
    return r;
}

static void set_mode(const char *mode)
{
    assert_int_equal(ft_cpu_compute_set(t.device, mode), FT_OK);
}

static void float32_is_what_a_device_starts_with(void **state)
{
    assert_false(ft_cpu_computes_bf16(t.queue));
    assert_int_equal(ft_cpu_compute_set(t.device, "fp8"), FT_E_USAGE);
}

static void bf16_is_refused_where_the_cpu_has_none(void **state)
{
    if (ft_gemm_has_bf16()) skip();
    assert_int_equal(ft_cpu_compute_set(t.device, "bf16"), FT_E_UNSUPPORTED);
    assert_false(ft_cpu_computes_bf16(t.queue));
}

// Both directions of one linear.
static void run_linear(t_matrix y, t_matrix dx, t_matrix x, t_matrix w, t_matrix dy, t_matrix a, t_matrix b)
{
    t_matrix s = t_matrix_nan(ROWS, R, 0), ds = t_matrix_nan(ROWS, R, 0);
    const ft_view none = {0};
    ft_linear_group group = {.n_parts = 1, .out = {OUT}, .n_weights = 1};
    group.weight[0] = (ft_weight){.data = w.data, .repr = FT_REPR_F32, .rows = OUT, .cols = IN, .ld = w.ld};
    group.lora[0] = (ft_lora){.a = a.data, .b = b.data, .r = R, .scale = 1};
    ft_op_shape shape = {.rows = ROWS, .in = IN, .out = OUT, .rank = R, .parts = 1};
    t_workspace space = t_workspace_take(FT_OP_LINEAR_BACKWARD, &shape);
    t.ops->linear_forward(t.queue, &group, t_view(y), t_view(x), none, t_view(s), space.data, space.bytes);
    t.ops->linear_backward(t.queue, &group, t_view(dx), t_view(dy), t_view(s), t_view(ds), space.data, space.bytes);
    t_workspace_return(space);
    t_matrix_free(s);
    t_matrix_free(ds);
}

// The product of rounded factors, and LoRA's of those that are not.
static double *linear_reference(t_matrix x, t_matrix w, t_matrix a, t_matrix b)
{
    t_matrix xr = rounded(x), wr = rounded(w);
    double *y = t_doubles(ROWS * OUT);
    for (int64_t i = 0; i < ROWS; i++) {
        double s[R] = {0};
        for (int64_t r = 0; r < R; r++)
            for (int64_t k = 0; k < IN; k++) s[r] += t_at(x, i, k) * t_at(a, r, k);
        for (int64_t j = 0; j < OUT; j++) {
            for (int64_t k = 0; k < IN; k++) y[i * OUT + j] += t_at(xr, i, k) * t_at(wr, j, k);
            for (int64_t r = 0; r < R; r++) y[i * OUT + j] += s[r] * t_at(b, j, r);
        }
    }
    t_matrix_free(xr);
    t_matrix_free(wr);
    return y;
}

static double *gradient_reference(t_matrix dy, t_matrix w, t_matrix a, t_matrix b)
{
    t_matrix dr = rounded(dy), wr = rounded(w);
    double *dx = t_doubles(ROWS * IN);
    for (int64_t i = 0; i < ROWS; i++) {
        double ds[R] = {0};
        for (int64_t r = 0; r < R; r++)
            for (int64_t j = 0; j < OUT; j++) ds[r] += t_at(dy, i, j) * t_at(b, j, r);
        for (int64_t k = 0; k < IN; k++) {
            for (int64_t j = 0; j < OUT; j++) dx[i * IN + k] += t_at(dr, i, j) * t_at(wr, j, k);
            for (int64_t r = 0; r < R; r++) dx[i * IN + k] += ds[r] * t_at(a, r, k);
        }
    }
    t_matrix_free(dr);
    t_matrix_free(wr);
    return dx;
}

static void bf16_rounds_the_frozen_factors_of_a_linear_and_not_loras(void **state)
{
    if (!ft_gemm_has_bf16()) skip();
    t_matrix x = t_matrix_random(ROWS, IN, 3, 1, 1), w = t_matrix_random(OUT, IN, 0, 2, 0.1f), dy = t_matrix_random(ROWS, OUT, 1, 3, 1);
    t_matrix a = t_matrix_random(R, IN, 0, 4, 0.1f), b = t_matrix_random(OUT, R, 0, 5, 0.1f);
    t_matrix y = t_matrix_nan(ROWS, OUT, 2), dx = t_matrix_nan(ROWS, IN, 2);
    set_mode("bf16");
    run_linear(y, dx, x, w, dy, a, b);
    set_mode("f32");
    double *expected_y = linear_reference(x, w, a, b), *expected_dx = gradient_reference(dy, w, a, b);
    t_assert_close(y, expected_y, 2e-6);
    t_assert_close(dx, expected_dx, 2e-6);
    ft_free(expected_y);
    ft_free(expected_dx);
    const t_matrix gone[] = {x, w, dy, a, b, y, dx};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) t_matrix_free(gone[i]);
}

static double lose(t_matrix dx, t_matrix x, t_matrix weight)
{
    ft_matrix head = {.codes = weight.data, .dtype = FT_DTYPE_F32, .kind = FT_SCALE_NONE, .rows = VOCAB, .cols = IN};
    ft_head_options options = {.loss_scale = 1, .chunk = 64, .want_gradient = true};
    ft_op_shape shape = {.rows = ROWS, .in = IN, .vocab = VOCAB, .chunk = 64};
    t_workspace w = t_workspace_take(FT_OP_HEAD_LOSS, &shape);
    int32_t labels[ROWS];
    double nll = 0;
    for (int i = 0; i < ROWS; i++) labels[i] = i * 31 % VOCAB;
    assert_int_equal(t.ops->head_loss(t.queue, &nll, t_view(dx), t_view(x), &head, labels, &options, w.data, w.bytes), FT_OK);
    t_workspace_return(w);
    return nll;
}

// bf16 keeps 8 bits: 2^-9 per factor at most. Equal results would mean that the mode did nothing.
static void bf16_reaches_the_head_and_stays_close(void **state)
{
    if (!ft_gemm_has_bf16()) skip();
    t_matrix x = t_matrix_random(ROWS, IN, 0, 1, 1), w = t_matrix_random(VOCAB, IN, 0, 2, 0.2f);
    t_matrix exact = t_matrix_nan(ROWS, IN, 0), dx = t_matrix_nan(ROWS, IN, 0);
    double *reference = t_doubles(ROWS * IN), expected = lose(exact, x, w);
    for (int64_t i = 0; i < ROWS * IN; i++) reference[i] = exact.data[i];
    set_mode("bf16");
    double nll = lose(dx, x, w);
    set_mode("f32");
    assert_true(nll != expected && fabs(nll / expected - 1) < 1e-3);
    t_assert_close(dx, reference, 1e-2);
    ft_free(reference);
    const t_matrix gone[] = {x, w, exact, dx};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) t_matrix_free(gone[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32_is_what_a_device_starts_with),
        cmocka_unit_test(bf16_is_refused_where_the_cpu_has_none),
        cmocka_unit_test(bf16_rounds_the_frozen_factors_of_a_linear_and_not_loras),
        cmocka_unit_test(bf16_reaches_the_head_and_stays_close),
    };
    return T_GROUP(tests);
}
