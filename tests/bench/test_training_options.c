// Options that a benchmarked training would ignore are refused, before anything is written.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/training.h"

static void is_refused(const char *geometry, int64_t layers, const char *drive, const char *names)
{
    ft_settings settings;
    ft_bench_training training;
    assert_int_equal(ft_settings_init(&settings), FT_OK);
    assert_int_equal(ft_settings_set(&settings, "base_model", "/nonexistent/model", "test"), FT_OK);
    if (drive) assert_int_equal(ft_settings_set(&settings, "nvme", drive, "test"), FT_OK);
    ft_bench_options options = {.geometry = geometry, .layers = layers, .settings = &settings};
    assert_int_equal(ft_bench_training_open(&training, &options, 0), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), names));
    assert_null(training.directory);
    ft_bench_training_close(&training);
    ft_settings_free(&settings);
}

static void a_geometry_beside_a_model_is_refused(void **state)
{
    is_refused("smollm2-135m", 0, NULL, "--geometry");
}

static void layers_of_a_model_on_drives_are_refused(void **state)
{
    is_refused(NULL, 2, "/nonexistent/drive", "--layers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_geometry_beside_a_model_is_refused), cmocka_unit_test(layers_of_a_model_on_drives_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
