// The numbers of a run in short. Everything that shows them (the terminal's block and comparison, --json, the page's table) goes
// through the table of facts: a new number is a member and a row.
#ifndef FT_REPORT_SUMMARY_H
#define FT_REPORT_SUMMARY_H

#include "report/run.h"

typedef enum { FT_LINK_H2D, FT_LINK_D2H, FT_LINK_NVME, FT_LINK_COUNT } ft_report_link;
typedef enum { FT_HOME_HBM, FT_HOME_HOST, FT_HOME_NVME, FT_HOME_COUNT } ft_report_home;  // as in plan.json's "memory"

typedef struct {
    double moved, planned;                 // bytes a step; moved: median. Of drives what was read; planned: and written
    double rate, planned_rate;             // bytes a second while busy
    double busy;                           // share of the steps' time; of the h2d and d2h links and any of the drives
} ft_report_traffic;

// NaN = not known. Shares are of the time of all steps together.
typedef struct {
    double steps, epochs, tokens, trained_tokens;
    double wall_s;                         // from the begin of the first step to the end of the last: pauses and saves are in it
    double step_sum_s;                     // the steps alone
    double window;                         // steps a smoothed loss is the mean of: 2 % of the run, 10 at least
    double loss_first, loss_last, loss_least, loss_least_step;  // smoothed: the mean of the window's steps up to one
    double eval_first, eval_best, eval_best_step, eval_last, eval_last_step;
    double tokens_per_s, step_s;           // medians
    double plan_step_s, plan_tokens_per_s, plan_ratio;          // ratio: planned over measured seconds of a step
    double compute_share, stall_share, stall_h2d_share, stall_nvme_share, stall_spill_share;
    double hbm_peak, pinned_peak;          // most in any step
    double planned[FT_HOME_COUNT], limit[FT_HOME_COUNT];        // bytes
    double planned_pinned;                 // what of the host's bytes the pinned_peak stands beside
    ft_report_traffic link[FT_LINK_COUNT];
    double skipped;                        // steps with a non-finite loss or gradient
    int worst_drive;                       // of the run's, -1 = none
    double worst_drive_s;                  // the compute waited for it
} ft_report_summary;

// Out of memory is the only error.
ft_status ft_report_summarize(ft_report_summary *summary, const ft_report_run *run);
// Fills what plan.json tells (plan_numbers.c); without a plan it stays NaN.
void ft_report_plan_numbers(ft_report_summary *summary, const json_t *plan);
// Mean of the last `window` finite losses up to each step, into smoothed[n_steps]; NaN where there is none yet.
void ft_report_smooth(const ft_report_run *run, int64_t window, double *smoothed);
// The middle one of the finite values, the mean of the two middle ones of an even number; NaN if there is none. Sorts.
double ft_report_median(double *values, int64_t n);

// --- Facts ------------------------------------------------------------------------------------------------------------------
typedef enum {
    FT_UNIT_COUNT, FT_UNIT_DECIMAL, FT_UNIT_LOSS, FT_UNIT_SECONDS, FT_UNIT_RATE, FT_UNIT_RATIO, FT_UNIT_SHARE, FT_UNIT_BYTES,
    FT_UNIT_BYTES_PER_S,
} ft_report_unit;
typedef enum { FT_BETTER_NEITHER, FT_BETTER_LOWER, FT_BETTER_HIGHER } ft_report_better;

// Main facts are compared in the terminal and stand in the page's first table; a detail says more about the fact above it.
typedef enum { FT_RANK_MAIN, FT_RANK_MORE, FT_RANK_DETAIL } ft_report_rank;

typedef struct {
    const char *key;                       // in --json and on the page
    const char *label;
    ft_report_unit unit;
    ft_report_better better;
    ft_report_rank rank;
    size_t offset;                         // of a double in ft_report_summary
} ft_report_fact;

extern const ft_report_fact ft_report_facts[];
extern const size_t ft_report_fact_count;

double ft_report_value(const ft_report_fact *fact, const ft_report_summary *summary);
#define FT_REPORT_NUMBER 48
// "122,620", "0.0187", "2m 05s", "1.50 GiB", "-" for NaN; returns buffer.
char *ft_report_format(char buffer[FT_REPORT_NUMBER], ft_report_unit unit, double value);
// Whether `value` is better than `base` (1), worse (-1), or neither: equal, not known, or of a fact without a better side.
int ft_report_judge(const ft_report_fact *fact, double value, double base);
// "+4.2 %" against `base`, "" where that says nothing; returns buffer.
char *ft_report_delta(char buffer[FT_REPORT_NUMBER], ft_report_unit unit, double value, double base);

#endif
