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

typedef struct {
    ft_resource resource;
    double bytes, busy_s;      // of a step
    double alone;              // bytes/s of the link by itself
} link_use;

static double planned_seconds(const ft_plan *plan, ft_resource r)
{
    double layers = ft_plan_step_seconds(plan, r);
    return r == FT_RESOURCE_COMPUTE ? layers + ft_plan_full_sweeps(plan) * plan->head_seconds + plan->optimizer_seconds : layers;
}

static void add_busy(ft_bench_report *report, const ft_plan *plan, ft_resource r, double seconds)
{
    char name[64];
    snprintf(name, sizeof name, "busy: %s", ft_resource_name(r));
    add(report, name, "ms", 1e3 * seconds, "plan", 1e3 * planned_seconds(plan, r));
}

// Bytes a step beside the plan's, and rates beside what the link gives alone: over the whole step, and while it was busy. Nothing where
// nothing is to move.
static void add_link(ft_bench_report *report, const ft_plan *plan, const ft_step_measured *m, const link_use *l)
{
    double planned = (double)ft_plan_step_bytes(plan, l->resource);
    const char *of = ft_resource_name(l->resource);
    char name[64];
    if (l->bytes <= 0 && planned <= 0) return;
    snprintf(name, sizeof name, "moved a step: %s", of);
    add(report, name, "GB", l->bytes / 1e9, "plan", planned / 1e9);
    snprintf(name, sizeof name, "over the step: %s", of);
    add(report, name, "GB/s", l->bytes / m->seconds / 1e9, "the link alone", l->alone / 1e9);
    if (l->busy_s <= 0) return;
    snprintf(name, sizeof name, "while busy: %s", of);
    add(report, name, "GB/s", l->bytes / l->busy_s / 1e9, "the link alone", l->alone / 1e9);
    add_busy(report, plan, l->resource, l->busy_s);
}

static void add_links(ft_bench_report *report, const ft_plan *plan, const ft_step_measured *m)
{
    const ft_machine *machine = &plan->machine;
    const link_use links[] = {{FT_RESOURCE_H2D, m->bytes_h2d, m->spent.h2d_s, machine->h2d},
                          {FT_RESOURCE_D2H, m->bytes_d2h, m->spent.d2h_s, machine->d2h},
                          {FT_RESOURCE_NVME, m->bytes_nvme, m->spent.nvme_s, machine->nvme_read * machine->drives}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) add_link(report, plan, m, &links[i]);
}

// What the computing queue waited for.
static void add_waits(ft_bench_report *report, const ft_step_measured *m)
{
    const ft_meter_step *s = &m->spent;
    const struct {
        const char *name;
        double seconds;
    } waits[] = {{"waited: h2d", s->stall_h2d_s}, {"waited: nvme", s->stall_nvme_s}, {"waited: spill", s->stall_spill_s}};
    add(report, "waited for data", "ms", 1e3 * s->stall_s, "the step", 1e3 * m->seconds);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        if (waits[i].seconds > 0) add(report, waits[i].name, "ms", 1e3 * waits[i].seconds, "the step", 1e3 * m->seconds);
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
    double sweep = (double)(batches * plan->micro_batch_tokens);
    bool streams = plan->crossover_tokens > 0;
    add(report, "tokens a sweep", "tokens", sweep, streams ? "crossover" : NULL, plan->crossover_tokens);
}

void ft_step_moved_add(ft_bench_report *report, const ft_bench_training *t, const ft_step_measured *m)
{
    const ft_plan *plan = &t->session.plan;
    add_homes(report, plan);
    add_time(report, t, m);
    add_busy(report, plan, FT_RESOURCE_COMPUTE, m->spent.compute_s);
    add_links(report, plan, m);
    add_waits(report, m);
    add_memory(report, t, m);
}
