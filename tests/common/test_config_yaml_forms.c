// YAML as people write it: numbers with underscores, brackets that close at the margin, maps where a list was refused.
#include "test_config.h"

static void underscores_separate_digits(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "sequence_len: 131_072\nmax_steps: 1_000\n"));
    assert_int_equal(settings.values.sequence_len, 131072);
    assert_int_equal(settings.values.max_steps, 1000);
    ft_settings_free(&settings);
    t_check_refused("max_steps: _1\n", FT_E_USAGE, 1, "'_1' is not a whole number");
    t_check_refused("max_steps: 1_\n", FT_E_USAGE, 1, "'1_' is not a whole number");
    t_check_refused("max_steps: 1__0\n", FT_E_USAGE, 1, "'1__0' is not a whole number");
}

static void a_bracket_may_close_at_the_margin(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "adapter: lora\nlora_target_modules: [\n  q_proj,\n  k_proj,\n]\nseed: 7\n"));
    assert_int_equal(settings.values.lora_target_modules.n, 2);
    assert_int_equal(settings.values.seed, 7);
    ft_settings_free(&settings);
}

static void a_list_of_maps_is_refused_by_the_keys_own_reason(void **state)
{
    t_check_refused("seed: 1\npretraining_dataset:\n  - path: a\n    name: b\n", FT_E_UNSUPPORTED, 2, "streamed data sets are not implemented");
    t_check_refused("seed: 1\nlr_groups: [[{name: a}]]\n", FT_E_UNSUPPORTED, 2, "learning rates for parts of the model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(underscores_separate_digits),
        cmocka_unit_test(a_bracket_may_close_at_the_margin),
        cmocka_unit_test(a_list_of_maps_is_refused_by_the_keys_own_reason),
    };
    return cmocka_run_group_tests(tests, t_make_directory, t_remove_directory);
}
