#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "report/summary.h"

#define FACT(key, label, unit, better, rank, member) \
    {key, label, FT_UNIT_##unit, FT_BETTER_##better, FT_RANK_##rank, offsetof(ft_report_summary, member)}

const ft_report_fact ft_report_facts[] = {
    FACT("steps", "steps", COUNT, NEITHER, MAIN, steps),
    FACT("epochs", "epochs", DECIMAL, NEITHER, MAIN, epochs),
    FACT("tokens", "tokens", COUNT, NEITHER, MAIN, tokens),
    FACT("trained_tokens", "tokens trained", COUNT, NEITHER, MORE, trained_tokens),
    FACT("wall_s", "wall time", SECONDS, LOWER, MAIN, wall_s),
    FACT("step_sum_s", "of it in steps", SECONDS, LOWER, DETAIL, step_sum_s),
    FACT("loss_first", "first loss", LOSS, NEITHER, MORE, loss_first),
    FACT("loss_last", "last loss", LOSS, LOWER, MAIN, loss_last),
    FACT("loss_least", "least loss", LOSS, LOWER, MORE, loss_least),
    FACT("loss_least_step", "at step", COUNT, NEITHER, DETAIL, loss_least_step),
    FACT("loss_window", "steps a loss is the mean of", COUNT, NEITHER, DETAIL, window),
    FACT("eval_first", "first eval loss", LOSS, NEITHER, MORE, eval_first),
    FACT("eval_best", "best eval loss", LOSS, LOWER, MAIN, eval_best),
    FACT("eval_best_step", "at step", COUNT, NEITHER, DETAIL, eval_best_step),
    FACT("eval_last", "last eval loss", LOSS, LOWER, MAIN, eval_last),
    FACT("tokens_per_s", "tokens/s (median)", RATE, HIGHER, MAIN, tokens_per_s),
    FACT("step_s", "a step (median)", SECONDS, LOWER, MAIN, step_s),
    FACT("plan_step_s", "a step as planned", SECONDS, NEITHER, DETAIL, plan_step_s),
    FACT("plan_tokens_per_s", "tokens/s as planned, no slot empty", RATE, NEITHER, MORE, plan_tokens_per_s),
    FACT("plan_ratio", "speed against the plan", RATIO, HIGHER, MAIN, plan_ratio),
    FACT("compute_share", "time in compute", SHARE, HIGHER, MAIN, compute_share),
    FACT("stall_share", "compute waited", SHARE, LOWER, MAIN, stall_share),
    FACT("stall_h2d_share", "for the link to the device", SHARE, LOWER, DETAIL, stall_h2d_share),
    FACT("stall_nvme_share", "for drives", SHARE, LOWER, DETAIL, stall_nvme_share),
    FACT("stall_spill_share", "for spilled layer inputs", SHARE, LOWER, DETAIL, stall_spill_share),
    FACT("hbm_peak", "device memory", BYTES, LOWER, MAIN, hbm_peak),
    FACT("hbm_planned", "as planned", BYTES, NEITHER, DETAIL, planned[FT_HOME_HBM]),
    FACT("hbm_limit", "that it may use", BYTES, NEITHER, DETAIL, limit[FT_HOME_HBM]),
    FACT("pinned_peak", "pinned host memory", BYTES, LOWER, MAIN, pinned_peak),
    FACT("pinned_planned", "as planned", BYTES, NEITHER, DETAIL, planned_pinned),
    FACT("host_planned", "host memory in all, as planned", BYTES, NEITHER, MORE, planned[FT_HOME_HOST]),
    FACT("host_limit", "that it may use", BYTES, NEITHER, DETAIL, limit[FT_HOME_HOST]),
    FACT("nvme_planned", "drive space, as planned", BYTES, LOWER, MAIN, planned[FT_HOME_NVME]),
    FACT("nvme_limit", "that it may use", BYTES, NEITHER, DETAIL, limit[FT_HOME_NVME]),
    FACT("h2d_moved", "host to device a step", BYTES, LOWER, MAIN, link[FT_LINK_H2D].moved),
    FACT("h2d_planned", "as planned", BYTES, NEITHER, DETAIL, link[FT_LINK_H2D].planned),
    FACT("h2d_rate", "its rate while busy", BYTES_PER_S, HIGHER, DETAIL, link[FT_LINK_H2D].rate),
    FACT("h2d_planned_rate", "as planned", BYTES_PER_S, NEITHER, DETAIL, link[FT_LINK_H2D].planned_rate),
    FACT("h2d_busy", "busy", SHARE, NEITHER, DETAIL, link[FT_LINK_H2D].busy),
    FACT("d2h_moved", "device to host a step", BYTES, LOWER, MORE, link[FT_LINK_D2H].moved),
    FACT("d2h_planned", "as planned", BYTES, NEITHER, DETAIL, link[FT_LINK_D2H].planned),
    FACT("d2h_rate", "its rate while busy", BYTES_PER_S, HIGHER, DETAIL, link[FT_LINK_D2H].rate),
    FACT("d2h_planned_rate", "as planned", BYTES_PER_S, NEITHER, DETAIL, link[FT_LINK_D2H].planned_rate),
    FACT("d2h_busy", "busy", SHARE, NEITHER, DETAIL, link[FT_LINK_D2H].busy),
    FACT("nvme_moved", "read from drives a step", BYTES, LOWER, MAIN, link[FT_LINK_NVME].moved),
    FACT("nvme_moved_planned", "read and written, as planned", BYTES, NEITHER, DETAIL, link[FT_LINK_NVME].planned),
    FACT("nvme_rate", "their rate while busy", BYTES_PER_S, HIGHER, DETAIL, link[FT_LINK_NVME].rate),
    FACT("nvme_planned_rate", "as planned", BYTES_PER_S, NEITHER, DETAIL, link[FT_LINK_NVME].planned_rate),
    FACT("nvme_busy", "busy", SHARE, NEITHER, DETAIL, link[FT_LINK_NVME].busy),
    FACT("skipped", "steps with non-finite values", COUNT, LOWER, MORE, skipped),
};
const size_t ft_report_fact_count = sizeof ft_report_facts / sizeof ft_report_facts[0];

double ft_report_value(const ft_report_fact *fact, const ft_report_summary *summary)
{
    double value;
    memcpy(&value, (const char *)summary + fact->offset, sizeof value);
    return value;
}

// "1,234,567"; what no file counts is "1e+20".
static void format_count(char *buffer, double value)
{
    char digits[FT_REPORT_NUMBER];
    if (fabs(value) >= 1e15) {
        snprintf(buffer, FT_REPORT_NUMBER, "%.3g", value);
        return;
    }
    int n = snprintf(digits, sizeof digits, "%.0f", value), out = 0;
    for (int i = 0; i < n && out + 2 < FT_REPORT_NUMBER; i++) {
        buffer[out++] = digits[i];
        if ((n - i - 1) % 3 == 0 && i < n - 1 && digits[i] != '-') buffer[out++] = ',';
    }
    buffer[out] = 0;
}

static void format_seconds(char *buffer, double value)
{
    char human[FT_HUMAN_BYTES];
    if (value < 9.95) snprintf(buffer, FT_REPORT_NUMBER, "%#.3g s", value);
    else snprintf(buffer, FT_REPORT_NUMBER, "%s", ft_human_seconds(human, value));
}

char *ft_report_format(char buffer[FT_REPORT_NUMBER], ft_report_unit unit, double value)
{
    char human[FT_HUMAN_BYTES];
    if (!isfinite(value)) return strcpy(buffer, "-");
    switch (unit) {
    case FT_UNIT_COUNT: format_count(buffer, value); break;
    case FT_UNIT_RATE:
        if (value >= 100) format_count(buffer, value);
        else snprintf(buffer, FT_REPORT_NUMBER, "%.3g", value);
        break;
    case FT_UNIT_DECIMAL: snprintf(buffer, FT_REPORT_NUMBER, "%.2f", value); break;
    case FT_UNIT_LOSS: snprintf(buffer, FT_REPORT_NUMBER, fabs(value) < 1e-3 && value != 0 ? "%.3e" : "%.4f", value); break;
    case FT_UNIT_SECONDS: format_seconds(buffer, value); break;
    case FT_UNIT_RATIO: snprintf(buffer, FT_REPORT_NUMBER, "%.2fx", value); break;
    case FT_UNIT_SHARE: snprintf(buffer, FT_REPORT_NUMBER, "%.1f %%", 100 * value); break;
    case FT_UNIT_BYTES: snprintf(buffer, FT_REPORT_NUMBER, "%s", ft_human_bytes(human, value)); break;
    case FT_UNIT_BYTES_PER_S: snprintf(buffer, FT_REPORT_NUMBER, "%.2f GB/s", value / 1e9); break;
    }
    return buffer;
}

int ft_report_judge(const ft_report_fact *fact, double value, double base)
{
    if (fact->better == FT_BETTER_NEITHER || !(value < base || value > base)) return 0;
    return (fact->better == FT_BETTER_LOWER) == (value < base) ? 1 : -1;
}

// Shares differ by points, everything else by its part of the base.
char *ft_report_delta(char buffer[FT_REPORT_NUMBER], ft_report_unit unit, double value, double base)
{
    buffer[0] = 0;
    if (!isfinite(value) || !isfinite(base)) return buffer;
    if (unit == FT_UNIT_SHARE) snprintf(buffer, FT_REPORT_NUMBER, "%+.1f points", 100 * (value - base));
    else if (base != 0 && fabs(value / base) < 10) snprintf(buffer, FT_REPORT_NUMBER, "%+.1f %%", 100 * (value / base - 1));
    else if (base != 0) snprintf(buffer, FT_REPORT_NUMBER, "%.3gx", value / base);
    if (value == base) strcpy(buffer, "same");
    return buffer;
}
