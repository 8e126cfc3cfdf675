// The terminal's view: numbers in their places, colour and Unicode only where they were asked for.
#include "report/t_report.h"

static void make_runs(void)
{
    ft_text lines = {0};
    for (int step = 1; step <= 20; step++) t_step(&lines, step, 21 - step);
    t_eval(&lines, 20, 1.5);
    t_metrics("one", &lines);
    t_write("one", "plan.json", T_PLAN);
    t_write("one", "config.resolved.yaml", "base_model: org/Model-7B  # x\nadapter: lora  # x\nlora_r: 16  # x\nlearning_rate: 0.001  # x\noutput_dir: one  # x\n");
    for (int step = 1; step <= 20; step++) t_step(&lines, step, 11 - step / 2.0);
    t_metrics("two", &lines);
    t_write("two", "config.resolved.yaml", "base_model: org/Model-7B  # x\nadapter: lora  # x\nlora_r: 16  # x\nlearning_rate: 0.002  # x\noutput_dir: two  # x\n");
}

static char *print(const ft_report *report, bool color, bool unicode)
{
    ft_text out = {0};
    t_ok(ft_report_print(report, (ft_report_style){.color = color, .unicode = unicode}, &out));
    return out.data;
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text > 0x7E || (*text < 0x20 && *text != '\n')) return false;
    return true;
}

static void a_block_says_what_the_run_was(void **state)
{
    ft_report report;
    make_runs();
    t_read(&report, "one");
    char *text = print(&report, false, false);
    assert_true(is_ascii(text));
    assert_non_null(strstr(text, "org/Model-7B, lora r 16, 2 layers\n"));
    assert_non_null(strstr(text, "20 (2.00 epochs), 2,000 tokens, 800 of them trained; 40s, 40s of it in steps\n"));
    assert_non_null(strstr(text, "20.0000 -> 5.5000, least 5.5000 at step 20 (means of 10 steps)\n"));
    assert_non_null(strstr(text, "eval loss  1.5000 at step 20\n"));
    assert_non_null(strstr(text, "50 tokens/s; a step 2.00 s (medians), planned 1.50 s: 0.75 times the plan's speed\n"));
    assert_non_null(strstr(text, "device 1000 B of 1.95 KiB, pinned host 500 B, drives 8.79 KiB (planned)\n"));
    assert_non_null(strstr(text, "compute 50.0 %, waiting 25.0 % (link 5.0, drives 15.0, spilled inputs 5.0), most for /nvme0\n"));
    ft_free(text);
    ft_report_free(&report);
}

static void colour_and_unicode_are_asked_for(void **state)
{
    ft_report report;
    t_read(&report, "one");
    char *text = print(&report, true, true);
    assert_non_null(strstr(text, "\033[1mone\033[0m"));
    assert_non_null(strstr(text, "█"));
    ft_free(text);
    ft_report_free(&report);
}

// A run that diverged at once, and lines that do not tell all: no number is "nan".
static void what_is_not_known_is_left_out(void **state)
{
    ft_report report;
    ft_text lines = {0};
    t_ok(ft_text_puts(&lines, "{\"kind\":\"step\",\"step\":1,\"loss\":null,\"step_s\":2,\"compute_busy\":0.5,\"stall_s\":0.5,\"stall_nvme_s\":0.5}\n"));
    t_metrics("diverged", &lines);
    t_read(&report, "diverged");
    char *text = print(&report, false, false);
    assert_null(strstr(text, "nan"));
    assert_non_null(strstr(text, "1 (- epochs), - tokens"));
    assert_non_null(strstr(text, "loss       none is finite\n"));
    assert_non_null(strstr(text, "compute 50.0 %, waiting 25.0 % (drives 25.0)\n"));
    assert_non_null(strstr(text, "the compute waited 25.0 % of the time: 25.0 % for drives\n"));
    ft_free(text);
    ft_report_free(&report);
}

static void several_runs_are_compared_with_the_first(void **state)
{
    ft_report report;
    t_read(&report, "one", "two");
    char *text = print(&report, false, false);
    assert_non_null(strstr(text, "\nlast loss               5.5000                    3.2500       -40.9 %\n"));
    assert_non_null(strstr(text, "\nlearning_rate           0.001                     0.002\n"));
    assert_null(strstr(text, "output_dir"));
    assert_null(strstr(text, " \n"));
    ft_free(text);
    ft_report_free(&report);
}

// Columns are counted in characters, and names cut between them.
static void names_beyond_ascii_keep_the_columns(void **state)
{
    ft_report report;
    ft_text lines = {0};
    t_step(&lines, 1, 2);
    t_metrics("über", &lines);
    t_step(&lines, 1, 2);
    t_metrics("ein-langer-Name-für-einen-Lauf", &lines);
    t_read(&report, "über", "ein-langer-Name-für-einen-Lauf", "one");
    char *text = print(&report, false, false);
    if (strstr(text, "\n                        über                      ...r-Name-für-einen-Lauf  one\n") == NULL) fail_msg("%s", text);
    ft_free(text);
    ft_report_free(&report);
}

static void five_runs_take_a_second_table(void **state)
{
    ft_report report;
    t_read(&report, "one", "two", "one", "two", "one");
    char *text = print(&report, false, false);
    int tables = 0;
    for (const char *at = text; (at = strstr(at, "\nlast loss")) != NULL; at++) tables++;
    assert_int_equal(tables, 2);
    ft_free(text);
    ft_report_free(&report);
}

static void a_spark_goes_from_foot_to_top(void **state)
{
    const double falling[] = {8, 7, 6, 5, 4, 3, 2, 1}, level[] = {2, 2}, holes[] = {1, NAN, 2}, huge[] = {-1e308, 1e308, -1e308, INFINITY};
    ft_text out = {0};
    t_ok(ft_report_spark(falling, 8, 60, true, &out));
    t_ok(ft_report_spark(falling, 8, 2, false, &out));
    t_ok(ft_report_spark(level, 2, 60, false, &out));
    t_ok(ft_report_spark(holes, 3, 60, false, &out));
    t_ok(ft_report_spark(huge, 4, 60, false, &out));
    assert_string_equal(out.data, "█▇▆▅▄▃▂▁#____ #_#_ ");
    ft_text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_says_what_the_run_was),
        cmocka_unit_test(colour_and_unicode_are_asked_for),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(several_runs_are_compared_with_the_first),
        cmocka_unit_test(names_beyond_ascii_keep_the_columns),
        cmocka_unit_test(five_runs_take_a_second_table),
        cmocka_unit_test(a_spark_goes_from_foot_to_top),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
