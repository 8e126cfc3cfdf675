// What is read of a run's directory, whatever state the run left it in.
#include "report/t_report.h"

static void a_torn_last_line_is_not_there(void **state)
{
    ft_text lines = {0};
    ft_report report;
    t_step(&lines, 1, 3);
    t_step(&lines, 2, 2);
    lines.data[lines.length - 20] = 0;
    t_metrics("torn", &lines);
    t_read(&report, "torn");
    assert_int_equal(report.entry[0].run.n_steps, 1);
    assert_int_equal(report.entry[0].run.unreadable, 0);
    ft_report_free(&report);
}

static void a_damaged_line_is_left_out_and_told(void **state)
{
    ft_text lines = {0};
    ft_report report;
    t_step(&lines, 1, 3);
    t_ok(ft_text_puts(&lines, "{\"kind\":\"step\",\"st\n[1]\n"));
    t_step(&lines, 2, 2);
    t_metrics("damaged", &lines);
    t_read(&report, "damaged");
    assert_int_equal(report.entry[0].run.n_steps, 2);
    assert_int_equal(report.entry[0].run.unreadable, 2);
    ft_report_free(&report);
}

static void a_step_that_stands_twice_counts_once(void **state)
{
    ft_text lines = {0};
    ft_report report;
    t_eval(&lines, 0, 9);
    for (int step = 1; step <= 6; step++) t_step(&lines, step, 10 - step);
    t_eval(&lines, 6, 5);
    t_ok(ft_text_puts(&lines, "{\"kind\":\"note\",\"step\":5,\"note\":\"of the part that was lost\"}\n"));
    for (int step = 4; step <= 5; step++) t_step(&lines, step, 1);
    t_metrics("resumed", &lines);
    t_read(&report, "resumed");
    const ft_report_run *run = &report.entry[0].run;
    assert_int_equal(run->n_steps, 5);
    assert_int_equal(run->n_evals, 1);
    assert_int_equal(run->n_notes, 0);
    t_near(run->step[2].value[FT_COLUMN_LOSS], 7);
    t_near(run->step[3].value[FT_COLUMN_LOSS], 1);
    t_near(run->step[4].tokens_so_far, 500);
    t_near(run->step[4].seconds_so_far, 10);
    ft_report_free(&report);
}

static void numbers_that_are_missing_or_null_are_nan(void **state)
{
    ft_report report;
    t_write("old", "metrics.jsonl", "{\"kind\":\"step\",\"step\":1,\"loss\":null,\"new_key\":[1],\"step_s\":2}\n{\"kind\":\"unheard-of\",\"step\":2}\n");
    t_read(&report, "old");
    const ft_report_run *run = &report.entry[0].run;
    assert_int_equal(run->n_steps, 1);
    assert_true(isnan(run->step[0].value[FT_COLUMN_LOSS]));
    assert_true(isnan(run->step[0].value[FT_COLUMN_TOKENS_PER_S]));
    assert_int_equal(run->step[0].drive, -1);
    assert_true(isnan(report.entry[0].summary.compute_share));
    ft_report_free(&report);
}

static void a_run_without_steps_or_plan_is_a_run(void **state)
{
    ft_report report;
    ft_text out = {0};
    t_write("begun", "config.resolved.yaml", "base_model: /m/x  # config\n");
    t_read(&report, "begun");
    assert_string_equal(ft_report_state(&report, 0), "no steps yet");
    assert_null(report.entry[0].run.plan);
    assert_true(isnan(report.entry[0].summary.plan_step_s));
    t_ok(ft_report_print(&report, (ft_report_style){0}, &out));
    assert_non_null(strstr(out.data, "no steps yet"));
    ft_text_free(&out);
    ft_report_free(&report);
}

static void what_is_no_run_is_refused_by_name(void **state)
{
    ft_report report;
    const char *path = t_path("nothing");
    t_ok(ft_make_directories(path));
    assert_int_equal(ft_report_read(&report, &path, 1, 0), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "nothing: holds no run"));
    ft_report_free(&report);
    path = t_path("absent");
    assert_int_equal(ft_report_read(&report, &path, 1, 0), FT_E_INPUT);
    ft_report_free(&report);
    t_write("bad-plan", "plan.json", "{\"machine\": ");
    path = t_path("bad-plan");
    assert_int_equal(ft_report_read(&report, &path, 1, 0), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "bad-plan/plan.json: line 1"));
    ft_report_free(&report);
}

static void the_state_tells_running_from_stopped_and_done(void **state)
{
    ft_text lines = {0};
    ft_report report;
    t_step(&lines, 1, 3);  // its time is 1002
    t_metrics("going", &lines);
    t_read(&report, "going");
    assert_string_equal(ft_report_state(&report, 0), "running");
    report.now = 2000;
    assert_string_equal(ft_report_state(&report, 0), "stopped");
    ft_report_free(&report);
    t_write("going/adapter", "adapter_config.json", "{}");
    t_read(&report, "going");
    assert_string_equal(ft_report_state(&report, 0), "done");
    ft_report_free(&report);
}

