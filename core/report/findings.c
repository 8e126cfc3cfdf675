// The rules. Each adds a sentence to `out` where it applies. Their bounds:
//   spike      a loss over 6 standard deviations (from the median absolute deviation) and a quarter above the median of the
//              SPIKE_STEPS finite ones before it
//   waiting    the compute stood still for 5 % of the steps' time
//   drift      the median speed of the last quarter of the steps is 10 % below that of the first
//   plan       a step takes 25 % longer than planned
//   pause      between two steps passed over a minute and 20 steps' time beside the step itself
//   worse      the last eval loss is 2 % above the best
#include "report/findings.h"

#include <math.h>
#include <string.h>

#include "common/memory.h"

#define SPIKE_STEPS 32
#define SPIKE_DEVIATIONS 6
#define SPIKE_PART 1.25
#define WAITING_SHARE 0.05
#define DRIFT_PART 0.1
#define DRIFT_STEPS 40
#define PLAN_PART 1.25
#define PAUSE_S 60
#define PAUSE_STEPS 20
#define WORSE_PART 1.02

typedef struct {
    const ft_report_run *run;
    const ft_report_summary *summary;
    ft_text *out;
} context;

static double at(const ft_report_run *run, int64_t i, ft_report_column column)
{
    return run->step[i].value[column];
}

static const char *plural(double n)
{
    return n == 1 ? "" : "s";
}

static ft_status find_skipped(const context *c)
{
    for (int64_t i = 0; i < c->run->n_steps; i++) {
        if (isfinite(at(c->run, i, FT_COLUMN_LOSS)) && isfinite(at(c->run, i, FT_COLUMN_GRAD_NORM))) continue;
        return ft_text_printf(c->out, "%.0f step%s with a loss or gradient that is not finite, first at step %.0f: nothing was learnt there",
                              c->summary->skipped, plural(c->summary->skipped), at(c->run, i, FT_COLUMN_STEP));
    }
    return FT_OK;
}

static ft_status find_divergence(const context *c)
{
    const ft_report_summary *s = c->summary;
    if (c->run->n_steps < 2 || !(s->loss_last > s->loss_first)) return FT_OK;
    return ft_text_printf(c->out, "the loss ends above where it began (%.4f after %.4f): lower learning_rate or look at the data", s->loss_last,
                          s->loss_first);
}

// Whether `loss` stands out of the `n` before it; *center is their median.
static bool is_spike(const double *before, int64_t n, double loss, double *center)
{
    double sorted[SPIKE_STEPS];
    memcpy(sorted, before, (size_t)n * sizeof *before);
    *center = ft_report_median(sorted, n);
    for (int64_t i = 0; i < n; i++) sorted[i] = fabs(before[i] - *center);
    double deviation = 1.4826 * ft_report_median(sorted, n);
    return loss > *center + SPIKE_DEVIATIONS * deviation && loss > SPIKE_PART * *center;
}

static ft_status find_spikes(const context *c)
{
    double before[SPIKE_STEPS], center, worst = 0, worst_center = 0, worst_step = 0, spikes = 0;
    int64_t held = 0;
    for (int64_t i = 0; i < c->run->n_steps; i++) {
        double loss = at(c->run, i, FT_COLUMN_LOSS);
        if (!isfinite(loss)) continue;
        if (held == SPIKE_STEPS && is_spike(before, held, loss, &center)) {
            spikes++;
            if (loss - center > worst - worst_center) {
                worst = loss;
                worst_center = center;
                worst_step = at(c->run, i, FT_COLUMN_STEP);
            }
        }
        if (held == SPIKE_STEPS) memmove(before, before + 1, (size_t)--held * sizeof *before);
        before[held++] = loss;
    }
    if (spikes == 0) return FT_OK;
    return ft_text_printf(c->out, "the loss of %.0f step%s stands out of those before, most at step %.0f (%.4f after about %.4f)", spikes, plural(spikes),
                          worst_step, worst, worst_center);
}

static ft_status find_waiting(const context *c)
{
    const ft_report_summary *s = c->summary;
    const struct {
        const char *cause;
        double share;
    } parts[] = {{"the link", s->stall_h2d_share}, {"drives", s->stall_nvme_share}, {"spilled layer inputs", s->stall_spill_share}};
    const char *before = ": ";
    if (!(s->stall_share > WAITING_SHARE)) return FT_OK;
    FT_TRY(ft_text_printf(c->out, "the compute waited %.1f %% of the time", 100 * s->stall_share));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!isfinite(parts[i].share)) continue;
        FT_TRY(ft_text_printf(c->out, "%s%.1f %% for %s", before, 100 * parts[i].share, parts[i].cause));
        before = ", ";
    }
    if (s->worst_drive < 0 || !(s->worst_drive_s > 0)) return FT_OK;
    return ft_text_printf(c->out, "; the drive that cost most is %s", c->run->drive[s->worst_drive]);
}

static double median_of(const ft_report_run *run, int64_t begin, int64_t n, ft_report_column column, double *scratch)
{
    for (int64_t i = 0; i < n; i++) scratch[i] = at(run, begin + i, column);
    return ft_report_median(scratch, n);
}

