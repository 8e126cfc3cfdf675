// When any one allocation fails, settings report it, leak nothing (under the address sanitizer), and can still be freed.
#include "test_config.h"

static const char text[] =
    "base_model: m\nlora_target_modules: [q_proj, v_proj]\nnvme: a,b\nplugins: []\nbf16: true\n"
    "special_tokens:\n  pad_token: p\ndatasets:\n  - path: d\n    type: alpaca\n  - e.jsonl\noptimizer: adamw\n";

static ft_status everything(const char *path, ft_settings *settings)
{
    ft_text out = {0};
    ft_status status = ft_settings_init(settings);
    if (status == FT_OK) status = ft_settings_read(settings, path);
    if (status == FT_OK) status = ft_settings_set(settings, "data", "a,b", "--data");
    if (status == FT_OK) status = ft_settings_derive(settings, "max_steps", "5", "a reason");
    if (status == FT_OK) status = ft_settings_write(settings, &out);
    if (status == FT_OK) status = ft_config_help(&out, true);
    if (status == FT_OK) status = ft_config_help(&out, false);
    ft_text_free(&out);
    return status;
}

static void any_failed_allocation_is_reported(void **state)
{
    const char *path = t_write("run.yaml", text);
    ft_settings settings;
    int64_t before = ft_memory_allocations();
    t_check_ok(everything(path, &settings));
    int64_t count = ft_memory_allocations() - before;
    ft_settings_free(&settings);
    assert_true(count > 100);
    for (int64_t n = 1; n <= count; n++) {
        ft_memory_fail_after(n);
        ft_status status = everything(path, &settings);
        ft_memory_fail_after(0);
        if (status != FT_E_NOMEM) fail_msg("allocation %lld of %lld: status %d", (long long)n, (long long)count, status);
        ft_settings_free(&settings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_failed_allocation_is_reported)};
    return cmocka_run_group_tests(tests, t_make_directory, t_remove_directory);
}
