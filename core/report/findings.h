// What is worth a second look in a run: one rule, one row, at most one sentence each (findings.c).
#ifndef FT_REPORT_FINDINGS_H
#define FT_REPORT_FINDINGS_H

#include "common/text.h"
#include "report/summary.h"

#define FT_REPORT_FINDINGS 16  // at least the number of rules

typedef struct {
    const char *rule;  // its name in --json
    bool bad;          // something to act on; false = something to know
    ft_text text;
} ft_report_finding;

typedef struct {
    ft_report_finding finding[FT_REPORT_FINDINGS];
    int n;
} ft_report_findings;

// Out of memory is the only error.
ft_status ft_report_find(ft_report_findings *findings, const ft_report_run *run, const ft_report_summary *summary);
void ft_report_findings_free(ft_report_findings *findings);  // also after a failed find

#endif