static ft_status find_drift(const context *c)
{
    int64_t n = c->run->n_steps, quarter = n / 4;
    if (n < DRIFT_STEPS) return FT_OK;
    double *scratch = FT_NEW_ARRAY(double, quarter);
    FT_ALLOC_CHECK(scratch);
    double first = median_of(c->run, 0, quarter, FT_COLUMN_TOKENS_PER_S, scratch);
    double last = median_of(c->run, n - quarter, quarter, FT_COLUMN_TOKENS_PER_S, scratch);
    ft_free(scratch);
    if (!(last < (1 - DRIFT_PART) * first)) return FT_OK;
    return ft_text_printf(c->out, "it became %.0f %% slower over the run: %.0f tokens/s in the first quarter, %.0f in the last", 100 * (1 - last / first),
                          first, last);
}

static ft_status find_off_plan(const context *c)
{
    const ft_report_summary *s = c->summary;
    if (!(s->step_s > PLAN_PART * s->plan_step_s)) return FT_OK;
    return ft_text_printf(c->out, "a step takes %.2f times as long as planned (%.4g s, planned %.4g): other work on the machine, or rates to be measured "
                          "anew with ft-bench calibrate", s->step_s / s->plan_step_s, s->step_s, s->plan_step_s);
}

static ft_status find_pauses(const context *c)
{
    double longest = 0, before_step = 0, pauses = 0;
    for (int64_t i = 1; i < c->run->n_steps; i++) {
        double gap = at(c->run, i, FT_COLUMN_TIME) - at(c->run, i - 1, FT_COLUMN_TIME) - at(c->run, i, FT_COLUMN_STEP_S);
        if (!(gap > PAUSE_S && gap > PAUSE_STEPS * c->summary->step_s)) continue;
        pauses++;
        if (gap > longest) {
            longest = gap;
            before_step = at(c->run, i, FT_COLUMN_STEP);
        }
    }
    char human[FT_HUMAN_BYTES];
    if (pauses == 0) return FT_OK;
    return ft_text_printf(c->out, "%.0f pause%s between steps (resumed, or a long evaluation or save), the longest of %s before step %.0f", pauses,
                          plural(pauses), ft_human_seconds(human, longest), before_step);
}

static ft_status find_worse_eval(const context *c)
{
    const ft_report_summary *s = c->summary;
    if (!(s->eval_last > WORSE_PART * s->eval_best)) return FT_OK;
    return ft_text_printf(c->out, "the eval loss was best at step %.0f (%.4f) and rose to %.4f: a checkpoint near that step generalizes better",
                          s->eval_best_step, s->eval_best, s->eval_last);
}

static ft_status find_unreadable(const context *c)
{
    if (c->run->unreadable == 0) return FT_OK;
    return ft_text_printf(c->out, "%lld line%s of metrics.jsonl could not be read and %s left out", (long long)c->run->unreadable,
                          plural((double)c->run->unreadable), c->run->unreadable == 1 ? "was" : "were");
}

static ft_status find_no_plan(const context *c)
{
    return c->run->plan ? FT_OK : ft_text_printf(c->out, "there is no plan.json: nothing is compared with the plan");
}

static ft_status find_notes(const context *c)
{
    const ft_report_run *run = c->run;
    if (run->n_notes == 0) return FT_OK;
    const ft_report_note *last = &run->note[run->n_notes - 1];
    return ft_text_printf(c->out, "%lld note%s of the run itself, the last at step %.0f: %s", (long long)run->n_notes, plural((double)run->n_notes), last->step,
                          last->text);
}

static const struct {
    const char *rule;
    bool bad;
    ft_status (*find)(const context *c);
} rules[] = {
    {"non_finite", true, find_skipped}, {"divergence", true, find_divergence}, {"eval_rises", true, find_worse_eval},
    {"loss_spikes", true, find_spikes}, {"waiting", true, find_waiting},       {"slower_than_planned", true, find_off_plan},
    {"speed_drift", true, find_drift},  {"pauses", false, find_pauses},        {"unreadable_lines", true, find_unreadable},
    {"no_plan", false, find_no_plan},   {"notes", false, find_notes},
};
_Static_assert(sizeof rules / sizeof rules[0] <= FT_REPORT_FINDINGS, "room for every rule");

ft_status ft_report_find(ft_report_findings *findings, const ft_report_run *run, const ft_report_summary *summary)
{
    *findings = (ft_report_findings){0};
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        ft_report_finding *finding = &findings->finding[findings->n];
        *finding = (ft_report_finding){.rule = rules[r].rule, .bad = rules[r].bad};
        context c = {run, summary, &finding->text};
        ft_status status = rules[r].find(&c);
        findings->n += finding->text.length > 0;
        FT_TRY(status);
    }
    return FT_OK;
}

void ft_report_findings_free(ft_report_findings *findings)
{
    for (int i = 0; i < findings->n; i++) ft_text_free(&findings->finding[i].text);
    *findings = (ft_report_findings){0};
}
