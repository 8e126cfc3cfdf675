// Where a user's file lies: what the variable names, else below XDG_CONFIG_HOME, else below HOME; nowhere without them, and that is
// no error, but missing memory is one.
#include "t_common.h"

#include "common/memory.h"
#include "common/user_config.h"

static void set(const char *variable, const char *value)
{
    assert_int_equal(value ? setenv(variable, value, 1) : unsetenv(variable), 0);
}

static void environment(const char *given, const char *config, const char *home)
{
    set("FT_TEST_FILE", given);
    set("XDG_CONFIG_HOME", config);
    set("HOME", home);
}

static void lies_at(const char *wanted)
{
    char *path = NULL;
    assert_int_equal(ft_user_config_path("FT_TEST_FILE", "rates.yaml", &path), FT_OK);
    if (wanted) assert_string_equal(path, wanted);
    else assert_null(path);
    ft_free(path);
}

static void test_the_nearest_variable_decides(void **state)
{
    environment("/given.yaml", "/config", "/home/me");
    lies_at("/given.yaml");
    environment(NULL, "/config", "/home/me");
    lies_at("/config/ft-single/rates.yaml");
    environment(NULL, NULL, "/home/me");
    lies_at("/home/me/.config/ft-single/rates.yaml");
}

static void test_an_empty_variable_is_unset(void **state)
{
    environment("", "", "/home/me");
    lies_at("/home/me/.config/ft-single/rates.yaml");
}

static void test_nowhere_is_no_error(void **state)
{
    environment(NULL, NULL, "");
    lies_at(NULL);
}

static void test_missing_memory_is_one(void **state)
{
    const char *const given[] = {"/given.yaml", NULL, NULL}, *const config[] = {NULL, "/config", NULL};
    for (int i = 0; i < 3; i++) {
        char *path = "";
        environment(given[i], config[i], "/home/me");
        ft_memory_fail_after(1);
        assert_int_equal(ft_user_config_path("FT_TEST_FILE", "rates.yaml", &path), FT_E_NOMEM);
        ft_memory_fail_after(0);
        assert_null(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nearest_variable_decides),
        cmocka_unit_test(test_an_empty_variable_is_unset),
        cmocka_unit_test(test_nowhere_is_no_error),
        cmocka_unit_test(test_missing_memory_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
