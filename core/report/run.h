// What a run left in its OUTPUT directory, read back for a report: metrics.jsonl, plan.json, config.resolved.yaml.
//
// Any of the three may be missing; a directory with none of them is no run. A run that is still going is read as far as it has
// come: a last line without its newline is not there yet, as a step is written with one write. Where a step stands twice (a
// resume that found lines beyond its checkpoint), the later line counts and what followed the earlier one is dropped. Numbers
// that are null or absent are NaN. Unknown keys and kinds are passed over, so that newer files are read too.
#ifndef FT_REPORT_RUN_H
#define FT_REPORT_RUN_H

#include <jansson.h>

#include "report/config_lines.h"

// The numbers of a step line, by their keys in metrics.jsonl (ft_report_columns).
typedef enum {
    FT_COLUMN_STEP, FT_COLUMN_TIME, FT_COLUMN_EPOCH, FT_COLUMN_LOSS, FT_COLUMN_LR, FT_COLUMN_GRAD_NORM,
    FT_COLUMN_TOKENS, FT_COLUMN_TRAINABLE, FT_COLUMN_STEP_S, FT_COLUMN_TOKENS_PER_S,
    FT_COLUMN_COMPUTE_BUSY, FT_COLUMN_H2D_BUSY, FT_COLUMN_D2H_BUSY, FT_COLUMN_NVME_BUSY,
    FT_COLUMN_STALL_S, FT_COLUMN_STALL_H2D_S, FT_COLUMN_STALL_NVME_S, FT_COLUMN_STALL_SPILL_S,
    FT_COLUMN_HBM_BYTES, FT_COLUMN_PINNED_BYTES, FT_COLUMN_NVME_BYTES, FT_COLUMN_H2D_BYTES, FT_COLUMN_D2H_BYTES,
    FT_COLUMN_COUNT,
} ft_report_column;
extern const char *const ft_report_columns[FT_COLUMN_COUNT];

typedef struct {
    double value[FT_COLUMN_COUNT];
    double tokens_so_far, seconds_so_far;  // sums over the steps up to this one
    int drive;                             // that cost most, of the run's; -1 = none
} ft_report_step;

typedef struct {
    double step, epoch, loss;
    double tokens_so_far, seconds_so_far;  // of the steps before it
} ft_report_eval;

typedef struct {
    double step;
    char *text;
} ft_report_note;

typedef struct {
    char *path, *name;                     // as given; its last part
    ft_report_step *step;
    ft_report_eval *eval;
    ft_report_note *note;
    int64_t n_steps, n_evals, n_notes;
    char **drive;                          // directories named as the one that cost most
    int n_drives;
    int64_t unreadable;                    // lines that are no JSON object, the last unfinished one aside
    double last_time;                      // of the last line that has one, NaN = none
    bool finished;                         // it has written its adapter, and no line after it
    json_t *plan;                          // NULL = no plan.json
    ft_config_lines config;
} ft_report_run;

// FT_E_INPUT if the directory holds nothing of a run or plan.json is damaged.
ft_status ft_report_run_read(ft_report_run *run, const char *path);
void ft_report_run_free(ft_report_run *run);  // also after a failed read

// The number of a key, NaN if there is none; NaN as 0.
double ft_report_number(const json_t *object, const char *key);
double ft_report_known(double value);

// Reads the lines of metrics.jsonl into an empty run (metrics_read.c).
ft_status ft_report_metrics_read(ft_report_run *run, const char *text, size_t bytes);

#endif
