// Runs the table of checks in a child process that reports line by line. The child says which check begins; one that takes longer
// than its row allows, or crashes, becomes a row of its own, and a fresh child goes on with the next.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "doctor/check.h"
#include "doctor/child.h"
#include "doctor/findings.h"

typedef struct {
    const ft_doctor_options *options;
    json_t *report;
    int next;     // check that a child begins with
    int current;  // check that the child has begun, -1 = none yet
} runner;

static bool is_left_out(const runner *r, const ft_check *check)
{
    return r->options->quick && check->slow;
}

// ---- in the child

static void run_all(void *user, int fd)
{
    const runner *r = user;
    ft_doctor doctor = {.options = r->options, .config = &r->options->settings->values, .out = fd};
    ft_log_set_level(FT_LOG_ERROR);  // what a check finds is a row, not a log line
    for (int i = r->next; ft_checks[i].name; i++) {
        if (is_left_out(r, &ft_checks[i])) continue;
        doctor.check = &ft_checks[i];
        dprintf(fd, "begin %d\n", i);
        ft_checks[i].run(&doctor);
    }
    dprintf(fd, "done\n");
}

// ---- in the parent

static int count_checks(void)
{
    int n = 0;
    while (ft_checks[n].name) n++;
    return n;
}

static void take_line(ft_child *child, char *line)
{
    runner *r = child->user;
    int began;
    if (strcmp(line, "done") == 0) {
        r->current = count_checks();
    } else if (sscanf(line, "begin %d", &began) == 1) {
        r->current = began;
        child->deadline_s = ft_now_s() + ft_checks[began].seconds;
    } else {
        ft_findings_take(r->report, line);
    }
}

static void say_lost(const runner *r, const ft_child *child)
{
    static const char broken[] = "a library that is loaded here is broken or does not fit; look at dmesg, then reinstall it";
    const ft_check *check = &ft_checks[r->current];
    if (child->timed_out)
        ft_findings_row(r->report, check->group, check->name, "FAIL",
                        "find out what hangs (dmesg): a hung drive, network file system or GPU would hang a run as well",
                      "no answer within %.0f s", check->seconds);
    else if (child->signal)
        ft_findings_row(r->report, check->group, check->name, "FAIL", broken, "the check died of signal %d (%s)", child->signal, strsignal(child->signal));
    else
        ft_findings_row(r->report, check->group, check->name, "FAIL", broken, "the check ended its process with exit code %d", child->exit_code);
}

static ft_status run_child(runner *r)
{
    ft_child child = {.seconds = 10, .line = take_line, .user = r};
    r->current = -1;
    FT_TRY(ft_child_start_function(&child, run_all));
    ft_children_wait(&child, 1);
    ft_child_free(&child);
    if (r->current < 0) return ft_error(FT_E_INTERNAL, "doctor: a child process ended before its first check");
    if (ft_checks[r->current].name) say_lost(r, &child);
    r->next = r->current + 1;
    return FT_OK;
}

static double clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

ft_status ft_doctor_run(const ft_doctor_options *options, json_t **report)
{
    char host[256] = "this machine";
    gethostname(host, sizeof host - 1);
    runner r = {.options = options, .report = ft_findings_new(host)};
    if (r.report == NULL) return ft_error(FT_E_NOMEM, "out of memory");
    for (int n = count_checks(); r.next < n;) {
        ft_status status = run_child(&r);
        if (status == FT_OK) continue;
        json_decref(r.report);
        return status;
    }
    ft_findings_close(r.report);
    json_object_set_new(r.report, "time", json_real(clock_now()));
    *report = r.report;
    return FT_OK;
}
