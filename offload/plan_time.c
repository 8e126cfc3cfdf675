// Seconds: amounts per resource over measured rates, phase by phase, and the walk through the schedule that they bound from below.
#include <math.h>
#include <string.h>

#include "offload/plan_internal.h"

// Gradient norm, its decision and the read-back of a step's result: launches and waits that do not grow with the adapter.
#define STEP_SECONDS 3e-3

const char *ft_resource_name(ft_resource resource)
{
    static const char *const names[FT_RESOURCE_COUNT] = {"compute", "h2d", "d2h", "nvme", "gather", "dram"};
    return names[resource];
}

static double tokens_per_sweep(const ft_plan *plan)
{
    return (double)plan->micro_batches * (double)plan->micro_batch_tokens;
}

static ft_sweep_mode mode_of(const ft_plan *plan)
{
    return plan->request.train ? FT_SWEEP_TRAIN : FT_SWEEP_EVALUATE;
}

double ft_plan_nvme_read(const ft_plan *plan)
{
    const ft_machine *machine = &plan->machine;
    return machine->nvme_read_all > 0 ? machine->nvme_read_all : machine->drives * machine->nvme_read;
}

double ft_plan_spill_rate(const ft_plan *plan, ft_direction direction)
{
    return direction == FT_FORWARD ? plan->machine.drives * plan->machine.nvme_write : ft_plan_nvme_read(plan);
}

static void compute(ft_plan *plan)
{
    ft_sweep_mode mode = mode_of(plan);
    const ft_visit *before = &plan->steady[mode][plan->n_visits[mode] - 1];  // of the sweep before
    for (int64_t i = 0; i < plan->n_visits[mode]; i++) {
        const ft_visit *visit = &plan->steady[mode][i];
        ft_plan_phase *phase = visit->direction == FT_FORWARD ? &plan->forward : &plan->backward;
        ft_plan_work form, work;
        ft_plan_visit_work(plan, visit, ft_plan_stands(plan, before, visit), &form, &work);
        phase->seconds[FT_RESOURCE_COMPUTE] += ft_plan_work_seconds(&form) + ft_plan_work_seconds(&work);
        phase->amount[FT_RESOURCE_COMPUTE] += work.flops;
        before = visit;
    }
}

// Record bytes the steady schedule brings in during one direction, over all layers or those at home on NVMe.
static double loaded_bytes(const ft_plan *plan, ft_direction direction, bool from_nvme)
{
    ft_sweep_mode mode = mode_of(plan);
    double bytes = 0;
    for (int64_t i = 0; i < plan->n_visits[mode]; i++) {
        const ft_visit *visit = &plan->steady[mode][i];
        if (visit->direction != direction || !visit->load) continue;
        if (from_nvme && plan->home[visit->layer] != FT_TIER_NVME) continue;
        bytes += (double)plan->layout.record[visit->layer].bytes;
    }
    return bytes;
}

static double seconds_of(double bytes, double rate)
{
    return bytes > 0 && rate > 0 ? bytes / rate : 0;
}

// While both directions run each has its rate of then; what is left of the longer one has its own.
static double link_seconds(double bytes, double other, double alone, double both, double other_both)
{
    if (bytes <= 0 || alone <= 0) return 0;
    if (both <= 0 || other_both <= 0) return bytes / alone;
    double together = fmin(bytes / both, other / other_both);
    return together + (bytes - together * both) / alone;
}

// `share`: of a full sweep's layer inputs.
static void links(ft_plan *plan, ft_plan_phase *phase, ft_direction direction, double share)
{
    const ft_machine *machine = &plan->machine;
    double gpus = plan->request.gpus, records = 0;
    double boundaries = share * (double)(plan->line[FT_LINE_HOST_BOUNDARIES] + plan->line[FT_LINE_SPILL]) / gpus;
    double spill = share * (double)plan->line[FT_LINE_SPILL];
    for (int64_t i = 0; i < plan->layout.shape.layers; i++) records += (double)plan->layout.record[i].bytes;
    double *amount = phase->amount;
    amount[FT_RESOURCE_H2D] = loaded_bytes(plan, direction, false) / gpus + (direction == FT_BACKWARD ? boundaries : 0);
    amount[FT_RESOURCE_D2H] = direction == FT_FORWARD ? boundaries : 0;
    amount[FT_RESOURCE_NVME] = loaded_bytes(plan, direction, true) + spill;
    amount[FT_RESOURCE_GATHER] = (gpus - 1) / gpus * records;
    amount[FT_RESOURCE_DRAM] = gpus * (amount[FT_RESOURCE_H2D] + amount[FT_RESOURCE_D2H]) + amount[FT_RESOURCE_NVME];
    double loaded = amount[FT_RESOURCE_NVME] - spill;
    phase->seconds[FT_RESOURCE_NVME] = seconds_of(loaded, ft_plan_nvme_read(plan)) + seconds_of(spill, ft_plan_spill_rate(plan, direction));
    phase->seconds[FT_RESOURCE_GATHER] = seconds_of(amount[FT_RESOURCE_GATHER], machine->gather);
    phase->seconds[FT_RESOURCE_DRAM] = seconds_of(amount[FT_RESOURCE_DRAM], machine->dram);
    phase->seconds[FT_RESOURCE_H2D] = link_seconds(amount[FT_RESOURCE_H2D], amount[FT_RESOURCE_D2H], machine->h2d, machine->h2d_both, machine->d2h_both);
    phase->seconds[FT_RESOURCE_D2H] = link_seconds(amount[FT_RESOURCE_D2H], amount[FT_RESOURCE_H2D], machine->d2h, machine->d2h_both, machine->h2d_both);
}

