// JSON strings of any bytes.
#include "t_common.h"

#include "common/json_text.h"

static void expect_text(const char *text, const char *expected)
{
    json_t *json = ft_json_any_text(text);
    assert_non_null(json);
    assert_string_equal(json_string_value(json), expected);
    json_decref(json);
}

static void text_is_kept(void **state)
{
    expect_text("", "");
    expect_text("a \"b\" \\ \n", "a \"b\" \\ \n");
    expect_text("\xC3\xBC", "\xC3\xBC");
}

static void a_byte_that_is_no_text_is_replaced(void **state)
{
    expect_text("\xFF", "\xEF\xBF\xBD");
    expect_text("M\xFCnchen", "M\xEF\xBF\xBDnchen");
    expect_text("cut \xE2\x82", "cut \xEF\xBF\xBD\xEF\xBF\xBD");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_kept),
        cmocka_unit_test(a_byte_that_is_no_text_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
