// ft-single doctor: what this machine has, and what of it a run would fail on or be slowed down by.
//
// A report is one JSON object, the same on this machine and from another one:
//   {"host": NAME, "verdict": "ok" | "note" | "FAIL", "time": SECONDS, "facts": {NAME: TEXT, ...},
//    "checks": [{"group": G, "check": NAME, "found": TEXT, "verdict": V, "remedy": TEXT or absent}, ...]}
// Facts are what hosts are compared by (cross_host.c). FAIL is what a run would fail on; a note is what costs speed or may
// surprise. Every check runs in a child process with a time limit (run_checks.c): one that hangs or crashes is a row that says so.
#ifndef FT_DOCTOR_DOCTOR_H
#define FT_DOCTOR_DOCTOR_H

#include <jansson.h>

#include "common/config.h"

typedef struct {
    ft_settings *settings;  // the run's, or all defaults; a check may derive values in its own process
    const char *version;    // of ft-single
    const char *root;       // "" = this machine; else a captured tree that stands for /proc and /sys
    bool quick;             // leaves out the checks that are marked slow
} ft_doctor_options;

// New reference in *report. Fails only where the doctor itself cannot work (memory, processes).
ft_status ft_doctor_run(const ft_doctor_options *options, json_t **report);

typedef struct {
    const char *hostfile;       // lines of `HOST [slots=N]`, as Open MPI's
    const char *ssh;            // command that reaches a host, split at blanks; NULL = ssh that never asks
    const char *remote;         // shell words that start ft-single there; NULL = this program's own path
    const char *const *arguments;  // of `doctor` there, as typed here
    int n_arguments;
    double seconds;             // a host may take
    const char *root;           // as above, for this host's network devices
} ft_doctor_hosts;

// {"verdict": V, "hosts": [a report, ...], "checks": [rows about all of them]}. Hosts are asked in parallel; one that cannot be
// reached has a report with one row. FT_E_INPUT names line and word of a hostfile that cannot be read.
ft_status ft_doctor_run_hosts(const ft_doctor_hosts *options, json_t **report);

// The table people read, of either form.
ft_status ft_doctor_print(const json_t *report, ft_text *out);
// FT_E_INPUT, with the names of the failed checks, if a run would fail.
ft_status ft_doctor_verdict(const json_t *report);

#endif
