// Choosing a token: greedy, softmax frequencies, the nucleus, and logits that are not numbers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/sample.h"

#define VOCAB 6
#define DRAWS 40000

static const float logits[VOCAB] = {0.5f, 2.0f, -INFINITY, 1.0f, 2.0f, -3.0f};

static int32_t draw(double temperature, double top_p, uint64_t seed, int64_t position)
{
    ft_candidate work[VOCAB];
    int32_t id;
    const ft_sampling sampling = {temperature, top_p, seed};
    assert_int_equal(ft_sample(&sampling, logits, VOCAB, position, work, &id), FT_OK);
    return id;
}

static void greedy_takes_the_first_of_the_largest(void **state)
{
    for (int64_t position = 0; position < 20; position++) assert_int_equal(draw(0, 1, 3, position), 1);
}

// Counts of DRAWS draws against the softmax restricted to `allowed`: within five standard deviations.
static void check_frequencies(double temperature, double top_p, const bool allowed[VOCAB])
{
    int count[VOCAB] = {0};
    double weight[VOCAB], total = 0;
    for (int i = 0; i < VOCAB; i++) total += weight[i] = allowed[i] ? exp(logits[i] / temperature) : 0;
    for (int64_t position = 0; position < DRAWS; position++) count[draw(temperature, top_p, 11, position)]++;
    for (int i = 0; i < VOCAB; i++) {
        double p = weight[i] / total;
        assert_true(fabs(count[i] - DRAWS * p) <= 5 * sqrt(DRAWS * p * (1 - p)));
    }
}

static void frequencies_are_the_softmax(void **state)
{
    static const bool all[VOCAB] = {true, true, true, true, true, true};
    check_frequencies(1, 1, all);
    check_frequencies(0.5, 1, all);
    check_frequencies(4, 1, all);
}

// Probabilities at temperature 1: 0.39, 0.39, 0.14, 0.09, 0.003, 0.
static void the_nucleus_is_the_smallest_set_that_holds_top_p(void **state)
{
    static const bool one[VOCAB] = {[1] = true}, two[VOCAB] = {[1] = true, [4] = true}, three[VOCAB] = {[1] = true, [4] = true, [3] = true};
    check_frequencies(1, 0.3, one);
    check_frequencies(1, 0.5, two);
    check_frequencies(1, 0.8, three);
    check_frequencies(1, 0.9, three);
}

static void a_draw_depends_on_seed_and_position_alone(void **state)
{
    int changed = 0;
    for (int64_t position = 0; position < 100; position++) {
        assert_int_equal(draw(1, 1, 5, position), draw(1, 1, 5, position));
        changed += draw(1, 1, 5, position) != draw(1, 1, 6, position);
    }
    assert_true(changed > 20);
}

static ft_status sample_of(const float values[2], double temperature)
{
    ft_candidate work[2];
    int32_t id;
    const ft_sampling sampling = {temperature, 1, 0};
    return ft_sample(&sampling, values, 2, 0, work, &id);
}

static void logits_that_are_no_numbers_are_refused(void **state)
{
    assert_int_equal(sample_of((float[]){0, NAN}, 0), FT_E_NUMERIC);
    assert_int_equal(sample_of((float[]){NAN, 0}, 1), FT_E_NUMERIC);
    assert_int_equal(sample_of((float[]){0, INFINITY}, 1), FT_E_NUMERIC);
    assert_int_equal(sample_of((float[]){-INFINITY, -INFINITY}, 0), FT_E_NUMERIC);
    assert_int_equal(sample_of((float[]){-INFINITY, 0}, 1), FT_OK);
    assert_int_equal(sample_of((float[]){-3e38f, 3e38f}, 1e-3), FT_OK);
}

static void settings_out_of_range_are_refused(void **state)
{
    const double bad[][2] = {{-0.1, 1}, {NAN, 1}, {INFINITY, 1}, {1, 0}, {1, 1.01}, {1, NAN}, {1, -1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const ft_sampling sampling = {bad[i][0], bad[i][1], 0};
        assert_int_equal(ft_sampling_check(&sampling), FT_E_USAGE);
    }
    assert_int_equal(ft_sampling_check(&(ft_sampling){0, 1, 0}), FT_OK);
    assert_int_equal(ft_sampling_check(&(ft_sampling){1.5, 0.1, 0}), FT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_the_largest),
        cmocka_unit_test(frequencies_are_the_softmax),
        cmocka_unit_test(the_nucleus_is_the_smallest_set_that_holds_top_p),
        cmocka_unit_test(a_draw_depends_on_seed_and_position_alone),
        cmocka_unit_test(logits_that_are_no_numbers_are_refused),
        cmocka_unit_test(settings_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
