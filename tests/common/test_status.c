// Errors carry one line per thread; exit codes follow the documented table.
#include "t_common.h"

#include <errno.h>
#include <pthread.h>

#include "common/status.h"

static void messages_are_recorded_prefixed_and_adopted(void **state)
{
    (void)state;
    assert_int_equal(ft_error(FT_E_INPUT, "key %s", "lora_r"), FT_E_INPUT);
    assert_string_equal(ft_error_message(), "key lora_r");
    assert_int_equal(ft_error_prefix(FT_E_INPUT, "line %d", 3), FT_E_INPUT);
    assert_string_equal(ft_error_message(), "line 3: key lora_r");
    // The message may be an argument of the next one.
    ft_error(FT_E_IO, "again: %s", ft_error_message());
    assert_string_equal(ft_error_message(), "again: line 3: key lora_r");
    ft_error_errno(FT_E_IO, ENOSPC, "%s: cannot write", "f");
    assert_string_equal(ft_error_message(), "f: cannot write: No space left on device");
    assert_int_equal(ft_error_adopt(FT_E_CORRUPT, "100 %s"), FT_E_CORRUPT);
    assert_string_equal(ft_error_message(), "100 %s");
}

// What a file or a host has written must not move a terminal's cursor.
static void control_characters_do_not_come_through(void **state)
{
    (void)state;
    ft_error(FT_E_INPUT, "%s: bad", "a\x1b[2Jb\r\nc\x7f \xc2\x9b" "1m \xc3\xa9");
    assert_string_equal(ft_error_message(), "a?[2Jb??c? ??1m \xc3\xa9: bad");
    ft_error_prefix(FT_E_INPUT, "%s", "x\ty");
    assert_string_equal(ft_error_message(), "x?y: a?[2Jb??c? ??1m \xc3\xa9: bad");
}

static void long_messages_are_cut_and_terminated(void **state)
{
    (void)state;
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    ft_error(FT_E_IO, "%s", text);
    assert_int_equal(strlen(ft_error_message()), FT_ERROR_MESSAGE_BYTES - 1);
    ft_error_errno(FT_E_IO, EIO, "%s", text);
    assert_int_equal(strlen(ft_error_message()), FT_ERROR_MESSAGE_BYTES - 1);
    ft_error_prefix(FT_E_IO, "%s", text);
    assert_int_equal(strlen(ft_error_message()), FT_ERROR_MESSAGE_BYTES - 1);
}

static void *fail_elsewhere(void *seen)
{
    *(bool *)seen = ft_error_message()[0] != 0;
    ft_error(FT_E_IO, "elsewhere");
    return NULL;
}

static void threads_do_not_see_each_others_messages(void **state)
{
    (void)state;
    pthread_t thread;
    bool seen = true;
    ft_error(FT_E_IO, "here");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &seen), 0);
    pthread_join(thread, NULL);
    assert_false(seen);
    assert_string_equal(ft_error_message(), "here");
}

static void exit_codes_follow_the_table(void **state)
{
    (void)state;
    const int expected[][2] = {{FT_OK, 0}, {FT_E_USAGE, 2}, {FT_E_INPUT, 2}, {FT_E_UNSUPPORTED, 2}, {FT_E_EXISTS, 2},
                               {FT_E_NOMEM, 1}, {FT_E_IO, 1}, {FT_E_CORRUPT, 1}, {FT_E_NUMERIC, 1}, {FT_E_STOPPED, 3},
                               {FT_E_INTERNAL, 1}, {FT_E_NOT_FOUND, 2}, {FT_E_BUSY, 2}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(ft_status_exit_code(expected[i][0]), expected[i][1]);
    }
}

static ft_status try(ft_status status, int *reached)
{
    FT_TRY(status);
    *reached = 1;
    return FT_OK;
}

static void try_returns_failures_and_passes_success(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(try(FT_E_BUSY, &reached), FT_E_BUSY);
    assert_int_equal(reached, 0);
    assert_int_equal(try(FT_OK, &reached), FT_OK);
    assert_int_equal(reached, 1);
}

static void assert_false_with_a_message(void)
{
    FT_ASSERT(1 + 1 == 3, "%d", 2);
}

static void assert_true_condition(void)
{
    FT_ASSERT(1 + 1 == 2);
}

static void asserts_stay_on(void **state)
{
    (void)state;
    assert_true(t_aborts(assert_false_with_a_message));
    assert_false(t_aborts(assert_true_condition));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_recorded_prefixed_and_adopted),
        cmocka_unit_test(control_characters_do_not_come_through),
        cmocka_unit_test(long_messages_are_cut_and_terminated),
        cmocka_unit_test(threads_do_not_see_each_others_messages),
        cmocka_unit_test(exit_codes_follow_the_table),
        cmocka_unit_test(try_returns_failures_and_passes_success),
        cmocka_unit_test(asserts_stay_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
