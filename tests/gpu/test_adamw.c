// AdamW on the GPU: the CPU device's bits over several steps, every length and alignment, and nothing touched where clip says so.
#include "gpu/cpu_reference.h"
#include "gpu/speed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec.h"

enum { STEPS = 5, ARRAYS = 3, PARAMETER = 0, MOMENT1 = 1, MOMENT2 = 2 };
static const char *const name[ARRAYS] = {"parameter", "first moment", "second moment"};

static ft_adamw options_of(int step)
{
    return (ft_adamw){.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .bias1 = 1 - pow(0.9, step),
                      .bias2 = 1 - pow(0.999, step)};
}

// Full float32 values, not rounded to bf16; from subnormal squares to large ones.
static float *gradients(int64_t n, uint64_t seed)
{
    float *g = t_random(n, 1e-3f, seed);
    for (int64_t i = 0; i < n; i++) g[i] *= 1.0f + (float)(i % 1013) * 1e-4f;
    for (int64_t i = 7; i < n; i += 101) g[i] *= 1e-18f;
    for (int64_t i = 11; i < n; i += 103) g[i] = 0;
    return g;
}

static void check_bits(const char *what, int64_t n, int64_t offset, int step, const float *got, const float *want)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ft_f32_to_bits(got[i]) == ft_f32_to_bits(want[i])) continue;
        if (wrong++ < 8) {
            printf("    %s, n %lld, offset %lld, step %d: [%lld] got %.9g (%08x) want %.9g (%08x)\n", what, (long long)n,
                   (long long)offset, step, (long long)i, (double)got[i], ft_f32_to_bits(got[i]), (double)want[i],
                   ft_f32_to_bits(want[i]));
        }
    }
    if (wrong > 0) fail_msg("%s: %lld of %lld values differ from the CPU's bits", what, (long long)wrong, (long long)n);
}

// All arrays start `offset` values into their block.
static void follow_cpu(int64_t n, int64_t offset)
{
    float *host[ARRAYS] = {t_random(n, 1, 1), t_random(n, 1e-3f, 2), t_random(n, 1e-6f, 3)};
    float *device[ARRAYS], *got = t_random(n + offset, 1, 4);
    for (int64_t i = 0; i < n; i++) host[MOMENT2][i] = fabsf(host[MOMENT2][i]);
    for (int a = 0; a < ARRAYS; a++) {
        memcpy(got + offset, host[a], (size_t)n * 4);
        device[a] = t_upload(got, (n + offset) * 4);
    }
    for (int step = 1; step <= STEPS; step++) {
        ft_adamw options = options_of(step);
        ft_clip clip = {.finite = 1, .factor = step == 2 ? 1.0f : 0.37f};
        float *g = gradients(n, 100 + (uint64_t)step);
        memcpy(got + offset, g, (size_t)n * 4);
        const float *device_g = t_upload(got, (n + offset) * 4);
        const ft_clip *device_clip = t_upload(&clip, sizeof clip);
        assert_int_equal(t_cpu_ops()->adamw(t_cpu_queue(), host[PARAMETER], g, host[MOMENT1], host[MOMENT2], n, &options, &clip), FT_OK);
        assert_int_equal(t_ops()->adamw(t_queue(), device[PARAMETER] + offset, device_g + offset, device[MOMENT1] + offset,
                                        device[MOMENT2] + offset, n, &options, device_clip), FT_OK);
        for (int a = 0; a < ARRAYS; a++) {
            t_download(got, device[a], (n + offset) * 4);
            check_bits(name[a], n, offset, step, got + offset, host[a]);
        }
    }
    printf("  n %lld, offset %lld: %d steps with the CPU's bits\n", (long long)n, (long long)offset, STEPS);
    t_free();
}

static void steps_have_the_bits_of_the_cpu_device(void **state)
{
    static const int64_t sizes[] = {1, 3, 4, 5, 1023, 1000003};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        follow_cpu(sizes[i], 0);
        follow_cpu(sizes[i], 1);
    }
}

static void nothing_changes_where_gradients_are_not_finite(void **state)
{
    enum { N = 4099 };
    float *before[ARRAYS + 1], *after = t_random(N, 1, 9);
    void *device[ARRAYS + 1];
    for (int a = 0; a <= ARRAYS; a++) {
        before[a] = t_random(N, 1, (uint64_t)a + 20);
        device[a] = t_upload(before[a], N * 4);
    }
    ft_adamw options = options_of(1);
    ft_clip clip = {.sum_squares = NAN, .finite = 0, .factor = NAN};
    assert_int_equal(t_ops()->adamw(t_queue(), device[0], device[3], device[1], device[2], N, &options, t_upload(&clip, sizeof clip)),
                     FT_OK);
    for (int a = 0; a <= ARRAYS; a++) {
        t_download(after, device[a], N * 4);
        assert_memory_equal(after, before[a], N * 4);
    }
    assert_int_equal(t_ops()->adamw(t_queue(), NULL, NULL, NULL, NULL, 0, &options, NULL), FT_OK);  // no values: nothing to do
    t_free();
}

typedef struct {
    float *parameter, *gradient, *moment1, *moment2;
    ft_clip *clip;
    int64_t n;
} timed;

static void run_timed(void *context)
{
    timed *t = context;
    ft_adamw options = options_of(3);
    assert_int_equal(t_ops()->adamw(t_queue(), t->parameter, t->gradient, t->moment1, t->moment2, t->n, &options, t->clip), FT_OK);
}

static float *zeros(int64_t n)
{
    float *block = t_device(n * 4);
    assert_int_equal(ft_fill(t_queue(), block, 0, n * 4), FT_OK);
    return block;
}

static void memory_bounds_it(void **state)
{
    ft_clip clip = {.finite = 1, .factor = 0.5f};
    timed t = {.n = 42000000, .clip = t_upload(&clip, sizeof clip)};
    t.parameter = zeros(t.n);
    t.gradient = zeros(t.n);
    t.moment1 = zeros(t.n);
    t.moment2 = zeros(t.n);
    double rate = t_copy_rate();
    t_check_rate("adamw, 42 M values, 28 bytes each", 28.0 * (double)t.n, t_time(run_timed, &t, 20), rate, 0.6);
    t_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_have_the_bits_of_the_cpu_device),
        cmocka_unit_test(nothing_changes_where_gradients_are_not_finite),
        cmocka_unit_test(memory_bounds_it),
    };
    t_queue();
    return cmocka_run_group_tests_name("adamw", tests, NULL, NULL);
}
