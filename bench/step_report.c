#include "bench/step_report.h"

#include <stdio.h>

// The CPU counts in GFLOP/s and threads, a GPU in TFLOP/s.
typedef struct {
    const char *flops, *time, *bytes;
    double flop_scale, byte_scale;
} units;

static units units_of(ft_device_kind kind)
{
    if (kind == FT_DEVICE_CPU) return (units){"GFLOP/s", "CPU ms", "GB/s a thread", 1e9, 1e9};
    return (units){"TFLOP/s", "ms", "GB/s", 1e12, 1e9};
}

static void add(ft_bench_report *report, const char *name, const char *unit, double value, const char *bound_name, double bound)
{
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = unit, .value = value, .bound_name = bound_name, .bound = bound});
}

// Time of a class in the step with clocks, and its rate: products beside nothing, passes over memory beside a copy.
static void add_class(ft_bench_report *report, const ft_step_report *r, int class)
{
    const ft_timed_sum *sum = &ft_timed_sums()[class];
    units u = units_of(r->kind);
    bool cpu = r->kind == FT_DEVICE_CPU;
    char name[64];
    if (sum->calls == 0) return;
    snprintf(name, sizeof name, "step: %s", ft_timed_name((ft_timed_class)class));
    add(report, name, u.time, 1e3 * sum->seconds, "all of the step", 1e3 * r->profile_seconds);
    snprintf(name, sizeof name, "rate: %s", ft_timed_name((ft_timed_class)class));
    if (sum->flops > 0) add(report, name, cpu ? "GFLOP/s a thread" : u.flops, sum->flops / sum->seconds / u.flop_scale, NULL, 0);
    else if (sum->bytes > 0 && cpu) add(report, name, u.bytes, sum->bytes / sum->seconds / u.byte_scale, NULL, 0);
    else if (sum->bytes > 0) add(report, name, u.bytes, sum->bytes / sum->seconds / u.byte_scale, "copy", r->bound.copy_rate / u.byte_scale);
}

static void add_bound(ft_bench_report *report, const ft_step_report *r)
{
    const ft_step_bound *b = &r->bound;
    units u = units_of(r->kind);
    add(report, "bound: products", "ms", 1e3 * b->gemm_seconds, NULL, 0);
    add(report, "bound: products' rate", u.flops, b->gemm_rate / u.flop_scale, NULL, 0);
    add(report, "bound: attention", "ms", 1e3 * b->attention_seconds, NULL, 0);
    add(report, "bound: attention forward rate", u.flops, b->attention_forward / u.flop_scale, NULL, 0);
    add(report, "bound: attention backward rate", u.flops, b->attention_backward / u.flop_scale, NULL, 0);
    add(report, "bound: activation bytes", "ms", 1e3 * b->copy_seconds, NULL, 0);
    add(report, "bound: copy rate", "GB/s", b->copy_rate / 1e9, NULL, 0);
}

// A step of the whole geometry, where fewer layers were measured: they take the same time each, head and embedding what they take.
static void add_whole(ft_bench_report *report, const ft_step_report *r)
{
    const ft_timed_sum *sums = ft_timed_sums();
    double once = sums[FT_TIMED_HEAD].seconds + sums[FT_TIMED_OTHER].seconds;
    double seconds = (r->seconds - once) * (double)r->all_layers / (double)r->layers + once;
    char name[64];
    if (r->kind == FT_DEVICE_CPU || r->all_layers <= r->layers) return;
    snprintf(name, sizeof name, "estimate: all %lld layers", (long long)r->all_layers);
    add(report, name, "tokens/s", r->tokens / seconds, NULL, 0);
}

void ft_step_report_add(ft_bench_report *report, const ft_step_report *r)
{
    units u = units_of(r->kind);
    double executed = 0;
    for (int i = 0; i < FT_TIMED_COUNT; i++) executed += ft_timed_sums()[i].flops;
    add(report, "LoRA step", "tokens/s", r->tokens / r->seconds, r->profiled ? "parts alone" : NULL, r->tokens / r->bound.seconds);
    if (r->kind == FT_DEVICE_CPU) add(report, "LoRA step, CPU time", "s", r->cpu_seconds, NULL, 0);
    else add(report, "LoRA step, time", "ms", 1e3 * r->seconds, NULL, 0);
    if (r->profiled) add_whole(report, r);
    add(report, "useful", u.flops, r->useful_flops / r->seconds / u.flop_scale, NULL, 0);
    if (r->profiled) add(report, "executed", u.flops, executed / r->seconds / u.flop_scale, NULL, 0);
    add(report, "loss", "nats", r->loss, NULL, 0);
    if (r->used_bytes > 0) add(report, "device memory", "GB", (double)r->used_bytes / 1e9, "plan and context", (double)r->planned_bytes / 1e9);
}

void ft_step_report_add_parts(ft_bench_report *report, const ft_step_report *r)
{
    double in_ops = 0;
    if (!r->profiled) return;
    for (int i = 0; i < FT_TIMED_COUNT; i++) {
        in_ops += ft_timed_sums()[i].seconds;
        add_class(report, r, i);
    }
    add(report, "step: between ops", units_of(r->kind).time, 1e3 * (r->profile_seconds - in_ops), "all of the step", 1e3 * r->profile_seconds);
    add_bound(report, r);
}
