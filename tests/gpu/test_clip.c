// The gradient norm on the GPU: against a float64 sum and the CPU device, over lengths, values that are not finite, and limits.
#include "gpu/cpu_reference.h"
#include "gpu/speed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *workspace(int64_t n, int64_t *bytes)
{
    ft_op_shape shape = {.n = n};
    *bytes = ft_op_workspace(FT_OP_CLIP, &shape, FT_DEVICE_CUDA);
    return t_device(*bytes);
}

static ft_clip run(const float *x, int64_t n, double max_norm)
{
    ft_clip clip;
    int64_t bytes;
    void *space = workspace(n, &bytes);
    ft_clip *device = t_device(sizeof clip);
    assert_int_equal(t_ops()->clip(t_queue(), device, x, n, max_norm, space, bytes), FT_OK);
    t_download(&clip, device, sizeof clip);
    return clip;
}

static ft_clip run_cpu(const float *x, int64_t n, double max_norm)
{
    ft_clip clip;
    ft_op_shape shape = {.n = n};
    int64_t bytes = ft_op_workspace(FT_OP_CLIP, &shape, FT_DEVICE_CPU);
    void *space = aligned_alloc(256, (size_t)bytes + 256);
    assert_int_equal(t_cpu_ops()->clip(t_cpu_queue(), &clip, x, n, max_norm, space, bytes), FT_OK);
    free(space);
    return clip;
}

// Values of mixed sizes, and NaN past the end, which must not be read.
static float *values(int64_t n)
{
    enum { PAST = 64 };
    float *x = t_random(n + PAST, 1e-3f, 5);
    for (int64_t i = 0; i < n; i++) x[i] *= 1.0f + (float)(i % 911) * 1e-3f;
    for (int64_t i = n; i < n + PAST; i++) x[i] = NAN;
    return x;
}

static void check_length(int64_t n, double max_norm)
{
    float *x = values(n);
    const float *device = t_upload(x, (n + 64) * 4);
    long double exact = 0;
    for (int64_t i = 0; i < n; i++) exact += (long double)x[i] * (long double)x[i];
    double sum = (double)exact;
    double factor = max_norm > 0 ? fmin(1, max_norm / (sqrt(sum) + 1e-6)) : 1;
    ft_clip got = run(device, n, max_norm), again = run(device, n, max_norm), cpu = run_cpu(x, n, max_norm);
    printf("  n %lld, max_norm %g: sum %.17g want %.17g, finite %d, factor %.9g want %.9g, CPU %.17g %d %.9g\n", (long long)n, max_norm,
           got.sum_squares, sum, got.finite, (double)got.factor, factor, cpu.sum_squares, cpu.finite, (double)cpu.factor);
    assert_memory_equal(&got.sum_squares, &again.sum_squares, sizeof got.sum_squares);
    assert_true(fabs(got.sum_squares - sum) <= 1e-12 * sum);
    assert_true(fabs(got.sum_squares - cpu.sum_squares) <= 1e-12 * sum);
    assert_int_equal(got.finite, 1);
    assert_true(fabs((double)got.factor - factor) <= 1e-7 * factor);
    assert_true(fabs((double)got.factor - (double)cpu.factor) <= 1e-7 * factor);
    t_free();
}

static void sum_and_factor_match_float64_and_the_cpu_device(void **state)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 4, 5, 1000, 1023, 1024, 1025, 1000003, 3 * 1056 * 1024 + 7};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_length(sizes[i], 0.01);
    check_length(1000003, 1e6);
    check_length(1000003, 0);
    check_length(1000003, -1);
}

static void any_value_that_is_not_finite_is_flagged(void **state)
{
    enum { N = 1000003 };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const int64_t at[] = {0, 3, 4095, 540675, N - 4, N - 1};
    float *x = values(N);
    for (size_t p = 0; p < sizeof at / sizeof *at; p++) {
        for (int k = 0; k < 3; k++) {
            float kept = x[at[p]];
            x[at[p]] = bad[k];
            ft_clip got = run(t_upload(x, N * 4), N, 1);
            if (got.finite != 0) fail_msg("%g at %lld: finite %d, sum %g", (double)bad[k], (long long)at[p], got.finite, got.sum_squares);
            x[at[p]] = kept;
        }
    }
    t_free();
}

static void squares_beyond_float32_are_finite(void **state)
{
    enum { N = 5000 };
    float *x = values(N);
    for (int i = 0; i < N; i++) x[i] = i % 2 ? 3e38f : -3e38f;
    double square = (double)3e38f * (double)3e38f;
    ft_clip got = run(t_upload(x, N * 4), N, 2);
    printf("  sum %.17g, finite %d, factor %.9g\n", got.sum_squares, got.finite, (double)got.factor);
    assert_int_equal(got.finite, 1);
    assert_true(fabs(got.sum_squares - N * square) <= 1e-12 * N * square);
    t_free();
}

static void zero_gradients_are_not_scaled(void **state)
{
    enum { N = 4097 };
    float *x = values(N);
    memset(x, 0, N * 4);
    ft_clip got = run(t_upload(x, N * 4), N, 1);
    assert_true(got.sum_squares == 0 && got.finite == 1 && got.factor == 1.0f);
    t_free();
}

typedef struct {
    ft_clip *clip;
    float *x;
    int64_t n, bytes;
    void *space;
} timed;

static void run_timed(void *context)
{
    timed *t = context;
    assert_int_equal(t_ops()->clip(t_queue(), t->clip, t->x, t->n, 1, t->space, t->bytes), FT_OK);
}

static void memory_bounds_it(void **state)
{
    timed t = {.n = 42000000, .clip = t_device(sizeof(ft_clip))};
    t.x = t_device(t.n * 4);
    t.space = workspace(t.n, &t.bytes);
    double rate = t_copy_rate();
    t_check_rate("clip, 42 M values, 4 bytes each", 4.0 * (double)t.n, t_time(run_timed, &t, 20), rate, 0.6);
    t_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_and_factor_match_float64_and_the_cpu_device),
        cmocka_unit_test(any_value_that_is_not_finite_is_flagged),
        cmocka_unit_test(squares_beyond_float32_are_finite),
        cmocka_unit_test(zero_gradients_are_not_scaled),
        cmocka_unit_test(memory_bounds_it),
    };
    t_queue();
    return cmocka_run_group_tests_name("clip", tests, NULL, NULL);
}
