// ft-single report: what runs did, in a terminal, as JSON, or as a page.
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/print.h"
#include "cli/verbs.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/shell_word.h"
#include "data/show.h"
#include "io/commit.h"
#include "report/report.h"

static const ft_flag flags[] = {
    {"html", FT_FLAG_TEXT, "FILE", "write a self-contained page: charts, where every byte lived, what differs between the runs", 0, 0},
    {"json", FT_FLAG_SWITCH, NULL, "the numbers of every run as one object", 0, 0},
    {NULL},
};

// Whether the terminal shows more than ASCII, by the user's locale.
static bool is_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (locale == (locale_t)0) return false;
    bool utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

static ft_status print_text(const ft_report *report)
{
    ft_text text = {0};
    ft_report_style style = {.color = ft_show_color(stdout), .unicode = is_utf8()};
    return ft_print_text(ft_report_print(report, style, &text), &text, stdout);
}

static ft_status command_line(const ft_invocation *in, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "ft-single report"));
    for (int i = 0; i < in->argc; i++) {
        FT_TRY(ft_text_puts(out, " "));
        FT_TRY(ft_text_add_word(out, in->argv[i]));
    }
    return FT_OK;
}

static ft_status write_page(const ft_invocation *in, const ft_report *report)
{
    const char *path = ft_args_text(in, "html");
    ft_text text = {0}, command = {0};
    ft_status status = command_line(in, &command);
    if (status == FT_OK) status = ft_report_page(report, command.data, &text);
    if (status == FT_OK) status = ft_commit_file(path, text.data, text.length);
    if (status == FT_OK) printf("%s: %d run%s, %zu KiB\n", path, report->n, report->n == 1 ? "" : "s", text.length >> 10);
    ft_text_free(&text);
    ft_text_free(&command);
    return status;
}

static ft_status run(ft_invocation *in)
{
    if (in->positional.n == 0) return ft_error(FT_E_USAGE, "report: give the OUTPUT directory of a run, or of several to compare");
    if (ft_args_given(in, "json") && ft_args_given(in, "html")) return ft_error(FT_E_USAGE, "report: give --json or --html, not both");
    if (ft_args_given(in, "html")) FT_TRY(ft_path_expect_place(ft_args_text(in, "html")));
    ft_report report;
    ft_status status = ft_report_read(&report, (const char *const *)in->positional.items, (int)in->positional.n, (double)time(NULL));
    if (status == FT_OK)
        status = ft_args_given(in, "html") ? write_page(in, &report) : ft_args_given(in, "json") ? ft_print_json(ft_report_json(&report)) : print_text(&report);
    ft_report_free(&report);
    return status;
}

const ft_verb ft_verb_report = {"report", NULL, "OUTPUT... [--html FILE | --json]", "what runs did: losses, speed, where time and bytes went; several side by side",
                                flags, false, run, 64};