static void runs_of_one_name_are_told_apart(void **state)
{
    ft_report report;
    t_write("a/run", "metrics.jsonl", "");
    t_write("b/run", "metrics.jsonl", "");
    t_write("c/other", "metrics.jsonl", "");
    t_read(&report, "a/run", "b/run/.", "c/other/");
    assert_string_equal(report.entry[0].run.name, report.entry[0].run.path);
    assert_string_equal(report.entry[1].run.name, report.entry[1].run.path);
    assert_string_equal(report.entry[2].run.name, "other");
    ft_report_free(&report);
}

static void config_lines_keep_values_and_sources(void **state)
{
    ft_config_lines lines = {0};
    t_ok(ft_config_lines_read(&lines, "# Every key\nbase_model: \"a  # b\"  # x.yaml:2\nspecial_tokens:\n  pad_token: null  # default\n"
                                      "datasets: [{path: d.json, type: alpaca}]  # --data\nderived: [lora_r]\n"));
    assert_int_equal(lines.n, 4);
    assert_string_equal(ft_config_lines_get(&lines, "base_model"), "a  # b");
    assert_string_equal(lines.line[0].source, "x.yaml:2");
    assert_string_equal(lines.line[1].key, "special_tokens.pad_token");
    assert_null(ft_config_lines_get(&lines, "special_tokens.pad_token"));
    assert_string_equal(ft_config_lines_get(&lines, "datasets"), "[{path: d.json, type: alpaca}]");
    assert_string_equal(lines.line[3].source, "");
    ft_config_lines_free(&lines);
}

// Every allocation of ours fails once, in reading and in each form of showing.
static void running_out_of_memory_is_an_error(void **state)
{
    ft_text lines = {0};
    for (int step = 1; step <= 3; step++) t_step(&lines, step, step);
    t_eval(&lines, 3, 1);
    t_ok(ft_text_puts(&lines, "{\"kind\":\"note\",\"step\":3,\"note\":\"n\"}\n"));
    t_metrics("memory", &lines);
    t_write("memory", "plan.json", T_PLAN);
    t_write("memory", "config.resolved.yaml", "base_model: /m/x  # config\nspecial_tokens:\n  pad_token: a  # default\n");
    const char *paths[] = {t_path("memory"), t_path("memory")};
    ft_status status = FT_E_NOMEM;
    int64_t fails = 0;
    for (int64_t n = 1; status != FT_OK; n++) {
        ft_report report;
        ft_text out = {0};
        ft_memory_fail_after(n);
        status = ft_report_read(&report, paths, 2, 0);
        if (status == FT_OK) status = ft_report_print(&report, (ft_report_style){0}, &out);
        if (status == FT_OK) status = ft_report_page(&report, "c", &out);
        ft_memory_fail_after(0);
        ft_report_free(&report);
        ft_text_free(&out);
        if (status != FT_OK) assert_int_equal(status, FT_E_NOMEM);
        fails += status != FT_OK;
    }
    assert_true(fails > 50);
}

// What a file says stands in one line and steers no terminal; a drive is the same in every step.
static void words_of_a_file_are_plain(void **state)
{
    ft_report_run run;
    ft_text lines = {0};
    for (int step = 1; step <= 3; step++)
        t_ok(ft_text_printf(&lines, "{\"kind\":\"step\",\"step\":%d,\"stall_drive\":\"/a\\u001bb\"}\n", step));
    t_ok(ft_text_puts(&lines, "{\"kind\":\"note\",\"step\":3,\"note\":\"two\\nlines\\u001b[2J\"}\n"));
    t_metrics("plain", &lines);
    t_ok(ft_report_run_read(&run, t_path("plain")));
    assert_int_equal(run.n_drives, 1);
    assert_string_equal(run.drive[0], "/a b");
    assert_string_equal(run.note[0].text, "two lines [2J");
    ft_report_run_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_torn_last_line_is_not_there),
        cmocka_unit_test(a_damaged_line_is_left_out_and_told),
        cmocka_unit_test(a_step_that_stands_twice_counts_once),
        cmocka_unit_test(numbers_that_are_missing_or_null_are_nan),
        cmocka_unit_test(a_run_without_steps_or_plan_is_a_run),
        cmocka_unit_test(what_is_no_run_is_refused_by_name),
        cmocka_unit_test(the_state_tells_running_from_stopped_and_done),
        cmocka_unit_test(runs_of_one_name_are_told_apart),
        cmocka_unit_test(config_lines_keep_values_and_sources),
        cmocka_unit_test(words_of_a_file_are_plain),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
