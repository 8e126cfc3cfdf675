// `ft-bench step --curve`: every point is measured with layers on the device and from host memory, the tax is their quotient, and
// the settings are again what they were.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/probes.h"
#include "common/threads.h"

static ft_settings settings;

static void done(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static ft_bench_options options_of(const char *curve)
{
    const char *const values[][2] = {{"device", "cpu"}, {"threads", "2"}, {"sequence_len", "32"}, {"micro_batch_size", "1"}, {"lora_r", "4"}};
    done(ft_settings_init(&settings));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) done(ft_settings_set(&settings, values[i][0], values[i][1], "test"));
    return (ft_bench_options){.hidden = 128, .ffn = 256, .layers = 9, .heads = 2, .kv_heads = 1, .vocab = 256, .seed = 42, .repeat = 1, .warm_up = 1,
                              .alias = 8, .curve = curve, .settings = &settings};
}

static double value_of(const ft_bench_report *report, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(report->array, i, row)
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0) return json_number_value(json_object_get(row, "value"));
    fail_msg("no result is called %s", name);
    return NAN;
}

static void each_point_has_both_tiers_and_their_quotient(void **state)
{
    ft_bench_options options = options_of("32,96");
    ft_bench_report report = {.json = true, .command = "test", .array = json_array()};
    done(ft_bench_step(&options, &report));
    for (int i = 0; i < 2; i++) {
        char name[64];
        double rate[2];
        for (int tier = 0; tier < 2; tier++) {
            snprintf(name, sizeof name, "curve: %s, %d tokens", tier ? "host" : "hbm", i ? 96 : 32);
            rate[tier] = value_of(&report, name);
            assert_true(rate[tier] > 0);
        }
        snprintf(name, sizeof name, "streaming tax, %d tokens", i ? 96 : 32);
        assert_true(fabs(value_of(&report, name) - 100 * (1 - rate[1] / rate[0])) < 1e-9);
    }
    assert_true(value_of(&report, "crossover of the plan") > 0);
    assert_null(settings.values.base_model);
    json_decref(report.array);
    ft_settings_free(&settings);
}

static void is_refused(const char *curve, const char *key, const char *value, const char *names)
{
    ft_bench_options options = options_of(curve);
    ft_bench_report report = {.json = true, .command = "test"};
    if (key) done(ft_settings_set(&settings, key, value, "test"));
    assert_int_equal(ft_bench_step(&options, &report), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), names));
    ft_settings_free(&settings);
}

static void flags_of_one_step_are_refused(void **state)
{
    ft_bench_report report = {.json = true, .command = "test"};
    ft_bench_options options = options_of("32");
    options.links = true;
    assert_int_equal(ft_bench_step(&options, &report), FT_E_USAGE);
    options.links = false;
    options.tier = "host";
    assert_int_equal(ft_bench_step(&options, &report), FT_E_USAGE);
    ft_settings_free(&settings);
}

static void what_the_curve_sets_itself_is_refused(void **state)
{
    is_refused("33", NULL, NULL, "multiple");
    is_refused("32,x", NULL, NULL, "multiple");
    is_refused("", NULL, NULL, "T1");
    is_refused("32", "gradient_accumulation_steps", "2", "gradient_accumulation_steps");
    is_refused("32", "base_placement", "host", "base_placement");
    is_refused("32", "nvme", "/nonexistent", "--nvme");
}

int main(void)
{
    assert_int_equal(ft_threads_init(2), FT_OK);
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_point_has_both_tiers_and_their_quotient),
                                       cmocka_unit_test(what_the_curve_sets_itself_is_refused), cmocka_unit_test(flags_of_one_step_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
