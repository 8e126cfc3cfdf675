#include "bench/result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/threads.h"

static char command_line[1024];

ft_status ft_bench_report_begin(ft_bench_report *report, bool json, const char *verb, int argc, char *const *argv)
{
    *report = (ft_bench_report){.json = json, .command = command_line, .array = json_array()};
    size_t used = (size_t)snprintf(command_line, sizeof command_line, "ft-bench %s", verb);
    for (int i = 0; i < argc && used < sizeof command_line; i++)
        used += (size_t)snprintf(command_line + used, sizeof command_line - used, " %s", argv[i]);
    return report->array ? FT_OK : FT_E_NOMEM;
}

// "NVIDIA H100 80GB HBM3; AMD EPYC, 2 threads": the GPU if one is measured, the processor and the threads this process may use.
static void machine_name(const ft_bench_report *report, char *text, size_t size)
{
    char line[256] = "", *name = "unknown processor";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0) {
            name = strchr(line, ':') + 2;
            name[strcspn(name, "\n")] = 0;
            break;
        }
    if (file) fclose(file);
    snprintf(text, size, "%s%s%s, %d threads", report->device, report->device[0] ? "; " : "", name, ft_threads_count());
}

// JSON has no infinity, which is what a bound of nothing gives.
static json_t *number_or_null(bool there, double value)
{
    return there && isfinite(value) ? json_real(value) : json_null();
}

static void add_json(ft_bench_report *report, const ft_bench_result *r)
{
    char machine[448], date[32];
    time_t now = time(NULL);
    struct tm day;
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &day));
    machine_name(report, machine, sizeof machine);
    bool peer = r->peer_name != NULL, bound = r->bound_name != NULL;
    json_array_append_new(report->array,
                          json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:s?, s:o, s:s?, s:o, s:o, s:o}", "name", r->name, "date", date, "machine", machine,
                                    "command", report->command, "value", r->value, "unit", r->unit, "peer_name", r->peer_name, "peer_value",
                                    number_or_null(peer, r->peer_value), "bound_name", r->bound_name, "bound", number_or_null(bound, r->bound),
                                    "ratio_peer", number_or_null(peer, r->value / r->peer_value), "ratio_bound",
                                    number_or_null(bound, r->value / r->bound)));
}

void ft_bench_report_device(ft_bench_report *report, const ft_device_info *info)
{
    if (info->kind != FT_DEVICE_CPU) snprintf(report->device, sizeof report->device, "%s", info->name);
}

void ft_bench_report_add(ft_bench_report *report, const ft_bench_result *r)
{
    add_json(report, r);
    if (report->json) return;
    printf("%-34s %9.3f %s", r->name, r->value, r->unit);
    if (r->peer_name) printf("   %s %.3f, ratio %.3f", r->peer_name, r->peer_value, r->value / r->peer_value);
    if (r->bound_name) printf("   limit (%s) %.3f, ratio %.3f", r->bound_name, r->bound, r->value / r->bound);
    printf("\n");
    fflush(stdout);
}

void ft_bench_report_note(ft_bench_report *report, const char *line)
{
    if (report->json) return;
    printf("%s\n", line);
    fflush(stdout);
}

void ft_bench_report_end(ft_bench_report *report)
{
    if (report->json) {
        json_dumpf(report->array, stdout, JSON_INDENT(1));
        printf("\n");
    }
    json_decref(report->array);
}
