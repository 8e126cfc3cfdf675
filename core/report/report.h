// A report on runs: read once, then shown in a terminal, as JSON or as a page.
#ifndef FT_REPORT_REPORT_H
#define FT_REPORT_REPORT_H

#include "report/findings.h"

typedef struct {
    ft_report_run run;
    ft_report_summary summary;
    ft_report_findings findings;
} ft_report_entry;

typedef struct {
    ft_report_entry *entry;
    int n;
    double now;             // seconds since 1970: tells a run that is going from one that was left
} ft_report;

// Reads the OUTPUT directories. Errors are those of ft_report_run_read. Two runs whose last parts are alike are named by their paths.
ft_status ft_report_read(ft_report *report, const char *const *paths, int n, double now);
void ft_report_free(ft_report *report);  // also after a failed read

// "done", "running" or "stopped"; "no steps yet" before the first one.
const char *ft_report_state(const ft_report *report, int run);
// What is trained and how: "demo, lora r 16, alpha 32, fp8 base, bf16 compute, 5 layers". Appends.
ft_status ft_report_describe(const ft_report_run *run, ft_text *out);
// Whether a run tells where its time went, and how: "compute 50.0 %, waiting 25.0 % (link 5.0, drives 20.0)" with the parts that it
// tells. Appends.
bool ft_report_knows_time(const ft_report_summary *summary);
ft_status ft_report_describe_time(const ft_report_summary *summary, ft_text *out);
// The value of a key in a run's config as it stands there.
const char *ft_report_config_value(const ft_report_run *run, const char *key);  // "-" where it is missing
// Walks the keys that are compared and not alike in all runs, in the order of the runs' files: the next one after *run, *line (0, -1 to begin); NULL = no more.
const char *ft_report_next_difference(const ft_report *report, int *run, int64_t *line);

typedef struct {
    bool color, unicode;
} ft_report_style;
// A block for each run and, for several, a comparison with the first one (print.c, print_compare.c).
ft_status ft_report_print(const ft_report *report, ft_report_style style, ft_text *out);
ft_status ft_report_print_comparison(const ft_report *report, ft_report_style style, ft_text *out);
// `n` values as a line of `columns` bars, the mean of an equal part of them each; all at the foot where they are alike (spark.c).
ft_status ft_report_spark(const double *values, int64_t n, int columns, bool unicode, ft_text *out);

// {"runs":[{"name", "path", "state", facts..., "worst_drive", "findings":[...]}]}; NULL when out of memory (summary_json.c).
json_t *ft_report_json(const ft_report *report);
// One run's object of it, for the page as well.
json_t *ft_report_entry_json(const ft_report *report, int run);

// A self-contained page (page.c). `command` is shown as what made it.
ft_status ft_report_page(const ft_report *report, const char *command, ft_text *out);

#endif
