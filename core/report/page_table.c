// What the page says in tables and text: it stands there without any script.
#include <math.h>
#include <string.h>

#include "report/page_internal.h"

// --- Cards ------------------------------------------------------------------------------------------------------------------
// Where the steps' time went, as one bar.
static ft_status add_time(const ft_report_summary *s, ft_text *out)
{
    const struct {
        const char *name, *color;
        double share;
    } parts[] = {{"compute", "hbm", s->compute_share},
                 {"waited for the link to the device", "host", s->stall_h2d_share},
                 {"waited for drives", "nvme", s->stall_nvme_share},
                 {"waited for spilled layer inputs", "spill", s->stall_spill_share},
                 {"between steps' work", "working", 1 - s->compute_share - s->stall_share}};
    if (!ft_report_knows_time(s)) return FT_OK;
    FT_TRY(ft_text_puts(out, "<div class=\"time\">"));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].share > 0)
            FT_TRY(ft_text_printf(out, "<span class=\"part %s\" style=\"flex: %.5f 1 0\" title=\"%s: %.1f %%\"></span>", parts[i].color,
                                  parts[i].share, parts[i].name, 100 * parts[i].share));
    FT_TRY(ft_text_puts(out, "</div><p>"));
    FT_TRY(ft_report_describe_time(s, out));
    return ft_text_puts(out, "</p>");
}

static ft_status add_findings(const ft_report_findings *findings, ft_text *out)
{
    if (findings->n == 0) return FT_OK;
    FT_TRY(ft_text_puts(out, "<ul>"));
    for (int f = 0; f < findings->n; f++) {
        FT_TRY(ft_text_puts(out, findings->finding[f].bad ? "<li class=\"bad\">" : "<li>"));
        FT_TRY(ft_page_escape(findings->finding[f].text.data, out));
        FT_TRY(ft_text_puts(out, "</li>"));
    }
    return ft_text_puts(out, "</ul>");
}

static ft_status add_card(const ft_report *report, int run, ft_text *out)
{
    const ft_report_entry *entry = &report->entry[run];
    ft_text what = {0};
    FT_TRY(ft_text_printf(out, "<article class=\"card\"><h2><i class=\"swatch run%d\"></i>", run % 8));
    FT_TRY(ft_page_escape(entry->run.name, out));
    FT_TRY(ft_text_printf(out, " <span class=\"state\">%s</span></h2><p>", ft_report_state(report, run)));
    ft_status status = ft_report_describe(&entry->run, &what);
    if (status == FT_OK) status = ft_page_escape(what.data, out);
    ft_text_free(&what);
    FT_TRY(status);
    FT_TRY(ft_text_puts(out, "</p>"));
    FT_TRY(add_time(&entry->summary, out));
    FT_TRY(add_findings(&entry->findings, out));
    return ft_text_puts(out, "</article>\n");
}

ft_status ft_page_cards(const ft_report *report, ft_text *out)
{
    for (int i = 0; i < report->n; i++) FT_TRY(add_card(report, i, out));
    return FT_OK;
}

// --- Facts ------------------------------------------------------------------------------------------------------------------
static ft_status add_header(const ft_report *report, const char *first, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">%s</th>", first));
    for (int i = 0; i < report->n; i++) {
        FT_TRY(ft_text_printf(out, "<th scope=\"col\"><i class=\"swatch run%d\"></i>", i % 8));
        FT_TRY(ft_page_escape(report->entry[i].run.name, out));
        FT_TRY(ft_text_puts(out, "</th>"));
    }
    return ft_text_puts(out, "</tr></thead><tbody>\n");
}

static const char *delta_class(const ft_report_fact *fact, double value, double base)
{
    int better = ft_report_judge(fact, value, base);
    return better > 0 ? " good" : better < 0 ? " bad" : "";
}

static ft_status add_value(const ft_report *report, const ft_report_fact *fact, int run, ft_text *out)
{
    double value = ft_report_value(fact, &report->entry[run].summary), base = ft_report_value(fact, &report->entry[0].summary);
    char number[FT_REPORT_NUMBER], delta[FT_REPORT_NUMBER];
    FT_TRY(ft_text_printf(out, "<td>%s", ft_report_format(number, fact->unit, value)));
    if (run > 0 && *ft_report_delta(delta, fact->unit, value, base))
        FT_TRY(ft_text_printf(out, " <span class=\"delta%s\">%s</span>", delta_class(fact, value, base), delta));
    return ft_text_puts(out, "</td>");
}

