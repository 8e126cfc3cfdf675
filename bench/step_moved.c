#include "bench/step_moved.h"

#include <stdio.h>

static void add(ft_bench_report *report, const char *name, const char *unit, double value, const char *bound_name, double bound)
{
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = unit, .value = value, .bound_name = bound_name, .bound = bound});
}

// ---- where things live

static void add_homes(ft_bench_report *report, const ft_plan *plan)
{
    static const char *const names[FT_TIER_COUNT] = {"layers on the device", "layers in host memory", "layers on NVMe"};
    int64_t layers = plan->layout.shape.layers, at[FT_TIER_COUNT] = {0}, kept = 0, real = 0;
    char line[96];
    for (int64_t i = 0; i < layers; i++) {
        at[plan->home[i]]++;
        kept += plan->keep[i];
        real += !ft_plan_is_alias(plan, i);
    }
    for (int tier = 0; tier < FT_TIER_COUNT; tier++) add(report, names[tier], "layers", (double)at[tier], "all", (double)layers);
    add(report, "layers with kept activations", "layers", (double)kept, "all", (double)layers);
    add(report, "layer slots", "slots", (double)plan->slots, NULL, 0);
    add(report, "ring slots", "slots", (double)plan->host_slots, NULL, 0);
    if (plan->request.alias > 0 && real == layers) ft_bench_report_note(report, "aliased: none, no more layers than that live in host memory");
    if (real == layers) return;
    snprintf(line, sizeof line, "aliased: %lld of %lld layers are real; bytes moved are true", (long long)real, (long long)layers);
    ft_bench_report_note(report, line);
    add(report, "real layers", "layers", (double)real, "all", (double)layers);
}

// ---- what moved

// Bytes a step beside the plan's, and the link's rate over the whole step beside what it gives alone. Nothing where nothing is to move.
static void add_link(ft_bench_report *report, const ft_bench_training *t, const ft_step_measured *m, ft_resource link, double bytes)
{
    const ft_plan *plan = &t->session.plan;
    const ft_machine *machine = &plan->machine;
    double planned = (double)ft_plan_step_bytes(plan, link);
    double alone = link == FT_RESOURCE_H2D ? machine->h2d : link == FT_RESOURCE_D2H ? machine->d2h : machine->nvme_read * machine->drives;
    char name[64];
    if (bytes <= 0 && planned <= 0) return;
    snprintf(name, sizeof name, "moved a step: %s", ft_resource_name(link));
    add(report, name, "GB", bytes / 1e9, "plan", planned / 1e9);
    snprintf(name, sizeof name, "over the step: %s", ft_resource_name(link));
    add(report, name, "GB/s", bytes / m->seconds / 1e9, "the link alone", alone / 1e9);
}

static void add_memory(ft_bench_report *report, const ft_bench_training *t, const ft_step_measured *m)
{
    const ft_plan *plan = &t->session.plan;
    double planned = (double)(plan->tier_bytes[FT_TIER_HOST] - plan->line[FT_LINE_PROCESS]);
    add(report, "pinned memory in use", "GB", (double)m->pinned_bytes / 1e9, "plan", planned / 1e9);
}

static void add_time(ft_bench_report *report, const ft_bench_training *t, const ft_step_measured *m)
{
    const ft_plan *plan = &t->session.plan;
    int64_t batches = t->n_batches < plan->micro_batches ? t->n_batches : plan->micro_batches;
    add(report, "step", "ms", 1e3 * m->seconds, "plan", 1e3 * plan->step_seconds);
    add(report, "step, shortest", "ms", 1e3 * m->least_seconds, NULL, 0);
    add(report, "step, longest", "ms", 1e3 * m->most_seconds, NULL, 0);
    add(report, "throughput beside the plan's", "tokens/s", (double)m->tokens / m->seconds, "plan", plan->tokens_per_s);
    add(report, "waited for data", "ms", 1e3 * m->stall_seconds, "the step", 1e3 * m->seconds);
    double sweep = (double)(batches * plan->micro_batch_tokens);
    bool streams = plan->crossover_tokens > 0;
    add(report, "tokens a sweep", "tokens", sweep, streams ? "crossover" : NULL, plan->crossover_tokens);
}

void ft_step_moved_add(ft_bench_report *report, const ft_bench_training *t, const ft_step_measured *m)
{
    add_homes(report, &t->session.plan);
    add_time(report, t, m);
    add_link(report, t, m, FT_RESOURCE_H2D, m->bytes_h2d);
    add_link(report, t, m, FT_RESOURCE_D2H, m->bytes_d2h);
    add_link(report, t, m, FT_RESOURCE_NVME, m->bytes_nvme);
    add_memory(report, t, m);
}
