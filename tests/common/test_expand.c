// $NAME and ${NAME} become the environment's values; what is unset or malformed is an error that names it.
#include "t_common.h"

#include "common/memory.h"
#include "common/text.h"

static void check(const char *text, const char *expected)
{
    char *out = NULL;
    if (ft_expand_variables(text, &out) != FT_OK) fail_msg("%s: %s", text, ft_error_message());
    assert_string_equal(out, expected);
    ft_free(out);
}

static int set_environment(void **state)
{
    (void)state;
    setenv("FT_T_A", "/scratch", 1);
    setenv("FT_T_B2", "x$FT_T_A", 1);
    setenv("FT_T_EMPTY", "", 1);
    unsetenv("FT_T_UNSET");
    return 0;
}

static void variables_are_replaced_once(void **state)
{
    (void)state;
    check("", "");
    check("plain", "plain");
    check("$FT_T_A/data", "/scratch/data");
    check("${FT_T_A}data", "/scratchdata");
    check("a$FT_T_A-${FT_T_A}", "a/scratch-/scratch");
    check("[$FT_T_EMPTY]", "[]");
    check("$FT_T_B2", "x$FT_T_A");
}

static void a_dollar_that_names_nothing_stays(void **state)
{
    (void)state;
    check("$", "$");
    check("$5 and $ 6", "$5 and $ 6");
    check("$$FT_T_A", "$FT_T_A");
    check("$$$FT_T_A", "$/scratch");
    check("50$", "50$");
}

static void unset_and_malformed_variables_are_named(void **state)
{
    (void)state;
    const char *const bad[][2] = {{"a/$FT_T_UNSET/b", "FT_T_UNSET"}, {"${FT_T_UNSET}", "FT_T_UNSET"}, {"${FT_T_A", "${FT_T_A"},
                                  {"${}", "${}"}, {"${1A}", "${1A}"}, {"${FT_T_A!}", "${FT_T_A!}"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *out = NULL;
        assert_int_equal(ft_expand_variables(bad[i][0], &out), FT_E_USAGE);
        assert_null(out);
        assert_non_null(strstr(ft_error_message(), bad[i][1]));
    }
}

static void every_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    char *out = NULL;
    int failures = 0;
    for (int64_t n = 1;; n++) {
        ft_memory_fail_after(n);
        ft_status status = ft_expand_variables("$FT_T_A and ${FT_T_A} and text that makes the buffer grow once more $FT_T_A", &out);
        if (status == FT_OK) break;
        assert_int_equal(status, FT_E_NOMEM);
        assert_null(out);
        failures++;
    }
    ft_memory_fail_after(0);
    assert_true(failures >= 4);
    ft_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_replaced_once),
        cmocka_unit_test(a_dollar_that_names_nothing_stays),
        cmocka_unit_test(unset_and_malformed_variables_are_named),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, set_environment, NULL);
}
