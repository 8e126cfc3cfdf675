// Seconds: amounts per resource over measured rates, phase by phase, as the time model in plan.h says.
#include <math.h>
#include <string.h>

#include "offload/plan_internal.h"

const char *ft_resource_name(ft_resource resource)
{
    static const char *const names[FT_RESOURCE_COUNT] = {"compute", "h2d", "d2h", "nvme", "gather", "dram"};
    return names[resource];
}

static double tokens_per_sweep(const ft_plan *plan)
{
    return (double)plan->micro_batches * (double)plan->micro_batch_tokens;
}

static double gemm_rate(const ft_plan *plan)
{
    return plan->request.compute == FT_COMPUTE_FP8 ? plan->machine.gemm_fp8 : plan->machine.gemm_bf16;
}

static double down_parameters(const ft_plan *plan)
{
    return (double)plan->layout.shape.hidden * (double)plan->layout.shape.ffn;
}

double ft_plan_layer_flops(const ft_plan *plan)
{
    return 2.0 * (double)ft_shape_layer_parameters(&plan->layout.shape);
}

// LoRA forward per token and layer: S = x A^T and y += S B^T. Backward: dS, dB, dA, dx, twice that.
static double lora_flops(const ft_plan *plan)
{
    return 2.0 * (double)plan->lora_parameters / (double)plan->layout.shape.layers;
}

// Causal attention per token and layer: QK^T and PV over half of the longest document. Backward is 2.5 times that.
static double attention_flops(const ft_plan *plan)
{
    const ft_shape *shape = &plan->layout.shape;
    return 2.0 * (double)plan->request.max_document * (double)(shape->q_heads * shape->head_dim);
}

static double compute_seconds(const ft_plan *plan, double gemm_flops, double attention_forward, double attention_backward, double *flops)
{
    *flops = gemm_flops + attention_forward + attention_backward;
    return gemm_flops / gemm_rate(plan) + attention_forward / plan->machine.attention_forward +
           attention_backward / plan->machine.attention_backward;
}

// Writing the compute forms of layers that do not keep theirs, once per visit: bytes over the device's own copy rate. With
// `compute: fp8` on the way back alone, which is when W^T codes are made.
static double form_seconds(const ft_plan *plan, ft_direction direction)
{
    if (plan->repr == FT_REPR_F32) return 0;
    double bytes = 0;
    for (int64_t i = plan->resident_forms; i < plan->layout.shape.layers; i++)
        bytes += (double)plan->form[i].bytes + (double)plan->layout.record[i].bytes;
    bool forward_needs_none = plan->request.compute == FT_COMPUTE_FP8 && direction == FT_FORWARD;
    return forward_needs_none ? 0 : bytes / plan->machine.hbm;
}

static int64_t kept_layers(const ft_plan *plan)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < plan->layout.shape.layers; i++) kept += plan->keep[i];
    return kept;
}

// Making the inputs of qkv, gate+up and down once more for dA, in layers that keep all but these: two norms read and written, and
// SwiGLU's output written beside its gradient.
static double input_seconds(const ft_plan *plan)
{
    if (plan->repr == FT_REPR_F32 || plan->activation.keeps_inputs) return 0;
    const ft_shape *shape = &plan->layout.shape;
    double bytes = (double)ft_repr_bytes(plan->repr) * (double)(4 * shape->hidden + shape->ffn);
    return tokens_per_sweep(plan) * (double)kept_layers(plan) * bytes / plan->machine.hbm;
}

static void forward_compute(ft_plan *plan)
{
    double t = tokens_per_sweep(plan), layers = (double)plan->layout.shape.layers;
    plan->forward.seconds[FT_RESOURCE_COMPUTE] =
        compute_seconds(plan, t * layers * (ft_plan_layer_flops(plan) + lora_flops(plan)), t * layers * attention_flops(plan), 0,
                        &plan->forward.amount[FT_RESOURCE_COMPUTE]) +
        form_seconds(plan, FT_FORWARD);
}

// dX and LoRA gradients of every layer; layers that recompute run forward again without down_proj.
static void backward_compute(ft_plan *plan)
{
    double t = tokens_per_sweep(plan), layers = (double)plan->layout.shape.layers;
    double again = layers - (double)kept_layers(plan);
    double gemm = t * layers * (ft_plan_layer_flops(plan) + 2 * lora_flops(plan)) +
                  t * again * (ft_plan_layer_flops(plan) - 2 * down_parameters(plan) + lora_flops(plan));
    plan->backward.seconds[FT_RESOURCE_COMPUTE] =
        compute_seconds(plan, gemm, t * again * attention_flops(plan), 2.5 * t * layers * attention_flops(plan),
                        &plan->backward.amount[FT_RESOURCE_COMPUTE]) +
        form_seconds(plan, FT_BACKWARD) + input_seconds(plan);
}

// Record bytes the steady schedule brings in during one direction, over all layers or those at home on NVMe.
static double loaded_bytes(const ft_plan *plan, ft_direction direction, bool from_nvme)
{
    ft_sweep_mode mode = plan->request.train ? FT_SWEEP_TRAIN : FT_SWEEP_EVALUATE;
    double bytes = 0;
    for (int64_t i = 0; i < plan->n_visits[mode]; i++) {
        const ft_visit *visit = &plan->steady[mode][i];
        if (visit->direction != direction || !visit->load) continue;
        if (from_nvme && plan->home[visit->layer] != FT_TIER_NVME) continue;
        bytes += (double)plan->layout.record[visit->layer].bytes;
    }
    return bytes;
}

