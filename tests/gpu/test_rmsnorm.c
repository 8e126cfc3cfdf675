// RMSNorm on CUDA against float64: residual addition, norm, recompute, gradient, their twins and what may be in place.
#include "gpu/view_test.h"

static const float eps = 1e-5f;

typedef struct {
    int64_t rows, cols, ld;
    const float *x, *residual, *dy, *weight;  // host
    const float *weights;                     // device
} shape_case;

static double bound(void) { return ft_op_table[FT_OP_RMSNORM].tolerance_bf16; }

static shape_case make(int64_t rows, int64_t cols, int64_t ld)
{
    shape_case c = {.rows = rows, .cols = cols, .ld = ld, .x = t_random(rows * cols, 2, 1), .residual = t_random(rows * cols, 1, 2),
                    .dy = t_random(rows * cols, 1, 3), .weight = t_random(cols, 1, 4)};
    c.weights = t_upload(c.weight, cols * 4);
    return c;
}

static ft_view empty(shape_case c) { return t_view(c.rows, c.cols, c.ld, NULL); }
static ft_view of(shape_case c, const float *values) { return t_view(c.rows, c.cols, c.ld, values); }
static const char *name(const char *what, shape_case c) { return t_name(what, c.rows, c.cols, c.ld); }

static double rstd_of(const float *h, int64_t n)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++) squares += (double)h[i] * (double)h[i];
    return 1 / sqrt(squares / (double)n + (double)eps);
}

static void check_y(const char *what, shape_case c, ft_view y, const float *h)
{
    double *want = malloc((size_t)(c.rows * c.cols) * sizeof *want);
    for (int64_t i = 0; i < c.rows * c.cols; i++)
        want[i] = (double)h[i] * rstd_of(h + i / c.cols * c.cols, c.cols) * (double)c.weight[i % c.cols];
    float *got = t_view_read(what, y);
    t_check_rounded(name(what, c), got, want, c.rows * c.cols, bound());
    free(got);
    free(want);
}

static void check_rstd(shape_case c, const float *device, const float *h)
{
    float *got = malloc((size_t)c.rows * 4);
    t_download(got, device, c.rows * 4);
    for (int64_t r = 0; r < c.rows; r++) {
        double want = rstd_of(h + r * c.cols, c.cols);
        if (!(fabs((double)got[r] - want) <= 1e-6 * want))
            fail_msg("%s: row %lld got %.9g want %.9g", name("rstd", c), (long long)r, (double)got[r], want);
    }
    free(got);
}

static float *rounded_sum(shape_case c)
{
    float *h = malloc((size_t)(c.rows * c.cols) * 4);
    for (int64_t i = 0; i < c.rows * c.cols; i++) h[i] = ft_bf16_to_f32(ft_f32_to_bf16(c.x[i] + c.residual[i]));
    return h;
}

static void check_forward(int64_t rows, int64_t cols, int64_t ld)
{
    shape_case c = make(rows, cols, ld);
    ft_view none = {0}, x = of(c, c.x), residual = of(c, c.residual), sum = empty(c), y = t_with_twin(empty(c));
    float *rstd = t_device(rows * 4), *h = rounded_sum(c);
    T_OK(t_ops()->rmsnorm_forward(t_queue(), y, sum, rstd, x, residual, c.weights, eps));
    t_same_bits(name("forward: sum", c), sum, of(c, h));
    check_rstd(c, rstd, h);
    check_y("forward: y", c, y, h);
    t_check_twin(name("forward: twin", c), y);

    ft_view again = t_with_twin(empty(c));
    T_OK(t_ops()->rmsnorm_apply(t_queue(), again, sum, rstd, c.weights));
    t_same_bits(name("apply repeats forward", c), again, y);
    t_check_twin(name("apply: twin", c), again);

    // Without twin, the sum in place of x; then only the sum, in place of the residual.
    ft_view plain = empty(c), x2 = of(c, c.x);
    T_OK(t_ops()->rmsnorm_forward(t_queue(), plain, x2, rstd, x2, residual, c.weights, eps));
    t_same_bits(name("forward: y without twin", c), plain, y);
    t_same_bits(name("forward: sum in place of x", c), x2, sum);
    float *rstd2 = t_device(rows * 4);
    T_OK(t_ops()->rmsnorm_forward(t_queue(), none, residual, rstd2, x, residual, c.weights, eps));
    t_same_bits(name("forward: sum in place of residual, no y", c), residual, sum);
    check_rstd(c, rstd2, h);

    ft_view alone = empty(c);
    T_OK(t_ops()->rmsnorm_forward(t_queue(), alone, none, rstd, x, none, c.weights, eps));
    check_y("forward: y without residual", c, alone, c.x);
    free(h);
    t_free();
}