// Of the runs at least one knows it.
static bool is_known(const ft_report *report, const ft_report_fact *fact)
{
    for (int i = 0; i < report->n; i++)
        if (isfinite(ft_report_value(fact, &report->entry[i].summary))) return true;
    return false;
}

static ft_status add_facts(const ft_report *report, bool all, ft_text *out)
{
    FT_TRY(add_header(report, "", out));
    for (size_t f = 0; f < ft_report_fact_count; f++) {
        const ft_report_fact *fact = &ft_report_facts[f];
        if (!is_known(report, fact) || (!all && fact->rank != FT_RANK_MAIN)) continue;
        FT_TRY(ft_text_printf(out, "<tr><th scope=\"row\"%s>%s</th>", fact->rank == FT_RANK_DETAIL ? " class=\"sub\"" : "", fact->label));
        for (int i = 0; i < report->n; i++) FT_TRY(add_value(report, fact, i, out));
        FT_TRY(ft_text_puts(out, "</tr>\n"));
    }
    return ft_text_puts(out, "</tbody></table></div>\n");
}

ft_status ft_page_summary(const ft_report *report, ft_text *out)
{
    FT_TRY(add_facts(report, false, out));
    FT_TRY(ft_text_puts(out, "<details><summary>All numbers</summary>\n"));
    FT_TRY(add_facts(report, true, out));
    return ft_text_puts(out, "</details>\n");
}

// --- Configuration ----------------------------------------------------------------------------------------------------------
static ft_status add_difference(const ft_report *report, const char *key, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "<tr><th scope=\"row\"><code>"));
    FT_TRY(ft_page_escape(key, out));
    FT_TRY(ft_text_puts(out, "</code></th>"));
    for (int i = 0; i < report->n; i++) {
        FT_TRY(ft_text_puts(out, "<td class=\"text\">"));
        FT_TRY(ft_page_escape(ft_report_config_value(&report->entry[i].run, key), out));
        FT_TRY(ft_text_puts(out, "</td>"));
    }
    return ft_text_puts(out, "</tr>\n");
}

static ft_status add_differences(const ft_report *report, ft_text *out)
{
    int run = 0;
    int64_t line = -1;
    const char *key = ft_report_next_difference(report, &run, &line);
    if (key == NULL) return ft_text_puts(out, "<p>The runs have the same configuration, where their files lie aside.</p>\n");
    FT_TRY(add_header(report, "key", out));
    for (; key != NULL; key = ft_report_next_difference(report, &run, &line)) FT_TRY(add_difference(report, key, out));
    return ft_text_puts(out, "</tbody></table></div>\n");
}

static ft_status add_keys(const ft_report_run *run, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "<details><summary>Every key of "));
    FT_TRY(ft_page_escape(run->name, out));
    FT_TRY(ft_text_puts(out, "</summary><div class=\"wide\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">key</th><th scope=\"col\" class=\"text\">value</th>"
                             "<th scope=\"col\" class=\"text\">from</th></tr></thead><tbody>\n"));
    for (int64_t k = 0; k < run->config.n; k++) {
        const ft_config_line *line = &run->config.line[k];
        const char *cells[] = {"<tr><th scope=\"row\"><code>", line->key, "</code></th><td class=\"text\">", line->value, "</td><td class=\"text dim\">", line->source};
        for (size_t c = 0; c < sizeof cells / sizeof cells[0]; c++) FT_TRY(c % 2 ? ft_page_escape(cells[c], out) : ft_text_puts(out, cells[c]));
        FT_TRY(ft_text_puts(out, "</td></tr>\n"));
    }
    return ft_text_puts(out, "</tbody></table></div></details>\n");
}

ft_status ft_page_config(const ft_report *report, ft_text *out)
{
    if (report->n > 1) FT_TRY(add_differences(report, out));
    for (int i = 0; i < report->n; i++) {
        if (report->entry[i].run.config.n > 0) FT_TRY(add_keys(&report->entry[i].run, out));
        else FT_TRY(ft_text_puts(out, "<p>A run without config.resolved.yaml: its settings are not known.</p>\n"));
    }
    return FT_OK;
}
