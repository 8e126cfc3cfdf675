// The terminal's view: a block of a few lines for each run.
#include <math.h>

#include "common/memory.h"
#include "report/report.h"

#define SPARK_COLUMNS 60
#define STRONG "\033[1m"
#define DIM "\033[2m"
#define WARN "\033[33m"
#define PLAIN "\033[0m"

typedef struct {
    const ft_report *report;
    const ft_report_entry *entry;
    int index;
    ft_report_style style;
    ft_text *out;
} block;

static ft_status print_label(const block *b, const char *label)
{
    return ft_text_printf(b->out, "  %s%-10s%s ", b->style.color ? DIM : "", label, b->style.color ? PLAIN : "");
}

static const char *text_of(char buffer[FT_REPORT_NUMBER], ft_report_unit unit, double value)
{
    return ft_report_format(buffer, unit, value);
}

static ft_status print_title(const block *b)
{
    const ft_report_run *run = &b->entry->run;
    return ft_text_printf(b->out, "%s%s%s  %s\n", b->style.color ? STRONG : "", run->name, b->style.color ? PLAIN : "",
                          ft_report_state(b->report, b->index));
}

static ft_status print_model(const block *b)
{
    FT_TRY(print_label(b, "model"));
    FT_TRY(ft_report_describe(&b->entry->run, b->out));
    return ft_text_puts(b->out, "\n");
}

static ft_status print_steps(const block *b)
{
    const ft_report_summary *s = &b->entry->summary;
    char steps[FT_REPORT_NUMBER], epochs[FT_REPORT_NUMBER], tokens[FT_REPORT_NUMBER], trained[FT_REPORT_NUMBER], wall[FT_REPORT_NUMBER], in_steps[FT_REPORT_NUMBER];
    FT_TRY(print_label(b, "steps"));
    return ft_text_printf(b->out, "%s (%s epochs), %s tokens, %s of them trained; %s, %s of it in steps\n", text_of(steps, FT_UNIT_COUNT, s->steps),
                          text_of(epochs, FT_UNIT_DECIMAL, s->epochs), text_of(tokens, FT_UNIT_COUNT, s->tokens), text_of(trained, FT_UNIT_COUNT, s->trained_tokens),
                          text_of(wall, FT_UNIT_SECONDS, s->wall_s), text_of(in_steps, FT_UNIT_SECONDS, s->step_sum_s));
}

static ft_status print_spark(const block *b)
{
    const ft_report_run *run = &b->entry->run;
    double *loss = FT_NEW_ARRAY(double, run->n_steps);
    FT_ALLOC_CHECK(loss);
    for (int64_t i = 0; i < run->n_steps; i++) loss[i] = run->step[i].value[FT_COLUMN_LOSS];
    ft_status status = print_label(b, "");
    if (status == FT_OK) status = ft_report_spark(loss, run->n_steps, SPARK_COLUMNS, b->style.unicode, b->out);
    if (status == FT_OK) status = ft_text_puts(b->out, "\n");
    ft_free(loss);
    return status;
}

static ft_status print_loss(const block *b)
{
    const ft_report_summary *s = &b->entry->summary;
    char first[FT_REPORT_NUMBER], last[FT_REPORT_NUMBER], least[FT_REPORT_NUMBER];
    FT_TRY(print_label(b, "loss"));
    if (isnan(s->loss_least)) return ft_text_puts(b->out, "none is finite\n");
    FT_TRY(ft_text_printf(b->out, "%s -> %s, least %s at step %.0f (means of %.0f steps)\n", text_of(first, FT_UNIT_LOSS, s->loss_first),
                          text_of(last, FT_UNIT_LOSS, s->loss_last), text_of(least, FT_UNIT_LOSS, s->loss_least), s->loss_least_step, s->window));
    return print_spark(b);
}

static ft_status print_eval(const block *b)
{
    const ft_report_summary *s = &b->entry->summary;
    char first[FT_REPORT_NUMBER], best[FT_REPORT_NUMBER], last[FT_REPORT_NUMBER];
    if (isnan(s->eval_first)) return FT_OK;
    FT_TRY(print_label(b, "eval loss"));
    if (b->entry->run.n_evals == 1) return ft_text_printf(b->out, "%s at step %.0f\n", text_of(last, FT_UNIT_LOSS, s->eval_last), s->eval_last_step);
    return ft_text_printf(b->out, "%s -> %s at step %.0f, best %s at step %.0f\n", text_of(first, FT_UNIT_LOSS, s->eval_first),
                          text_of(last, FT_UNIT_LOSS, s->eval_last), s->eval_last_step, text_of(best, FT_UNIT_LOSS, s->eval_best), s->eval_best_step);
}

