// ft-single report as it is called: the real program, named by FT_SINGLE.
#include <sys/wait.h>

#include "report/t_report.h"

// Runs `ft-single report ARGUMENTS` with both outputs in one heap string.
static char *call(const char *arguments, int *exit_code)
{
    const char *program = getenv("FT_SINGLE");
    ft_text out = {0};
    char part[4096];
    assert_non_null(program);
    char *command = ft_format("cd %s && LC_ALL=C.UTF-8 %s report %s 2>&1", t_directory, program, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (size_t n; (n = fread(part, 1, sizeof part, pipe)) > 0;) t_ok(ft_text_add(&out, part, n));
    *exit_code = WEXITSTATUS(pclose(pipe));
    ft_free(command);
    t_ok(ft_text_puts(&out, ""));
    return out.data;
}

static void expect(const char *arguments, int exit_code, const char *part)
{
    int code;
    char *text = call(arguments, &code);
    if (code != exit_code || strstr(text, part) == NULL) fail_msg("report %s: exit code %d\n%s", arguments, code, text);
    ft_free(text);
}

static void make_run(void)
{
    ft_text lines = {0};
    for (int step = 1; step <= 5; step++) t_step(&lines, step, 6 - step);
    t_metrics("run", &lines);
}

static void it_prints_writes_and_dumps(void **state)
{
    int code;
    make_run();
    expect("run", 0, "5 (0.50 epochs), 500 tokens");
    expect("run/ run", 0, "last loss");
    expect("run --html page.html", 0, "page.html: 1 run, ");
    assert_true(ft_path_exists(t_path("page.html")));
    char *text = call("run --json", &code);
    json_t *json = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(json, "runs"), 0), "tokens")), 500);
    json_decref(json);
    ft_free(text);
}

static void the_page_names_a_command_that_works(void **state)
{
    char *page;
    size_t bytes;
    ft_text lines = {0};
    t_step(&lines, 1, 2);
    t_metrics("my run", &lines);
    expect("'my run' --html page.html", 0, "page.html: 1 run, ");
    t_ok(ft_file_read(t_path("page.html"), 1 << 20, &page, &bytes));
    if (strstr(page, "<code>ft-single report 'my run' --html page.html</code>") == NULL) fail_msg("%.4000s", page);
    ft_free(page);
}

static void what_cannot_be_is_one_line(void **state)
{
    expect("", 2, "give the OUTPUT directory of a run");
    expect("absent", 2, "absent: no directory");
    expect("run --json --html page.html", 2, "not both");
    expect("run --html absent/page.html", 2, "absent/page.html: there is no directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_prints_writes_and_dumps),
        cmocka_unit_test(the_page_names_a_command_that_works),
        cmocka_unit_test(what_cannot_be_is_one_line),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
