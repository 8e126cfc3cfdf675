// The page in Chromium: its charts are drawn, every control works, no script fails. Skipped (77) where there is no Chromium.
#include "report/t_report.h"

// Before the page's scripts: what fails is kept. After them: everything a user can do.
#define WATCH \
    "<script>window.onerror = (message, file, line) => { document.documentElement.dataset.error = message + ' (line ' + line + ')'; };</script>"
#define USE \
    "<script>\"use strict\";\n" \
    "const wanted = (condition, what) => { if (!condition) throw new Error(what); };\n" \
    "wanted(document.querySelectorAll('#charts figure').length === CHARTS.length, 'a chart is missing');\n" \
    "for (const id of ['loss', 'eval', 'lr', 'grad', 'speed', 'stall', 'busy', 'moved', 'memory'])\n" \
    "  wanted(document.querySelector('#chart-' + id + ' .line, #chart-' + id + ' .area')?.getAttribute('d'), id + ' is empty');\n" \
    "wanted(!document.querySelector('#charts').innerHTML.includes('NaN'), 'NaN is drawn');\n" \
    "for (const button of document.querySelectorAll('.head button')) { button.click(); button.click(); }\n" \
    "for (const x of Object.keys(X_AXES)) { view.setX(x); view.setCursor(RUNS[0].x[x][3]); }\n" \
    "view.setX('step'); view.setCursor(3);\n" \
    "wanted(document.querySelector('#chart-lr .readout').textContent.startsWith('step 3'), 'no read-out');\n" \
    "wanted(document.querySelectorAll('#chart-lr .readout b').length === 2, 'a run has no value in the read-out');\n" \
    "document.querySelector('button.run').click();\n" \
    "wanted(document.querySelectorAll('#chart-lr .readout b').length === 1, 'the legend hides no run');\n" \
    "document.querySelector('button.run').click();\n" \
    "const svg = document.querySelector('#chart-loss svg'), key = (name) => svg.dispatchEvent(new KeyboardEvent('keydown', {key: name}));\n" \
    "key('Home'); wanted(view.cursor === 1, 'Home'); key('ArrowRight'); wanted(view.cursor === 2, 'ArrowRight');\n" \
    "view.setZoom([4, 8]); wanted(!view.resetZoom.hidden, 'no way out of the zoom'); view.resetZoom.click(); wanted(view.zoom === null, 'zoom');\n" \
    "view.setDetail(1); view.setDetail(0);\n" \
    "wanted(document.querySelectorAll('.tier').length === 3, 'a tier is missing');\n" \
    "wanted(document.querySelectorAll('.cell').length === 2, 'a layer is missing');\n" \
    "document.documentElement.dataset.used = 'true';</script>"

static const char *find_chromium(void)
{
    static const char *const names[] = {"chromium", "chromium-browser", "google-chrome"};
    char command[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", names[i]);
        if (system(command) == 0) return names[i];
    }
    return NULL;
}

// The document after its scripts have run.
static char *load(const char *path)
{
    ft_text out = {0};
    char part[4096];
    char *command = ft_format("%s --headless --no-sandbox --disable-gpu --user-data-dir=%s --virtual-time-budget=2000 --dump-dom 'file://%s' 2>/dev/null",
                              find_chromium(), t_path("browser"), path);
    FILE *browser = popen(command, "r");
    assert_non_null(browser);
    for (size_t n; (n = fread(part, 1, sizeof part, browser)) > 0;) t_ok(ft_text_add(&out, part, n));
    pclose(browser);
    ft_free(command);
    assert_non_null(out.data);
    return out.data;
}

static void write_page(const ft_report *report, const char *path, const char *use)
{
    ft_text page = {0}, watched = {0};
    t_ok(ft_report_page(report, "ft-single report", &page));
    const char *body = strstr(page.data, "<body>"), *end = strstr(page.data, "</body>");
    t_ok(ft_text_add(&watched, page.data, (size_t)(body - page.data)));
    t_ok(ft_text_puts(&watched, WATCH));
    t_ok(ft_text_add(&watched, body, (size_t)(end - body)));
    t_ok(ft_text_puts(&watched, use));
    t_ok(ft_text_puts(&watched, "</body></html>"));
    t_ok(ft_file_write(path, watched.data, watched.length));
    ft_text_free(&page);
    ft_text_free(&watched);
}

static void make_runs(ft_report *report)
{
    ft_text lines = {0};
    for (int run = 0; run < 2; run++) {
        const char *name = run ? "second" : "first";
        t_eval(&lines, 0, 4);
        for (int step = 1; step <= 12; step++) t_step(&lines, step, step == 5 ? NAN : 13 - step + run);
        t_eval(&lines, 12, 2);
        t_metrics(name, &lines);
        t_write(name, "plan.json", T_PLAN);
    }
    t_read(report, "first", "second");
}

// Whether everything of `use` was done without an error.
static void expect_used(const ft_report *report, const char *use)
{
    write_page(report, t_path("page.html"), use);
    char *document = load(t_path("page.html"));
    const char *error = strstr(document, "data-error=\"");
    if (error) fail_msg("%.200s", error);
    assert_non_null(strstr(document, "data-ready=\"true\""));
    assert_non_null(strstr(document, "data-used=\"true\""));
    ft_free(document);
}

static void charts_are_drawn_and_controls_work(void **state)
{
    ft_report report;
    make_runs(&report);
    expect_used(&report, USE);
    ft_report_free(&report);
}

// What another version wrote may lack what this one draws.
static void half_a_plan_costs_no_chart(void **state)
{
    static const char *const names[] = {"no", "memory", "numbers"};
    static const char *const plans[] = {"{}", "{\"memory\":{\"HBM\":{\"bytes\":5}}}", "{\"memory\":{\"HBM\":{}},\"slots\":{},\"run\":{}}"};
    ft_report report;
    ft_text lines = {0};
    for (size_t i = 0; i < 3; i++) {
        for (int step = 1; step <= 4; step++) t_step(&lines, step, 5 - step);
        t_metrics(names[i], &lines);
        t_write(names[i], "plan.json", plans[i]);
    }
    t_read(&report, "no", "memory", "numbers");
    expect_used(&report, "<script>\"use strict\";\n"
                         "for (const run of RUNS) view.setDetail(run.index);\n"
                         "if (document.querySelector('#chart-loss .line')) document.documentElement.dataset.used = 'true';</script>");
    ft_report_free(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(charts_are_drawn_and_controls_work), cmocka_unit_test(half_a_plan_costs_no_chart)};
    if (find_chromium() == NULL) return 77;
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
