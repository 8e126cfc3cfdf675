// SwiGLU on CUDA against float64: forward, gradient with y made again, twins, in place.
#include "gpu/view_test.h"

static double bound(void) { return ft_op_table[FT_OP_SWIGLU].tolerance_bf16; }

static double sigmoid(double a) { return 1 / (1 + exp(-a)); }

typedef struct {
    int64_t rows, ffn, ld, ld_wide;
    float *gate_up, *dy;
    double *y, *gradient;
} shape_case;

static shape_case make(int64_t rows, int64_t ffn, int64_t ld, int64_t ld_wide, float scale)
{
    shape_case c = {rows, ffn, ld, ld_wide, t_random(rows * 2 * ffn, scale, 1), t_random(rows * ffn, 1, 2), NULL, NULL};
    c.y = malloc((size_t)(rows * ffn) * sizeof *c.y);
    c.gradient = malloc((size_t)(rows * 2 * ffn) * sizeof *c.gradient);
    for (int64_t i = 0; i < rows * ffn; i++) {
        int64_t at = i / ffn * 2 * ffn + i % ffn;
        double a = (double)c.gate_up[at], b = (double)c.gate_up[at + ffn], s = sigmoid(a), g = (double)c.dy[i];
        c.y[i] = a * s * b;
        c.gradient[at] = g * b * (s + a * s * (1 - s));
        c.gradient[at + ffn] = g * a * s;
    }
    return c;
}

static const char *name(const char *what, shape_case c) { return t_name(what, c.rows, c.ffn, c.ld); }

static void check(const char *what, shape_case c, ft_view view, const double *want)
{
    float *got = t_view_read(what, view);
    t_check_rounded(name(what, c), got, want, view.rows * view.cols, bound());
    free(got);
}

static void check_shape(int64_t rows, int64_t ffn, int64_t ld, int64_t ld_wide, float scale)
{
    shape_case c = make(rows, ffn, ld, ld_wide, scale);
    ft_view gate_up = t_view(rows, 2 * ffn, ld_wide, c.gate_up), dy = t_view(rows, ffn, ld, c.dy), none = {0};
    ft_view y = t_with_twin(t_view(rows, ffn, ld, NULL)), plain = t_view(rows, ffn, ld, NULL);
    T_OK(t_ops()->swiglu_forward(t_queue(), y, gate_up));
    check("forward", c, y, c.y);
    t_check_twin(name("forward: twin", c), y);
    T_OK(t_ops()->swiglu_forward(t_queue(), plain, gate_up));
    t_same_bits(name("forward without twin", c), plain, y);

    ft_view gradient = t_with_twin(t_view(rows, 2 * ffn, ld_wide, NULL)), again = t_view(rows, ffn, ld, NULL);
    T_OK(t_ops()->swiglu_backward(t_queue(), gradient, again, dy, gate_up));
    check("backward", c, gradient, c.gradient);
    t_check_twin(name("backward: twin", c), gradient);
    t_same_bits(name("backward: y again", c), again, y);
    T_OK(t_ops()->swiglu_backward(t_queue(), gate_up, dy, dy, gate_up));
    t_same_bits(name("backward in place of gate_up", c), gate_up, gradient);
    t_same_bits(name("backward: y in place of dy", c), dy, y);

    ft_view alone = t_view(rows, 2 * ffn, ld_wide, NULL);
    ft_view dy2 = t_view(rows, ffn, ld, c.dy), gate_up2 = t_view(rows, 2 * ffn, ld_wide, c.gate_up);
    T_OK(t_ops()->swiglu_backward(t_queue(), alone, none, dy2, gate_up2));
    t_same_bits(name("backward without y", c), alone, gradient);
    free(c.y);
    free(c.gradient);
    t_free();
}

// 5 and 65: scalar accesses; 72 and 200: a 1x128 block holds gate and up columns, and partial last blocks.
static void forward_and_gradient_match_float64(void **state)
{
    check_shape(1, 5, 5, 10, 2);
    check_shape(37, 65, 66, 133, 2);
    check_shape(3, 8, 8, 16, 2);
    check_shape(9, 72, 80, 152, 2);
    check_shape(5, 200, 264, 464, 2);
    check_shape(33, 128, 192, 320, 2);
    check_shape(5, 1536, 1600, 3072, 2);
    check_shape(3, 14336, 14400, 28672, 2);
    check_shape(2, 28672, 28672, 57344, 2);
    check_shape(70001, 8, 8, 16, 2);
}

// sigmoid at both ends: nothing may become NaN or lose more than bf16 does.
static void large_gates_saturate(void **state)
{
    check_shape(7, 256, 256, 512, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward_and_gradient_match_float64), cmocka_unit_test(large_gates_saturate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