static ft_status print_speed(const block *b)
{
    const ft_report_summary *s = &b->entry->summary;
    char rate[FT_REPORT_NUMBER], step[FT_REPORT_NUMBER], planned[FT_REPORT_NUMBER];
    FT_TRY(print_label(b, "speed"));
    FT_TRY(ft_text_printf(b->out, "%s tokens/s; a step %s (medians)", text_of(rate, FT_UNIT_RATE, s->tokens_per_s), text_of(step, FT_UNIT_SECONDS, s->step_s)));
    if (isfinite(s->plan_ratio))
        FT_TRY(ft_text_printf(b->out, ", planned %s: %.2f times the plan's speed", text_of(planned, FT_UNIT_SECONDS, s->plan_step_s), s->plan_ratio));
    return ft_text_puts(b->out, "\n");
}

static ft_status print_memory(const block *b)
{
    const ft_report_summary *s = &b->entry->summary;
    char hbm[FT_REPORT_NUMBER], limit[FT_REPORT_NUMBER], pinned[FT_REPORT_NUMBER], drives[FT_REPORT_NUMBER];
    FT_TRY(print_label(b, "memory"));
    FT_TRY(ft_text_printf(b->out, "device %s", text_of(hbm, FT_UNIT_BYTES, s->hbm_peak)));
    if (isfinite(s->limit[FT_HOME_HBM])) FT_TRY(ft_text_printf(b->out, " of %s", text_of(limit, FT_UNIT_BYTES, s->limit[FT_HOME_HBM])));
    FT_TRY(ft_text_printf(b->out, ", pinned host %s", text_of(pinned, FT_UNIT_BYTES, s->pinned_peak)));
    if (isfinite(s->planned[FT_HOME_NVME])) FT_TRY(ft_text_printf(b->out, ", drives %s (planned)", text_of(drives, FT_UNIT_BYTES, s->planned[FT_HOME_NVME])));
    return ft_text_puts(b->out, "\n");
}

static ft_status print_links(const block *b)
{
    static const char *const names[FT_LINK_COUNT] = {"h2d", "d2h", "nvme"};
    const char *separator = "";
    FT_TRY(print_label(b, "moved"));
    for (int l = 0; l < FT_LINK_COUNT; l++) {
        const ft_report_traffic *link = &b->entry->summary.link[l];
        char moved[FT_REPORT_NUMBER], rate[FT_REPORT_NUMBER];
        if (!(link->moved > 0)) continue;
        FT_TRY(ft_text_printf(b->out, "%s%s %s a step at %s", separator, names[l], text_of(moved, FT_UNIT_BYTES, link->moved),
                              text_of(rate, FT_UNIT_BYTES_PER_S, link->rate)));
        if (isfinite(link->planned_rate)) FT_TRY(ft_text_printf(b->out, " (plan %.2f)", link->planned_rate / 1e9));
        separator = ", ";
    }
    return ft_text_puts(b->out, *separator ? "\n" : "nothing\n");
}

static ft_status print_time(const block *b)
{
    const ft_report_summary *s = &b->entry->summary;
    if (!ft_report_knows_time(s)) return FT_OK;
    FT_TRY(print_label(b, "time"));
    FT_TRY(ft_report_describe_time(s, b->out));
    if (s->worst_drive >= 0 && s->worst_drive_s > 0) FT_TRY(ft_text_printf(b->out, ", most for %s", b->entry->run.drive[s->worst_drive]));
    return ft_text_puts(b->out, "\n");
}

static ft_status print_findings(const block *b)
{
    const ft_report_findings *findings = &b->entry->findings;
    for (int i = 0; i < findings->n; i++) {
        const ft_report_finding *finding = &findings->finding[i];
        bool color = finding->bad && b->style.color;
        FT_TRY(print_label(b, i == 0 ? "look at" : ""));
        FT_TRY(ft_text_printf(b->out, "%s%s%s\n", color ? WARN : "", finding->text.data, color ? PLAIN : ""));
    }
    return FT_OK;
}

static ft_status print_block(const block *b)
{
    static ft_status (*const lines[])(const block *b) = {print_steps, print_loss, print_eval, print_speed, print_memory, print_links, print_time};
    FT_TRY(print_title(b));
    FT_TRY(print_model(b));
    for (size_t i = 0; b->entry->run.n_steps > 0 && i < sizeof lines / sizeof lines[0]; i++) FT_TRY(lines[i](b));
    return print_findings(b);
}

ft_status ft_report_print(const ft_report *report, ft_report_style style, ft_text *out)
{
    for (int i = 0; i < report->n; i++) {
        block b = {report, &report->entry[i], i, style, out};
        if (i > 0) FT_TRY(ft_text_puts(out, "\n"));
        FT_TRY(print_block(&b));
    }
    return report->n > 1 ? ft_report_print_comparison(report, style, out) : FT_OK;
}
