// What a benchmarked step is worth saying, as results.
#ifndef FT_BENCH_STEP_REPORT_H
#define FT_BENCH_STEP_REPORT_H

#include "bench/result.h"
#include "bench/step_bound.h"
#include "bench/step_links.h"

typedef struct {
    ft_device_kind kind;
    double tokens, useful_flops;   // of a step
    double seconds, cpu_seconds;   // medians: wall, and CPU time of all threads
    double profile_seconds;        // of the step with clocks: CUDA wall, CPU the CPU time
    double loss;                   // of the last step, nats a token
    int64_t layers, all_layers;    // measured, and of the geometry (0 = unknown)
    bool profiled;                 // what a step with clocks gives is there: ft_timed_sums, profile_seconds and bound
    int64_t planned_bytes, used_bytes;  // of device memory, context included; used 0 = unknown
    ft_step_bound bound;
    ft_step_links links;           // zeros where they were not measured; ft_step_links_add says them
} ft_step_report;

// The step as a whole; takes the FLOPs from ft_timed_sums.
void ft_step_report_add(ft_bench_report *report, const ft_step_report *step);
// Its parts and their limits, if profiled; takes the op classes from ft_timed_sums.
void ft_step_report_add_parts(ft_bench_report *report, const ft_step_report *step);

#endif
