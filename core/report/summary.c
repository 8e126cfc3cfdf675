#include "report/summary.h"

#include <math.h>
#include <stdlib.h>

#include "common/memory.h"

static double at(const ft_report_run *run, int64_t i, ft_report_column column)
{
    return run->step[i].value[column];
}

// The next two are NaN where no step has the number.
static double sum(const ft_report_run *run, ft_report_column column)
{
    double total = NAN;
    for (int64_t i = 0; i < run->n_steps; i++)
        if (isfinite(at(run, i, column))) total = (isnan(total) ? 0 : total) + at(run, i, column);
    return total;
}

static double most(const ft_report_run *run, ft_report_column column)
{
    double value = NAN;
    for (int64_t i = 0; i < run->n_steps; i++) value = fmax(value, at(run, i, column));
    return value;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ft_report_median(double *values, int64_t n)
{
    int64_t finite = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(values[i])) values[finite++] = values[i];
    if (finite == 0) return NAN;
    qsort(values, (size_t)finite, sizeof *values, ascending);
    return (values[(finite - 1) / 2] + values[finite / 2]) / 2;
}

static double median(const ft_report_run *run, ft_report_column column, double *scratch)
{
    for (int64_t i = 0; i < run->n_steps; i++) scratch[i] = at(run, i, column);
    return ft_report_median(scratch, run->n_steps);
}

void ft_report_smooth(const ft_report_run *run, int64_t window, double *smoothed)
{
    double total = 0;
    int64_t held = 0, oldest = 0;
    for (int64_t i = 0; i < run->n_steps; i++) {
        double loss = at(run, i, FT_COLUMN_LOSS);
        if (isfinite(loss)) {
            total += loss;
            held++;
        }
        for (; held > window; oldest++) {
            if (!isfinite(at(run, oldest, FT_COLUMN_LOSS))) continue;
            total -= at(run, oldest, FT_COLUMN_LOSS);
            held--;
        }
        smoothed[i] = held > 0 ? total / (double)held : NAN;
    }
}

// The least mean counts whole windows only, so that one lucky first step is none.
static void read_loss(ft_report_summary *s, const ft_report_run *run, double *smoothed)
{
    int64_t n = run->n_steps, window = n / 50 > 10 ? n / 50 : 10;
    s->window = (double)(window < n ? window : n);
    ft_report_smooth(run, window, smoothed);
    for (int64_t i = 0; i < n; i++) {
        if (isnan(s->loss_first)) s->loss_first = smoothed[i];
        if (isfinite(smoothed[i])) s->loss_last = smoothed[i];
        if (i + 1 < (int64_t)s->window || !isfinite(smoothed[i]) || !(isnan(s->loss_least) || smoothed[i] < s->loss_least)) continue;
        s->loss_least = smoothed[i];
        s->loss_least_step = at(run, i, FT_COLUMN_STEP);
    }
}

static void read_evals(ft_report_summary *s, const ft_report_run *run)
{
    for (int64_t i = 0; i < run->n_evals; i++) {
        const ft_report_eval *eval = &run->eval[i];
        if (!isfinite(eval->loss)) continue;
        if (isnan(s->eval_first)) s->eval_first = eval->loss;
        if (isnan(s->eval_best) || eval->loss < s->eval_best) {
            s->eval_best = eval->loss;
            s->eval_best_step = eval->step;
        }
        s->eval_last = eval->loss;
        s->eval_last_step = eval->step;
    }
}

// Busy shares stand per step: their mean is weighted by the steps' seconds.
static double busy_seconds(const ft_report_run *run, ft_report_column column)
{
    double total = NAN;
    for (int64_t i = 0; i < run->n_steps; i++) {
        double value = at(run, i, column) * at(run, i, FT_COLUMN_STEP_S);
        if (isfinite(value)) total = (isnan(total) ? 0 : total) + value;
    }
    return total;
}

