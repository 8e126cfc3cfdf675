// Checks that hang, crash, or say what cannot be said in JSON: each is a row, and those after it still run. The table is this
// test's own.
#include "captured.h"

#include <signal.h>
#include <sys/resource.h>

#include "common/log.h"
#include "doctor/check.h"

static void fine(ft_doctor *doctor)
{
    ft_check_ok(doctor, NULL, "fine");
    ft_check_fact(doctor, "a fact", "%d", 7);
}

static void hangs(ft_doctor *doctor)
{
    ft_check_ok(doctor, "first", "said before");
    for (;;) pause();
}

static void crashes(ft_doctor *doctor)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static void exits(ft_doctor *doctor)
{
    _exit(3);
}

static void mumbles(ft_doctor *doctor)
{
    ft_check_note(doctor, "sub\xff", "remedy \"quoted\"", "bytes \xfe and\ta tab\n  ok    forged");
}

static void fails(ft_doctor *doctor)
{
    ft_error(FT_E_INPUT, "the thing is broken; mend it");
    ft_check_error(doctor, NULL, true, "not used");
}

static void is_slow(ft_doctor *doctor)
{
    ft_check_ok(doctor, NULL, "measured");
}

const ft_check ft_checks[] = {
    {"one", "fine", fine, 5, false},    {"one", "hangs", hangs, 0.3, false}, {"two", "crashes", crashes, 5, false}, {"two", "exits", exits, 5, false},
    {"two", "mumbles", mumbles, 5, false}, {"two", "slow", is_slow, 5, true}, {"two", "fails", fails, 5, false},     {0},
};

static void every_check_has_its_row(void **state)
{
    double begin = ft_now_s();
    json_t *report = examine("");
    assert_true(ft_now_s() - begin < 5);
    expect_row(report, "fine", "ok", "fine");
    expect_row(report, "hangs first", "ok", "said before");
    expect_row(report, "hangs", "FAIL", "no answer");
    expect_row(report, "crashes", "FAIL", "signal 11");
    expect_row(report, "exits", "FAIL", "exit code 3");
    expect_row(report, "mumbles sub\uFFFD", "note", "bytes \uFFFD and");
    expect_row(report, "fails", "FAIL", "the thing is broken");
    assert_string_equal(text_of(row_of(report, "fails"), "remedy"), "mend it");
    assert_null(row_of(report, "slow"));
    assert_int_equal(json_array_size(json_object_get(report, "checks")), 7);
    assert_string_equal(text_of(json_object_get(report, "facts"), "a fact"), "7");
    json_decref(report);
}

static void the_table_says_verdict_and_remedy(void **state)
{
    ft_text text = {0};
    json_t *report = examine("");
    assert_int_equal(ft_doctor_print(report, &text), FT_OK);
    assert_non_null(strstr(text.data, "  FAIL  fails"));
    assert_non_null(strstr(text.data, " and a tab   ok    forged\n"));
    assert_non_null(strstr(text.data, "-> mend it\n"));
    assert_non_null(strstr(text.data, "2 ok, 1 note, 4 failed\n"));
    assert_int_equal(ft_doctor_verdict(report), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "hangs, crashes, exits, fails"));
    ft_text_free(&text);
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {ROOT_TEST(every_check_has_its_row), ROOT_TEST(the_table_says_verdict_and_remedy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
