// The transfers that tuning chooses, and figures measured in turn.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/link_series.h"
#include "bench/link_tune.h"

#define K ((int64_t)1 << 10)
#define M ((int64_t)1 << 20)

static void the_fastest_is_chosen(void **state)
{
    const ft_tune_cell cells[] = {{256 * K, 4, true, 1.0e9}, {1 * M, 32, true, 2.0e9}, {4 * M, 64, true, 2.5e9}, {4 * M, 32, true, 2.3e9}};
    assert_ptr_equal(ft_tune_best(cells, 4), &cells[2]);
}

static void of_equals_the_one_with_least_in_flight_is_chosen(void **state)
{
    const ft_tune_cell cells[] = {{4 * M, 64, true, 2.500e9}, {1 * M, 16, true, 2.480e9}, {512 * K, 16, true, 2.470e9}, {1 * M, 8, true, 2.485e9}};
    assert_ptr_equal(ft_tune_best(cells, 4), &cells[3]);
}

static void what_no_run_can_use_is_passed_over(void **state)
{
    const ft_tune_cell cells[] = {{8 * M, 64, false, 3.0e9}, {4 * M, 16, true, 2.0e9}, {4 * M, 4, true, 0}};
    assert_ptr_equal(ft_tune_best(cells, 3), &cells[1]);
    assert_null(ft_tune_best(cells, 1));
    assert_null(ft_tune_best(cells + 2, 1));
}

static char order[64];
static int calls;

typedef struct {
    char name;
    double next;
} counter;

static ft_status count(void *context, double *rate)
{
    counter *c = context;
    order[calls++] = c->name;
    *rate = c->next;
    c->next += 1;
    return FT_OK;
}

static ft_status missing(void *context, double *rate)
{
    return ft_error(FT_E_NOT_FOUND, "not installed");
}

static void series_take_turns_after_a_round_that_does_not_count(void **state)
{
    counter a = {'a', 100}, b = {'b', 7};
    ft_link_series series[] = {{.call = count, .context = &a}, {0}, {.call = missing, .optional = true}, {.call = count, .context = &b}};
    assert_int_equal(ft_link_measure(series, 4, 3), FT_OK);
    assert_int_equal(calls, 8);
    assert_memory_equal(order, "abababab", 8);
    assert_true(series[0].median == 102);
    assert_true(series[3].median == 9);
    assert_true(series[1].median == 0 && series[2].median == 0);
}

static void what_must_be_there_is_an_error(void **state)
{
    ft_link_series series[] = {{.call = missing}};
    assert_int_equal(ft_link_measure(series, 1, 1), FT_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_fastest_is_chosen), cmocka_unit_test(of_equals_the_one_with_least_in_flight_is_chosen),
                                       cmocka_unit_test(what_no_run_can_use_is_passed_over),
                                       cmocka_unit_test(series_take_turns_after_a_round_that_does_not_count),
                                       cmocka_unit_test(what_must_be_there_is_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
