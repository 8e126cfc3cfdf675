// Benchmark results: one object per measurement, printed as text or as the JSON that bench/results/ and BENCHMARKS.md keep.
#ifndef FT_BENCH_RESULT_H
#define FT_BENCH_RESULT_H

#include <jansson.h>

#include "device/device.h"

typedef struct {
    const char *name, *unit;
    double value;
    const char *peer_name;   // NULL = none in this run
    double peer_value;
    const char *bound_name;  // NULL = none
    double bound;
} ft_bench_result;

typedef struct {
    bool json;
    const char *command;     // the command line, as typed
    char device[96];         // the GPU that was measured on, "" = none
    json_t *array;
} ft_bench_report;

// argv: what followed the verb on the command line.
ft_status ft_bench_report_begin(ft_bench_report *report, bool json, const char *verb, int argc, char *const *argv);
// Results from here on are those of this device.
void ft_bench_report_device(ft_bench_report *report, const ft_device_info *info);
void ft_bench_report_add(ft_bench_report *report, const ft_bench_result *result);  // text is printed at once
void ft_bench_report_note(ft_bench_report *report, const char *line);  // for people: no result of its own, not in JSON
void ft_bench_report_end(ft_bench_report *report);                                 // prints the JSON

#endif