static void links(ft_plan *plan, ft_plan_phase *phase, ft_direction direction)
{
    const ft_machine *machine = &plan->machine;
    double gpus = plan->request.gpus, records = 0;
    double boundaries = (double)(plan->line[FT_LINE_HOST_BOUNDARIES] + plan->line[FT_LINE_SPILL]) / gpus;
    double spill = (double)plan->line[FT_LINE_SPILL];
    for (int64_t i = 0; i < plan->layout.shape.layers; i++) records += (double)plan->layout.record[i].bytes;
    double *amount = phase->amount;
    amount[FT_RESOURCE_H2D] = loaded_bytes(plan, direction, false) / gpus + (direction == FT_BACKWARD ? boundaries : 0);
    amount[FT_RESOURCE_D2H] = direction == FT_FORWARD ? boundaries : 0;
    amount[FT_RESOURCE_NVME] = loaded_bytes(plan, direction, true) + spill;
    amount[FT_RESOURCE_GATHER] = (gpus - 1) / gpus * records;
    amount[FT_RESOURCE_DRAM] = gpus * (amount[FT_RESOURCE_H2D] + amount[FT_RESOURCE_D2H]) + amount[FT_RESOURCE_NVME];
    double nvme_rate = machine->drives * (direction == FT_FORWARD && spill > 0 ? machine->nvme_write : machine->nvme_read);
    const double rate[FT_RESOURCE_COUNT] = {0, machine->h2d, machine->d2h, nvme_rate, machine->gather, machine->dram};
    for (int r = FT_RESOURCE_H2D; r < FT_RESOURCE_COUNT; r++)
        phase->seconds[r] = amount[r] > 0 && rate[r] > 0 ? amount[r] / rate[r] : 0;
}

static void finish_phase(ft_plan_phase *phase)
{
    phase->binding = FT_RESOURCE_COMPUTE;
    for (int r = 1; r < FT_RESOURCE_COUNT; r++)
        if (phase->seconds[r] > phase->seconds[phase->binding]) phase->binding = (ft_resource)r;
    phase->phase_seconds = phase->seconds[phase->binding];
}

// Logits and their gradient: 2 GEMMs with the head matrix when training, one when not.
static double head_seconds(const ft_plan *plan)
{
    double passes = plan->request.train ? 4.0 : 2.0;
    return passes * (double)ft_shape_head_parameters(&plan->layout.shape) * tokens_per_sweep(plan) / plan->machine.gemm_bf16;
}

// Link seconds of the forward phase do not depend on tokens (boundaries aside): above crossover_tokens compute hides them.
static void crossover(ft_plan *plan)
{
    plan->crossover_tokens = 0;
    plan->suggested_accumulation = 0;
    double tokens = tokens_per_sweep(plan), slowest = 0;
    for (int r = FT_RESOURCE_H2D; r < FT_RESOURCE_COUNT; r++)
        if (r != FT_RESOURCE_D2H && plan->forward.seconds[r] > slowest) slowest = plan->forward.seconds[r];
    double per_token = plan->forward.seconds[FT_RESOURCE_COMPUTE] / tokens;
    if (slowest <= 0 || per_token <= 0) return;
    plan->crossover_tokens = slowest / per_token;
    if (tokens >= plan->crossover_tokens) return;
    plan->suggested_accumulation = (int64_t)ceil(plan->crossover_tokens / (double)plan->micro_batch_tokens);
    double compute = plan->forward.seconds[FT_RESOURCE_COMPUTE] + plan->backward.seconds[FT_RESOURCE_COMPUTE] + plan->head_seconds;
    plan->suggested_tokens_per_s = tokens * plan->request.gpus / compute;
}

// AdamW reads p, g, m, v and writes p, m, v: 28 bytes a parameter; zeroing g is 4 more.
static double optimizer_seconds(const ft_plan *plan)
{
    if (!plan->request.train) return 0;
    double bytes = 32.0 * (double)plan->lora_parameters / plan->request.gpus;
    double reduce = plan->request.gpus > 1 ? 4.0 * (double)plan->lora_parameters * 2 / plan->machine.gather : 0;
    return bytes / plan->machine.hbm + reduce;
}

void ft_plan_time(ft_plan *plan)
{
    memset(&plan->forward, 0, sizeof plan->forward);
    memset(&plan->backward, 0, sizeof plan->backward);
    forward_compute(plan);
    links(plan, &plan->forward, FT_FORWARD);
    finish_phase(&plan->forward);
    if (plan->request.train) {
        backward_compute(plan);
        links(plan, &plan->backward, FT_BACKWARD);
    }
    finish_phase(&plan->backward);
    plan->head_seconds = head_seconds(plan);
    plan->optimizer_seconds = optimizer_seconds(plan);
    double sweep = plan->forward.phase_seconds + plan->backward.phase_seconds + plan->head_seconds;
    plan->step_seconds = (double)plan->sweeps * sweep + plan->optimizer_seconds;
    double tokens = (double)plan->request.accumulation * (double)plan->micro_batch_tokens * plan->request.gpus;
    plan->tokens_per_s = tokens / plan->step_seconds;
    bool forward_longer = plan->forward.phase_seconds >= plan->backward.phase_seconds;
    plan->binding = forward_longer ? plan->forward.binding : plan->backward.binding;
    crossover(plan);
}

int64_t ft_plan_step_bytes(const ft_plan *plan, ft_resource resource)
{
    return (int64_t)((plan->forward.amount[resource] + plan->backward.amount[resource]) * (double)plan->sweeps);
}
