// ft-single doctor: whether this machine, or every host of a file, can run, and what would slow it down.
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/print.h"
#include "cli/verbs.h"
#include "common/log.h"
#include "common/memory.h"
#include "doctor/doctor.h"

static const ft_flag flags[] = {
    {"json", FT_FLAG_SWITCH, NULL, "print the report as JSON", 0, 0},
    {"quick", FT_FLAG_SWITCH, NULL, "measure no drive, and open a GPU only for a plan", 0, 0},
    {"hostfile", FT_FLAG_TEXT, "FILE", "ask the hosts of a file (`HOST slots=N` a line) through ssh, and compare them", 0, 0},
    {"ssh", FT_FLAG_TEXT, "COMMAND", "reaches a host instead of ssh, as rsync's -e", 0, 0},
    {"remote", FT_FLAG_TEXT, "PATH", "ft-single on the hosts; the path of this program without", 0, 0},
    {"timeout", FT_FLAG_INT, "SECONDS", "a host may take (default 180)", 1, 86400},
    {NULL},
};

enum { DEFAULT_TIMEOUT = 180 };

// ---- the arguments for the hosts

// Whether `text` is the flag --NAME of this table that stays here; `alone` says that its value is the next argument.
static bool stays_here(const char *text, bool *alone)
{
    static const char *const names[] = {"json", "hostfile", "ssh", "remote", "timeout"};
    *alone = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && strncmp(text, "--", 2) == 0; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(text + 2, names[i], n) != 0 || (text[2 + n] != 0 && text[2 + n] != '=')) continue;
        *alone = text[2 + n] == 0 && i > 0;
        return true;
    }
    return false;
}

static int forward(const ft_invocation *in, const char **arguments)
{
    int n = 0;
    for (int i = 0; i < in->argc; i++) {
        bool alone;
        if (!stays_here(in->argv[i], &alone)) arguments[n++] = in->argv[i];
        i += alone;
    }
    return n;
}

static ft_status ask_hosts(ft_invocation *in, json_t **report)
{
    const char **arguments = FT_NEW_ARRAY(const char *, in->argc + 1);
    FT_ALLOC_CHECK(arguments);
    const ft_doctor_hosts options = {.hostfile = ft_args_text(in, "hostfile"), .ssh = ft_args_text(in, "ssh"), .remote = ft_args_text(in, "remote"),
                                     .arguments = arguments, .n_arguments = forward(in, arguments),
                                     .seconds = (double)ft_args_int(in, "timeout", DEFAULT_TIMEOUT), .root = ""};
    ft_info("asking the hosts of %s, at most %.0f s", options.hostfile, options.seconds);
    ft_status status = ft_doctor_run_hosts(&options, report);
    ft_free(arguments);
    return status;
}

// ---- output

static ft_status print(json_t *report, bool json, bool hosts)
{
    ft_text text = {0};
    if (json) {
        FT_TRY(ft_print_json(json_incref(report)));
    } else {
        FT_TRY(ft_print_text(ft_doctor_print(report, &text), &text, stdout));
        if (hosts) puts("Training over several nodes is not there yet (train --hostfile is refused): this says whether the hosts are ready for it.");
    }
    fflush(stdout);  // the line of a failure comes after it, also where both go to one file
    return FT_OK;
}

static ft_status check_flags(const ft_invocation *in)
{
    static const char *const of_hosts[] = {"ssh", "remote", "timeout"};
    for (size_t i = 0; i < sizeof of_hosts / sizeof of_hosts[0]; i++)
        if (ft_args_given(in, of_hosts[i]) && !ft_args_given(in, "hostfile")) return ft_error(FT_E_USAGE, "doctor: --%s needs --hostfile", of_hosts[i]);
    return FT_OK;
}

static ft_status run(ft_invocation *in)
{
    json_t *report = NULL;
    bool hosts = ft_args_given(in, "hostfile");
    FT_TRY(check_flags(in));
    signal(SIGINT, SIG_DFL);  // nothing is to be committed: stop at once
    signal(SIGTERM, SIG_DFL);
    const ft_doctor_options options = {.settings = &in->settings, .version = FT_VERSION, .root = "", .quick = ft_args_given(in, "quick")};
    FT_TRY(hosts ? ask_hosts(in, &report) : ft_doctor_run(&options, &report));
    ft_status status = print(report, ft_args_given(in, "json"), hosts);
    if (status == FT_OK) status = ft_doctor_verdict(report);
    json_decref(report);
    return status;
}

const ft_verb ft_verb_doctor = {"doctor", NULL, "[CONFIG.yaml | --model ID] [--nvme DIR[,DIR...]] [--hostfile FILE] [--json] [--quick]",
                                "whether this machine can run, and what would slow it down", flags, true, run, 0};