static void read_links(ft_report_summary *s, const ft_report_run *run, double *scratch)
{
    static const ft_report_column bytes[FT_LINK_COUNT] = {FT_COLUMN_H2D_BYTES, FT_COLUMN_D2H_BYTES, FT_COLUMN_NVME_BYTES};
    static const ft_report_column busy[FT_LINK_COUNT] = {FT_COLUMN_H2D_BUSY, FT_COLUMN_D2H_BUSY, FT_COLUMN_NVME_BUSY};
    for (int l = 0; l < FT_LINK_COUNT; l++) {
        double seconds = busy_seconds(run, busy[l]), moved = sum(run, bytes[l]);
        s->link[l].moved = median(run, bytes[l], scratch);
        s->link[l].rate = seconds > 0 && moved > 0 ? moved / seconds : NAN;
        s->link[l].busy = seconds / s->step_sum_s;
    }
}

static ft_status read_worst_drive(ft_report_summary *s, const ft_report_run *run)
{
    if (run->n_drives == 0) return FT_OK;
    double *waited = FT_NEW_ARRAY(double, run->n_drives);
    FT_ALLOC_CHECK(waited);
    for (int64_t i = 0; i < run->n_steps; i++)
        if (run->step[i].drive >= 0 && isfinite(at(run, i, FT_COLUMN_STALL_NVME_S)))
            waited[run->step[i].drive] += at(run, i, FT_COLUMN_STALL_NVME_S);
    for (int d = 0; d < run->n_drives; d++)
        if (s->worst_drive < 0 || waited[d] > waited[s->worst_drive]) s->worst_drive = d;
    s->worst_drive_s = waited[s->worst_drive];
    ft_free(waited);
    return FT_OK;
}

static void read_times(ft_report_summary *s, const ft_report_run *run, double *scratch)
{
    const int64_t last = run->n_steps - 1;
    s->step_sum_s = run->step[last].seconds_so_far;
    s->wall_s = at(run, last, FT_COLUMN_TIME) - at(run, 0, FT_COLUMN_TIME) + at(run, 0, FT_COLUMN_STEP_S);
    if (s->wall_s < s->step_sum_s) s->wall_s = s->step_sum_s;  // times are whole seconds
    s->tokens_per_s = median(run, FT_COLUMN_TOKENS_PER_S, scratch);
    s->step_s = median(run, FT_COLUMN_STEP_S, scratch);
    s->plan_ratio = s->plan_step_s / s->step_s;
    s->compute_share = busy_seconds(run, FT_COLUMN_COMPUTE_BUSY) / s->step_sum_s;
    s->stall_share = sum(run, FT_COLUMN_STALL_S) / s->step_sum_s;
    s->stall_h2d_share = sum(run, FT_COLUMN_STALL_H2D_S) / s->step_sum_s;
    s->stall_nvme_share = sum(run, FT_COLUMN_STALL_NVME_S) / s->step_sum_s;
    s->stall_spill_share = sum(run, FT_COLUMN_STALL_SPILL_S) / s->step_sum_s;
    read_links(s, run, scratch);
}

static void read_counts(ft_report_summary *s, const ft_report_run *run)
{
    s->steps = at(run, run->n_steps - 1, FT_COLUMN_STEP);
    s->epochs = at(run, run->n_steps - 1, FT_COLUMN_EPOCH);
    s->tokens = sum(run, FT_COLUMN_TOKENS);
    s->trained_tokens = sum(run, FT_COLUMN_TRAINABLE);
    s->hbm_peak = most(run, FT_COLUMN_HBM_BYTES);
    s->pinned_peak = most(run, FT_COLUMN_PINNED_BYTES);
    for (int64_t i = 0; i < run->n_steps; i++)
        s->skipped += !isfinite(at(run, i, FT_COLUMN_LOSS)) || !isfinite(at(run, i, FT_COLUMN_GRAD_NORM));
}

ft_status ft_report_summarize(ft_report_summary *s, const ft_report_run *run)
{
    double *numbers = (double *)s;
    *s = (ft_report_summary){0};
    for (size_t i = 0; i < offsetof(ft_report_summary, skipped) / sizeof(double); i++) numbers[i] = NAN;
    s->worst_drive = -1;
    s->steps = 0;
    ft_report_plan_numbers(s, run->plan);
    read_evals(s, run);
    if (run->n_steps == 0) return FT_OK;
    double *scratch = FT_NEW_ARRAY(double, run->n_steps);
    FT_ALLOC_CHECK(scratch);
    read_loss(s, run, scratch);
    read_times(s, run, scratch);
    read_counts(s, run);
    ft_free(scratch);
    return read_worst_drive(s, run);
}
