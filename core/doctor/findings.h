// Reports as they are put together: rows, facts, the verdict over them. For core/doctor alone.
#ifndef FT_DOCTOR_FINDINGS_H
#define FT_DOCTOR_FINDINGS_H

#include "doctor/doctor.h"

json_t *ft_findings_new(const char *host);  // NULL when out of memory
// A row, as check.c sends it and a report keeps it. What is not UTF-8 in a text is U+FFFD; `remedy` may be NULL. NULL when out of memory.
json_t *ft_findings_new_row(const char *group, const char *check, const char *verdict, const char *remedy, const char *found);
void ft_findings_row(json_t *report, const char *group, const char *check, const char *verdict, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
// A line of check.c: a row or a fact. false for anything else.
bool ft_findings_take(json_t *report, const char *line);
// Of rows and, in a report of several hosts, of theirs: sets "verdict".
void ft_findings_close(json_t *report);

const char *ft_findings_text(const json_t *object, const char *key);  // "" without

#endif
