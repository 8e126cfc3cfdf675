// Doctor on several hosts: each is asked through ssh to run `ft-single doctor --json`, all at once; meanwhile the ways to them are
// looked up here.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/shell_word.h"
#include "doctor/child.h"
#include "doctor/cross_host.h"
#include "doctor/route.h"

enum { AT_ONCE = 64, MOST_WORDS = 64 };
#define ROUTE_SECONDS 15.0
#define SSH "ssh -o BatchMode=yes -o ConnectTimeout=10"

// ---- the command

// This program; one that is several is told which to be.
static ft_status add_own_path(ft_text *out)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0) return ft_error(FT_E_IO, "doctor: /proc/self/exe cannot be read; give --remote PATH");
    path[n] = 0;
    FT_TRY(ft_text_add_word(out, path));
    return strcmp(ft_path_base(path), "ft-multi") == 0 ? ft_text_puts(out, " ft-single") : FT_OK;
}

// Relative paths of the arguments mean the same there if the directory is shared.
static ft_status add_directory(ft_text *out)
{
    char directory[PATH_MAX];
    if (getcwd(directory, sizeof directory) == NULL) return FT_OK;
    FT_TRY(ft_text_puts(out, "cd "));
    FT_TRY(ft_text_add_word(out, directory));
    return ft_text_puts(out, " 2>/dev/null; ");
}

// sh -c '...': whatever the login shell there is, it hands one quoted word to sh.
static ft_status remote_command(const ft_doctor_hosts *options, ft_text *out)
{
    ft_text inner = {0};
    ft_status status;
    FT_TRY_GOTO(status, out, add_directory(&inner));
    FT_TRY_GOTO(status, out, ft_text_puts(&inner, "exec "));
    FT_TRY_GOTO(status, out, options->remote ? ft_text_puts(&inner, options->remote) : add_own_path(&inner));
    FT_TRY_GOTO(status, out, ft_text_puts(&inner, " doctor --json"));
    for (int i = 0; i < options->n_arguments; i++) {
        FT_TRY_GOTO(status, out, ft_text_puts(&inner, " "));
        FT_TRY_GOTO(status, out, ft_text_add_word(&inner, options->arguments[i]));
    }
    FT_TRY_GOTO(status, out, ft_text_puts(out, "exec sh -c "));
    FT_TRY_GOTO(status, out, ft_text_add_word(out, inner.data));
out:
    ft_text_free(&inner);
    return status;
}

static ft_status start_host(ft_child *child, const ft_doctor_hosts *options, char *host, char *command)
{
    char *words = ft_strdup(options->ssh ? options->ssh : SSH), *argv[MOST_WORDS + 3], *rest = NULL;
    int n = 0;
    FT_ALLOC_CHECK(words);
    for (char *word = strtok_r(words, " \t", &rest); word && n < MOST_WORDS; word = strtok_r(NULL, " \t", &rest)) argv[n++] = word;
    if (n == 0) {
        ft_free(words);
        return ft_error(FT_E_USAGE, "--ssh: the command is empty");
    }
    argv[n++] = host;
    argv[n++] = command;
    argv[n] = NULL;
    child->seconds = options->seconds;
    ft_status status = ft_child_start(child, argv);
    ft_free(words);
    return status;
}

// ---- what came back

// The last words of ssh and of shells, and what they ask for.
static const char *remedy_of(const char *words, int exit_code)
{
    static const struct {
        const char *part, *remedy;
    } known[] = {
        {"Permission denied", "ssh-copy-id HOST: a key that asks for nothing has to be there"},
        {"Host key verification failed", "ssh HOST once by hand, and accept its key"},
        {"Could not resolve", "correct the name in the hostfile, or add it to /etc/hosts or ~/.ssh/config"},
        {"Connection refused", "start sshd there, or give its port in ~/.ssh/config"},
        {"No route to host", "is it switched on, and does a firewall let ssh pass?"},
        {"timed out", "is it switched on, and does a firewall let ssh pass?"},
        {"unknown verb", "install this version of ft-single there, or name it with --remote PATH"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(words, known[i].part)) return known[i].remedy;
    return exit_code == 127 ? "install ft-single there at this path, or name it with --remote PATH" : "try `ssh HOST true` by hand";
}

static json_t *lost_host(const char *name, ft_child *child, double seconds)
{
    json_t *report = ft_findings_new(name);
    const char *words = ft_child_last_words(child);
    if (report == NULL) return NULL;
    if (child->timed_out)
        ft_findings_row(report, "host", "reached", "FAIL", "look what hangs there, or give it longer with --timeout SECONDS", "no report within %.0f s%s%s",
                        seconds, *words ? ": " : "", words);
    else if (*words)
        ft_findings_row(report, "host", "reached", "FAIL", remedy_of(words, child->exit_code), "%s", words);
    else if (child->signal)
        ft_findings_row(report, "host", "reached", "FAIL", remedy_of("", -1), "no report came back (signal %d, %s)", child->signal, strsignal(child->signal));
    else
        ft_findings_row(report, "host", "reached", "FAIL", remedy_of("", child->exit_code), "no report came back (exit code %d)", child->exit_code);
    ft_findings_close(report);
    return report;
}

// How far the clock there was ahead of ours when the report came.
static double clock_offset(const json_t *report, const ft_child *child)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double came = (double)now.tv_sec + (double)now.tv_nsec * 1e-9 - (ft_now_s() - child->last_output_s);
    return json_number_value(json_object_get(report, "time")) - came;
}