static void finish_phase(ft_plan_phase *phase, double elapsed)
{
    phase->binding = FT_RESOURCE_COMPUTE;
    for (int r = 1; r < FT_RESOURCE_COUNT; r++)
        if (phase->seconds[r] > phase->seconds[phase->binding]) phase->binding = (ft_resource)r;
    phase->phase_seconds = elapsed;
}

// Link seconds of the forward phase do not depend on tokens (boundaries aside), nor do the forms: above crossover_tokens compute
// hides the loads.
static void crossover(ft_plan *plan, double form_seconds)
{
    plan->crossover_tokens = 0;
    plan->suggested_accumulation = 0;
    double tokens = tokens_per_sweep(plan), slowest = 0;
    for (int r = FT_RESOURCE_H2D; r < FT_RESOURCE_COUNT; r++)
        if (r != FT_RESOURCE_D2H && plan->forward.seconds[r] > slowest) slowest = plan->forward.seconds[r];
    double per_token = (plan->forward.seconds[FT_RESOURCE_COMPUTE] - form_seconds) / tokens;
    if (slowest <= form_seconds || per_token <= 0) return;
    plan->crossover_tokens = (slowest - form_seconds) / per_token;
    if (tokens >= plan->crossover_tokens) return;
    plan->suggested_accumulation = (int64_t)ceil(plan->crossover_tokens / (double)plan->micro_batch_tokens);
}

// AdamW's bytes and the gradient norm's are of the op table; zeroing the gradients is 4 more a parameter.
static double optimizer_seconds(const ft_plan *plan)
{
    if (!plan->request.train) return 0;
    const ft_op_shape all = {.n = plan->lora_parameters}, share = {.n = plan->lora_parameters / plan->request.gpus};
    double bytes = ft_op_table[FT_OP_ADAMW].bytes(&share, FT_REPR_F32) + ft_op_table[FT_OP_CLIP].bytes(&all, FT_REPR_F32) + 4.0 * (double)all.n;
    double reduce = plan->request.gpus > 1 ? 4.0 * (double)plan->lora_parameters * 2 / plan->machine.gather : 0;
    return bytes / plan->machine.hbm + reduce + (plan->machine.device == FT_DEVICE_CPU ? 0 : STEP_SECONDS);
}

// The phases of a sweep of `batches` micro-batches; returns its elapsed seconds.
static double time_sweep(ft_plan *plan, int64_t batches, ft_plan_elapsed *elapsed)
{
    int64_t full = plan->micro_batches;
    double share = (double)batches / (double)full;
    memset(&plan->forward, 0, sizeof plan->forward);
    memset(&plan->backward, 0, sizeof plan->backward);
    plan->micro_batches = batches;
    compute(plan);
    links(plan, &plan->forward, FT_FORWARD, share);
    if (plan->request.train) links(plan, &plan->backward, FT_BACKWARD, share);
    ft_plan_walk(plan, elapsed);
    plan->micro_batches = full;
    finish_phase(&plan->forward, elapsed->forward);
    finish_phase(&plan->backward, elapsed->backward);
    return elapsed->embed + elapsed->forward + elapsed->head + elapsed->backward;
}

// The last sweep first, so that the phases that stay are those of a full one.
void ft_plan_time(ft_plan *plan)
{
    ft_plan_elapsed elapsed;
    plan->optimizer_seconds = optimizer_seconds(plan);
    int64_t rest = plan->request.accumulation - (plan->sweeps - 1) * plan->micro_batches;
    double last = time_sweep(plan, rest, &elapsed), full = last;
    plan->last[FT_FORWARD] = plan->forward;
    plan->last[FT_BACKWARD] = plan->backward;
    if (rest < plan->micro_batches) full = time_sweep(plan, plan->micro_batches, &elapsed);
    plan->head_seconds = elapsed.head;
    plan->embed_seconds = elapsed.embed;
    plan->step_seconds = (double)(plan->sweeps - 1) * full + last + plan->optimizer_seconds;
    double tokens = (double)plan->request.accumulation * (double)plan->micro_batch_tokens * plan->request.gpus;
    plan->tokens_per_s = tokens / plan->step_seconds;
    bool forward_longer = plan->forward.phase_seconds >= plan->backward.phase_seconds;
    plan->binding = forward_longer ? plan->forward.binding : plan->backward.binding;
    crossover(plan, elapsed.form);
}

int64_t ft_plan_step_bytes(const ft_plan *plan, ft_resource resource)
{
    double full = plan->forward.amount[resource] + plan->backward.amount[resource];
    double last = plan->last[FT_FORWARD].amount[resource] + plan->last[FT_BACKWARD].amount[resource];
    return (int64_t)((double)(plan->sweeps - 1) * full + last);
}

double ft_plan_step_seconds(const ft_plan *plan, ft_resource resource)
{
    double full = plan->forward.seconds[resource] + plan->backward.seconds[resource];
    double last = plan->last[FT_FORWARD].seconds[resource] + plan->last[FT_BACKWARD].seconds[resource];
    return (double)(plan->sweeps - 1) * full + last;
}

double ft_plan_full_sweeps(const ft_plan *plan)
{
    return (double)plan->request.accumulation / (double)plan->micro_batches;
}
