// The table people read: a row a check, under the heading of its group; what to do stands below the row that needs it.
#include <stdio.h>
#include <string.h>

#include "doctor/findings.h"

typedef struct {
    ft_text *out;
    int names;  // width of the column of names
    int count[3];
} table;

static const char *const verdicts[] = {"ok", "note", "FAIL"};

static int longest_name(const json_t *checks)
{
    size_t i, longest = 0;
    json_t *row;
    json_array_foreach(checks, i, row)
        if (strlen(ft_findings_text(row, "check")) > longest) longest = strlen(ft_findings_text(row, "check"));
    return longest < 40 ? (int)longest : 40;
}

static void count_verdict(table *t, const char *verdict)
{
    for (int i = 0; i < 3; i++) t->count[i] += strcmp(verdict, verdicts[i]) == 0;
}

// Ends the line that began at `begin`. What other machines say must neither steer the terminal nor begin a line of its own.
static ft_status end_line(ft_text *out, size_t begin)
{
    for (size_t i = begin; i < out->length; i++)
        if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7f) out->data[i] = ' ';
    return ft_text_puts(out, "\n");
}

static ft_status print_row(table *t, const json_t *row)
{
    size_t begin = t->out->length;
    const char *verdict = ft_findings_text(row, "verdict"), *remedy = ft_findings_text(row, "remedy");
    count_verdict(t, verdict);
    FT_TRY(ft_text_printf(t->out, "  %-4s  %-*s  %s", verdict, t->names, ft_findings_text(row, "check"), ft_findings_text(row, "found")));
    FT_TRY(end_line(t->out, begin));
    if (*remedy == 0) return FT_OK;
    begin = t->out->length;
    FT_TRY(ft_text_printf(t->out, "        %*s  -> %s", t->names, "", remedy));
    return end_line(t->out, begin);
}

static ft_status print_checks(table *t, const json_t *checks)
{
    size_t i;
    json_t *row;
    const char *group = "";
    t->names = longest_name(checks);
    json_array_foreach(checks, i, row) {
        size_t begin = t->out->length;
        if (strcmp(group, ft_findings_text(row, "group")) != 0) {
            FT_TRY(ft_text_puts(t->out, group = ft_findings_text(row, "group")));
            FT_TRY(end_line(t->out, begin));
        }
        FT_TRY(print_row(t, row));
    }
    return FT_OK;
}

static ft_status print_counts(const table *t)
{
    return ft_text_printf(t->out, "%d ok, %d note%s, %d failed\n", t->count[0], t->count[1], t->count[1] == 1 ? "" : "s", t->count[2]);
}

ft_status ft_doctor_print(const json_t *report, ft_text *out)
{
    size_t i;
    json_t *host;
    table t = {.out = out};
    json_array_foreach(json_object_get(report, "hosts"), i, host) {
        FT_TRY(ft_text_printf(out, "==== %s\n", ft_findings_text(host, "host")));
        FT_TRY(print_checks(&t, json_object_get(host, "checks")));
    }
    if (json_object_get(report, "hosts")) FT_TRY(ft_text_puts(out, "==== all hosts\n"));
    FT_TRY(print_checks(&t, json_object_get(report, "checks")));
    return print_counts(&t);
}

// "HOST: " is said where there are several.
static ft_status add_failed(const json_t *report, bool name_host, ft_text *names)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(report, "checks"), i, row) {
        if (strcmp(ft_findings_text(row, "verdict"), "FAIL") != 0) continue;
        FT_TRY(ft_text_printf(names, "%s%s%s%s", names->length ? ", " : "", name_host ? ft_findings_text(report, "host") : "", name_host ? ": " : "",
                              ft_findings_text(row, "check")));
    }
    return FT_OK;
}

static ft_status all_failed(const json_t *report, ft_text *names)
{
    size_t i;
    json_t *host;
    json_array_foreach(json_object_get(report, "hosts"), i, host) FT_TRY(add_failed(host, true, names));
    return add_failed(report, false, names);
}

ft_status ft_doctor_verdict(const json_t *report)
{
    ft_text names = {0};
    ft_status status = all_failed(report, &names);
    if (status == FT_OK && names.length) status = ft_error(FT_E_INPUT, "doctor: a run would fail: %.800s; the table says what to do", names.data);
    ft_text_free(&names);
    return status;
}