static double *gradient(shape_case c, const float *rstd, bool with_dres)
{
    double *want = malloc((size_t)(c.rows * c.cols) * sizeof *want);
    for (int64_t r = 0; r < c.rows; r++) {
        const float *x = c.x + r * c.cols, *dy = c.dy + r * c.cols;
        double mean = 0, f = (double)rstd[r];
        for (int64_t i = 0; i < c.cols; i++) mean += (double)dy[i] * (double)c.weight[i] * (double)x[i] / (double)c.cols;
        for (int64_t i = 0; i < c.cols; i++) {
            want[r * c.cols + i] = f * ((double)dy[i] * (double)c.weight[i] - (double)x[i] * f * f * mean) +
                                   (with_dres ? (double)c.residual[r * c.cols + i] : 0);
        }
    }
    return want;
}

static void check_dx(const char *what, shape_case c, ft_view dx, const double *want)
{
    float *got = t_view_read(what, dx);
    t_check_rounded(name(what, c), got, want, c.rows * c.cols, bound());
    free(got);
}

static void check_backward(int64_t rows, int64_t cols, int64_t ld)
{
    shape_case c = make(rows, cols, ld);
    ft_view none = {0}, x = of(c, c.x), dres = of(c, c.residual), dy = of(c, c.dy), dx = t_with_twin(empty(c));
    float *rstd = malloc((size_t)rows * 4);
    for (int64_t r = 0; r < rows; r++) rstd[r] = (float)rstd_of(c.x + r * cols, cols);
    const float *factor = t_upload(rstd, rows * 4);
    double *want = gradient(c, rstd, true), *without = gradient(c, rstd, false);
    T_OK(t_ops()->rmsnorm_backward(t_queue(), dx, dres, dy, x, factor, c.weights));
    check_dx("backward: dx", c, dx, want);
    t_check_twin(name("backward: twin", c), dx);
    ft_view other = empty(c);
    T_OK(t_ops()->rmsnorm_backward(t_queue(), other, none, dy, x, factor, c.weights));
    check_dx("backward: dx without dres", c, other, without);
    T_OK(t_ops()->rmsnorm_backward(t_queue(), dres, dres, dy, x, factor, c.weights));
    t_same_bits(name("backward: dx in place of dres", c), dres, dx);
    dres = of(c, c.residual);
    T_OK(t_ops()->rmsnorm_backward(t_queue(), x, dres, dy, x, factor, c.weights));
    t_same_bits(name("backward: dx in place of x", c), x, dx);
    free(rstd);
    free(want);
    free(without);
    t_free();
}

// Odd columns and leading dimensions take scalar accesses; above 16384 columns the row is not held; 130 and 16400 have a
// partial last 1x128 block.
static const int64_t shapes[][3] = {{1, 5, 5},      {1, 8, 8},        {37, 65, 72},       {3, 130, 136},      {5, 136, 144},
                                    {19, 64, 67},   {5, 576, 640},    {17, 1000, 1000},   {6, 4096, 4160},    {3, 5120, 5120},
                                    {2, 8192, 8192}, {2, 16384, 16448}, {2, 16400, 16400}, {2, 20001, 20001}, {2, 40000, 40064}};

static void forward_and_recompute_match_float64(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_forward(shapes[i][0], shapes[i][1], shapes[i][2]);
}

static void the_gradient_matches_float64(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_backward(shapes[i][0], shapes[i][1], shapes[i][2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward_and_recompute_match_float64),
                                       cmocka_unit_test(the_gradient_matches_float64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
