// Several runs side by side: the compared facts, each with its difference from the first run, and the config keys that differ.
#include <string.h>

#include "report/report.h"

#define RUNS_BESIDE 4  // columns of a table; more runs take further tables, each beginning with the first run
#define LABEL_WIDTH 24
#define COLUMN_WIDTH 26
#define GOOD "\033[32m"
#define BAD "\033[31m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

typedef struct {
    const ft_report *report;
    ft_report_style style;
    ft_text *out;
    int column[RUNS_BESIDE], n;
} table;

static bool is_inside_character(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

// Fills up with blanks to `width` characters.
static ft_status print_padded(const table *t, const char *text, int width)
{
    for (const char *c = text; *c; c++) width += is_inside_character(*c);
    return ft_text_printf(t->out, "%-*s", width, text);
}

// Cut to the column, where it is too long in front: ends of paths differ.
static ft_status print_cell(const table *t, const char *text, int width)
{
    int characters = 0;
    for (const char *c = text; *c; c++) characters += !is_inside_character(*c);
    if (characters < width - 1) return print_padded(t, text, width);
    while (characters > width - 5 || is_inside_character(*text)) characters -= !is_inside_character(*text++);
    FT_TRY(ft_text_puts(t->out, "..."));
    return print_padded(t, text, width - 3);
}

static const char *delta_color(const table *t, const ft_report_fact *fact, double value, double base)
{
    if (!t->style.color) return "";
    int better = ft_report_judge(fact, value, base);
    return better > 0 ? GOOD : better < 0 ? BAD : DIM;
}

static ft_status print_value(const table *t, const ft_report_fact *fact, int run)
{
    double value = ft_report_value(fact, &t->report->entry[run].summary), base = ft_report_value(fact, &t->report->entry[0].summary);
    char number[FT_REPORT_NUMBER], delta[FT_REPORT_NUMBER];
    ft_report_format(number, fact->unit, value);
    if (run > 0) ft_report_delta(delta, fact->unit, value, base);
    else delta[0] = 0;
    return ft_text_printf(t->out, "%-13s%s%-*s%s", number, delta_color(t, fact, value, base), COLUMN_WIDTH - 13, delta, t->style.color ? PLAIN : "");
}

// Ends a row: without the blanks its last column was filled with.
static ft_status end_row(const table *t)
{
    while (t->out->length > 0 && t->out->data[t->out->length - 1] == ' ') t->out->length--;
    return ft_text_puts(t->out, "\n");
}

static ft_status print_header(const table *t)
{
    FT_TRY(ft_text_printf(t->out, "\n%-*s", LABEL_WIDTH, ""));
    for (int c = 0; c < t->n; c++) FT_TRY(print_cell(t, t->report->entry[t->column[c]].run.name, COLUMN_WIDTH));
    return end_row(t);
}

static ft_status print_facts(const table *t)
{
    for (size_t f = 0; f < ft_report_fact_count; f++) {
        if (ft_report_facts[f].rank != FT_RANK_MAIN) continue;
        FT_TRY(ft_text_printf(t->out, "%-*s", LABEL_WIDTH, ft_report_facts[f].label));
        for (int c = 0; c < t->n; c++) FT_TRY(print_value(t, &ft_report_facts[f], t->column[c]));
        FT_TRY(end_row(t));
    }
    return FT_OK;
}

static ft_status print_config(const table *t)
{
    int run = 0;
    int64_t line = -1;
    for (const char *key; (key = ft_report_next_difference(t->report, &run, &line)) != NULL;) {
        FT_TRY(print_cell(t, key, LABEL_WIDTH));
        for (int c = 0; c < t->n; c++) FT_TRY(print_cell(t, ft_report_config_value(&t->report->entry[t->column[c]].run, key), COLUMN_WIDTH));
        FT_TRY(end_row(t));
    }
    return FT_OK;
}

ft_status ft_report_print_comparison(const ft_report *report, ft_report_style style, ft_text *out)
{
    for (int next = 1; next < report->n; next += RUNS_BESIDE - 1) {
        table t = {.report = report, .style = style, .out = out, .n = 1};
        while (t.n < RUNS_BESIDE && next + t.n - 1 < report->n) {
            t.column[t.n] = next + t.n - 1;
            t.n++;
        }
        FT_TRY(print_header(&t));
        FT_TRY(print_facts(&t));
        FT_TRY(print_config(&t));
    }
    return FT_OK;
}
