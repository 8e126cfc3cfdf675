// The page as text: data that cannot become markup, whatever runs and models are called; long runs cut to size with no spike lost.
#include "report/page_internal.h"
#include "report/t_report.h"

#define EVIL "</script><script>alert(1)</script><!--"

static char *make_page(const ft_report *report)
{
    ft_text out = {0};
    t_ok(ft_report_page(report, "ft-single report \"" EVIL "\"", &out));
    return out.data;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) n++;
    return n;
}

// What stands in the element with the data, parsed: its first run, which the caller drops.
static json_t *data_of(const char *page)
{
    const char *begin = strstr(page, "id=\"data\">");
    assert_non_null(begin);
    begin += strlen("id=\"data\">");
    const char *end = strstr(begin, "</script>");
    json_error_t error;
    json_t *data = json_loadb(begin, (size_t)(end - begin), 0, &error);
    if (data == NULL) fail_msg("line %d: %s", error.line, error.text);
    json_t *run = json_incref(json_array_get(json_object_get(data, "runs"), 0));
    json_decref(data);
    return run;
}

static double at(const json_t *run, const char *group, const char *key, size_t i)
{
    return json_number_value(json_array_get(json_object_get(json_object_get(json_object_get(run, "series"), group), key), i));
}

static void names_stay_text(void **state)
{
    ft_text lines = {0};
    ft_report report;
    t_step(&lines, 1, 3);
    t_ok(ft_text_puts(&lines, "{\"kind\":\"note\",\"step\":1,\"note\":\"" EVIL "\"}\n"));
    t_metrics("evil", &lines);
    t_write("evil", "config.resolved.yaml", "base_model: \"org/" EVIL "\"  # " EVIL "\nlora_r: \"&\"  # \xFF\x01\n");
    t_write("evil", "plan.json", "{\"machine\": \"" EVIL "\"}");
    t_read(&report, "evil");
    char *page = make_page(&report);
    assert_int_equal(count(page, "<script"), 2);
    assert_int_equal(count(page, "</script>"), 2);
    assert_int_equal(count(page, "<!--"), 0);
    assert_int_equal(count(page, "\xFF"), 0);
    assert_non_null(strstr(page, "&lt;/script&gt;&lt;script&gt;alert(1)"));
    json_t *run = data_of(page);
    assert_string_equal(json_string_value(json_object_get(json_object_get(run, "plan"), "machine")), EVIL);
    assert_string_equal(json_string_value(json_object_get(json_object_get(run, "summary"), "what")), "script><!-- r &");  // the last part of what has slashes
    json_decref(run);
    ft_free(page);
    ft_report_free(&report);
}

static void nothing_is_loaded(void **state)
{
    ft_report report;
    t_read(&report, "evil");
    char *page = make_page(&report);
    static const char *const loads[] = {"src=", "http://", "https://", "@import", "url(http", "fetch("};
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        int n = count(page, loads[i]);
        if (strcmp(loads[i], "http://") == 0) n -= count(page, "http://www.w3.org/2000/svg");
        if (n != 0) fail_msg("%s stands in the page", loads[i]);
    }
    assert_non_null(strstr(page, "default-src 'none'"));
    ft_free(page);
    ft_report_free(&report);
}

static void the_data_are_the_steps(void **state)
{
    ft_text lines = {0};
    ft_report report;
    t_eval(&lines, 0, 4);
    for (int step = 1; step <= 4; step++) t_step(&lines, step, step == 2 ? NAN : step);
    t_eval(&lines, 4, 3);
    t_metrics("few", &lines);
    t_read(&report, "few");
    char *page = make_page(&report);
    json_t *run = data_of(page), *series = json_object_get(run, "series"), *y = json_object_get(series, "y");
    assert_int_equal(json_integer_value(json_object_get(series, "n")), 4);
    t_near(at(run, "y", "loss", 3), 4);
    assert_true(json_is_null(json_array_get(json_object_get(y, "loss"), 1)));
    t_near(at(run, "x", "tokens", 3), 400);
    t_near(at(run, "x", "time", 3), 8);
    t_near(json_number_value(json_object_get(y, "h2d_bytes")), 6000);  // never changes: one number
    json_t *evals = json_object_get(run, "evals");
    t_near(json_number_value(json_array_get(json_object_get(evals, "tokens"), 0)), 0);
    t_near(json_number_value(json_array_get(json_object_get(evals, "tokens"), 1)), 400);
    t_near(json_number_value(json_array_get(json_object_get(evals, "loss"), 1)), 3);
    json_decref(run);
    ft_free(page);
    ft_report_free(&report);
}

static void a_long_run_keeps_its_spikes_and_its_size(void **state)
{
    ft_text lines = {0};
    ft_report report;
    for (int step = 1; step <= 100000; step++)
        t_ok(ft_text_printf(&lines, "{\"kind\":\"step\",\"time\":%d,\"step\":%d,\"epoch\":%.5f,\"loss\":%.7f,\"grad_norm\":%.6f,\"tokens\":4096,\"step_s\":1.%d,"
                            "\"tokens_per_s\":%d.5,\"compute_busy\":0.9%d,\"stall_s\":0.0%d}\n",
                            step, step, step / 1e5, step == 77777 ? 50.0 : 2 + 1.0 / step, 1 + (step % 97) / 97.0, step % 1000, 4000 + step % 101, step % 9,
                            step % 7919));
    t_metrics("long", &lines);
    t_read(&report, "long");
    char *page = make_page(&report);
    if (strlen(page) > 2000000) fail_msg("%zu bytes", strlen(page));
    json_t *run = data_of(page), *high = json_object_get(json_object_get(json_object_get(run, "series"), "high"), "loss");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(run, "series"), "bucket")), 25);
    assert_int_equal(json_array_size(high), 4000);
    t_near(at(run, "high", "loss", 77776 / 25), 50);
    t_near(at(run, "x", "step", 0), 25);
    t_near(at(run, "x", "step", 3999), 100000);
    assert_true(fabs(at(run, "y", "grad_norm", 0) - (1 + 13 / 97.0)) < 1e-5);  // the mean of steps 1 to 25
    json_decref(run);
    ft_free(page);
    ft_report_free(&report);
}

static void it_says_something_without_scripts(void **state)
{
    ft_report report;
    t_read(&report, "few", "evil");
    char *page = make_page(&report);
    assert_int_equal(count(page, "<polyline class=\"line run"), 2);
    assert_non_null(strstr(page, "<th scope=\"row\">last loss</th><td>2.6667</td>"));
    ft_free(page);
    ft_report_free(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stay_text),
        cmocka_unit_test(nothing_is_loaded),
        cmocka_unit_test(the_data_are_the_steps),
        cmocka_unit_test(a_long_run_keeps_its_spikes_and_its_size),
        cmocka_unit_test(it_says_something_without_scripts),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