// Whatever a login script prints stands before the report, which begins a line with {.
static json_t *parse_report(const ft_child *child)
{
    const char *text = child->output.data ? child->output.data : "";
    while (*text && *text != '{') {
        const char *line = strchr(text, '\n');
        text = line ? line + 1 : "";
    }
    json_t *report = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    bool whole = json_is_array(json_object_get(report, "checks")) && json_is_number(json_object_get(report, "time"));
    if (whole) return report;
    json_decref(report);
    return NULL;
}

static json_t *take_report(const char *name, ft_child *child, double seconds)
{
    json_t *report = child->timed_out ? NULL : parse_report(child);
    if (report == NULL) return lost_host(name, child, seconds);
    json_object_set_new(report, "clock_offset", json_real(clock_offset(report, child)));
    json_object_set_new(report, "hostname", json_string(ft_findings_text(report, "host")));
    json_object_set_new(report, "host", json_string(name));
    return report;
}

// ---- ways

typedef struct {
    const char *root, *name;
} way;

static void report_way(void *user, int fd)
{
    const way *w = user;
    ft_route_report(w->root, w->name, fd);
}

static void take_way(json_t *report, const char *name, ft_child *child)
{
    char *rest = NULL;
    if (child->timed_out) {
        char check[300];
        snprintf(check, sizeof check, "route %.250s", name);
        ft_findings_row(report, "network", check, "note", "look at /etc/resolv.conf: a name server in it does not answer",
                        "the name was not resolved within %.0f s", ROUTE_SECONDS);
        return;
    }
    for (char *line = strtok_r(child->output.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) ft_findings_take(report, line);
}

// ---- all

typedef struct {
    ft_child ssh[2 * AT_ONCE];  // n of them, then the n of the ways
    way way[AT_ONCE];
} batch;

static ft_status start_batch(batch *b, const ft_doctor_hosts *options, const ft_host *host, int n, char *command)
{
    for (int i = 0; i < n; i++) {
        FT_TRY(start_host(&b->ssh[i], options, host[i].name, command));
        b->way[i] = (way){options->root, host[i].name};
        b->ssh[n + i] = (ft_child){.seconds = ROUTE_SECONDS, .user = &b->way[i]};
        FT_TRY(ft_child_start_function(&b->ssh[n + i], report_way));
    }
    return FT_OK;
}

static ft_status run_batch(json_t *report, const ft_doctor_hosts *options, const ft_host *host, int n, char *command)
{
    batch *b = FT_NEW(batch);
    FT_ALLOC_CHECK(b);
    ft_status status = start_batch(b, options, host, n, command);
    ft_children_wait(b->ssh, 2 * n);
    for (int i = 0; i < n && status == FT_OK; i++) {
        json_array_append_new(json_object_get(report, "hosts"), take_report(host[i].name, &b->ssh[i], options->seconds));
        take_way(report, host[i].name, &b->ssh[n + i]);
    }
    for (int i = 0; i < 2 * n; i++) ft_child_free(&b->ssh[i]);
    ft_free(b);
    return status;
}

static ft_status run_all(json_t *report, const ft_doctor_hosts *options, const ft_hosts *hosts)
{
    ft_text command = {0};
    ft_status status = remote_command(options, &command);
    for (int i = 0; i < hosts->n && status == FT_OK; i += AT_ONCE)
        status = run_batch(report, options, hosts->host + i, hosts->n - i < AT_ONCE ? hosts->n - i : AT_ONCE, command.data);
    ft_text_free(&command);
    return status;
}

ft_status ft_doctor_run_hosts(const ft_doctor_hosts *options, json_t **report)
{
    ft_hosts hosts;
    FT_TRY(ft_hosts_read(&hosts, options->hostfile));
    json_t *all = json_pack("{s:s, s:[], s:[]}", "verdict", "ok", "hosts", "checks");
    ft_status status = all ? run_all(all, options, &hosts) : ft_error(FT_E_NOMEM, "out of memory");
    if (status == FT_OK) {
        ft_cross_host_check(all, &hosts);
        ft_findings_close(all);
        *report = all;
    } else {
        json_decref(all);
    }
    ft_hosts_free(&hosts);
    return status;
}
