// From a request to a plan: what does not depend on a choice, the search (plan_search.c), and what is short where nothing fits.
#include "offload/plan.h"

#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "offload/plan_internal.h"

static ft_status check_request(const ft_plan_request *request)
{
    if (request->gpus < 1 || request->gpus > request->machine->gpus)
        return ft_error(FT_E_INPUT, "gpus %d: the machine %s has %d", request->gpus, request->machine->name, request->machine->gpus);
    if (request->prefetch_depth < 0 || request->prefetch_depth > 16)
        return ft_error(FT_E_USAGE, "prefetch_depth %lld: must be 1 to 16, or 0 for the plan to choose", (long long)request->prefetch_depth);
    if (request->sequence_len < 1 || request->micro_batch_size < 1 || request->accumulation < 1)
        return ft_error(FT_E_USAGE, "sequence_len, micro_batch_size and gradient_accumulation_steps must be at least 1");
    int64_t layers = request->layout->shape.layers;
    if (request->alias < 0 || (request->alias > 0 && request->base_placement == FT_TIER_NVME))
        return ft_error(FT_E_USAGE, "alias: layers on NVMe are all there; only those in host memory may stand for others");
    if (request->pinned_hbm > layers || request->pinned_host > layers)
        return ft_error(FT_E_USAGE, "pinned_layers_hbm, pinned_layers_host: the model has only %lld layers", (long long)layers);
    return FT_OK;
}

static ft_status allocate(ft_plan *plan)
{
    int64_t layers = plan->layout.shape.layers;
    FT_ALLOC_CHECK(plan->home = ft_calloc((size_t)plan->layout.n_records, 1));
    FT_ALLOC_CHECK(plan->keep = ft_calloc((size_t)layers, 1));
    FT_ALLOC_CHECK(plan->boundary_home = ft_calloc((size_t)layers, 1));
    FT_ALLOC_CHECK(plan->form = FT_NEW_ARRAY(ft_compute_form, layers));
    FT_ALLOC_CHECK(plan->cost = FT_NEW_ARRAY(ft_plan_cost, 2 * layers));
    for (int mode = 0; mode < FT_SWEEP_MODES; mode++) {
        plan->n_visits[mode] = mode == FT_SWEEP_TRAIN ? 2 * layers : layers;
        FT_ALLOC_CHECK(plan->cold[mode] = FT_NEW_ARRAY(ft_visit, plan->n_visits[mode]));
        FT_ALLOC_CHECK(plan->steady[mode] = FT_NEW_ARRAY(ft_visit, plan->n_visits[mode]));
    }
    return FT_OK;
}

static int64_t limit(int64_t budget, int64_t machine)
{
    return budget > 0 ? budget : machine;
}

void ft_plan_activation(const ft_plan *plan, bool keep_inputs, ft_activation_layout *layout)
{
    const ft_plan_request *request = &plan->request;
    const ft_activation_options options = {
        .tokens = plan->micro_batch_tokens, .max_document = request->max_document, .max_docs = request->max_docs,
        .head_chunk = request->head_chunk, .mlp_chunk = request->mlp_chunk, .lora_r = request->lora_r,
        .lora_targets = request->lora_targets, .dropout = request->dropout,
        .repr = plan->repr, .fp8 = request->compute == FT_COMPUTE_FP8, .keep_inputs = keep_inputs,
        .device = request->compute == FT_COMPUTE_F32 ? FT_DEVICE_CPU : FT_DEVICE_CUDA};
    ft_activation_layout_make(layout, &plan->layout.shape, &options);
}

// Seconds of every layer, without kept inputs and with them.
static void cost_layers(ft_plan *plan)
{
    int64_t layers = plan->layout.shape.layers;
    for (int keep = 0; keep < 2; keep++) {
        ft_activation_layout activation;
        ft_plan_activation(plan, keep != 0, &activation);
        for (int64_t i = 0; i < layers; i++) ft_plan_cost_layer(plan, i, &activation, &plan->cost[keep * layers + i]);
    }
}

// What does not depend on the choice.
static void derive(ft_plan *plan)
{
    ft_plan_request *request = &plan->request;
    const ft_shape *shape = &plan->layout.shape;
    if (request->max_document < 1) request->max_document = request->sequence_len;
    if (request->max_docs < 1) request->max_docs = request->micro_batch_size;
    plan->repr = request->compute == FT_COMPUTE_F32 ? FT_REPR_F32 : FT_REPR_BF16;
    plan->micro_batch_tokens = request->sequence_len * request->micro_batch_size;
    plan->lora_parameters = ft_lora_floats(shape, request->lora_r, request->lora_targets);
    ft_plan_activation(plan, false, &plan->activation);
    for (int64_t i = 0; i < shape->layers; i++) {
        ft_compute_form_make(&plan->form[i], &plan->layout.record[i], &plan->activation, request->compute);
        plan->form_bytes = ft_plan_max64(plan->form_bytes, plan->form[i].bytes);
    }
    cost_layers(plan);
    plan->tier_limit[FT_TIER_HBM] = limit(request->hbm_budget, plan->machine.hbm_bytes);
    plan->tier_limit[FT_TIER_HOST] = limit(request->host_budget, plan->machine.host_bytes);
    plan->tier_limit[FT_TIER_NVME] = limit(request->nvme_budget, plan->machine.nvme_bytes);
}

static const char *largest_line(const ft_plan *plan, ft_tier tier)
{
    int largest = -1;
    for (int line = 0; line < FT_LINE_COUNT; line++)
        if (ft_plan_line_tier((ft_plan_line)line) == tier && (largest < 0 || plan->line[line] > plan->line[largest])) largest = line;
    return ft_plan_line_name((ft_plan_line)largest);
}

// What a budget could be raised to: all that the machine offers. The device memory of a CPU is a part of the host's.
static int64_t machine_bytes(const ft_plan *plan, int tier)
{
    const ft_machine *machine = &plan->machine;
    int64_t hbm = machine->device == FT_DEVICE_CPU ? ft_plan_max64(machine->hbm_bytes, machine->host_bytes) : machine->hbm_bytes;
    return tier == FT_TIER_HBM ? hbm : tier == FT_TIER_HOST ? machine->host_bytes : machine->nvme_bytes;
}

// What is short in the smallest arrangement the wishes allow, and what would make it fit.
static ft_status does_not_fit(ft_plan *plan)
{
    static const char *const tiers[] = {"device memory", "host memory", "NVMe"};
    static const char *const flags[] = {"--hbm-budget", "--host-budget", "--nvme-budget"};
    static const char *const remedies[] = {
        "lower sequence_len, micro_batch_size or lora_r", "lower sequence_len or micro_batch_size, or use --base-placement nvme",
        "add a directory to --nvme or lower save_total_limit"};
    ft_plan_choice choice;
    ft_plan_smallest(plan, &choice);
    ft_plan_apply(plan, &choice);
    int tier = 0;
    while (tier < FT_TIER_NVME && plan->tier_bytes[tier] <= plan->tier_limit[tier]) tier++;
    char need[FT_HUMAN_BYTES], have[FT_HUMAN_BYTES], raise[64] = "the machine has no more: ";
    if (plan->tier_bytes[tier] <= machine_bytes(plan, tier))
        snprintf(raise, sizeof raise, "raise %s to %lld or ", flags[tier], (long long)plan->tier_bytes[tier]);
    return ft_error(FT_E_INPUT, "the run does not fit: %s is short by %lld bytes (needs %s, has %s; largest part: %s); %s%s",
                    tiers[tier], (long long)(plan->tier_bytes[tier] - plan->tier_limit[tier]),
                    ft_human_bytes(need, (double)plan->tier_bytes[tier]), ft_human_bytes(have, (double)plan->tier_limit[tier]),
                    largest_line(plan, (ft_tier)tier), raise, remedies[tier]);
}

ft_status ft_plan_make(ft_plan *plan, const ft_plan_request *request)
{
    *plan = (ft_plan){.request = *request, .layout = *request->layout, .machine = *request->machine};
    plan->request.layout = &plan->layout;
    plan->request.machine = &plan->machine;
    ft_status status = check_request(request);
    if (status == FT_OK) status = allocate(plan);
    if (status != FT_OK) goto out;
    derive(plan);
    ft_plan_choice choice;
    if (!ft_plan_search(plan, &choice)) {
        status = does_not_fit(plan);
        goto out;
    }
    ft_plan_apply(plan, &choice);
    ft_plan_schedule(plan);
    ft_plan_time(plan);
out:
    if (status != FT_OK) ft_plan_free(plan);
    return status;
}

void ft_plan_free(ft_plan *plan)
{
    ft_free(plan->home);
    ft_free(plan->keep);
    ft_free(plan->boundary_home);
    ft_free(plan->form);
    ft_free(plan->cost);
    for (int mode = 0; mode < FT_SWEEP_MODES; mode++) {
        ft_free(plan->cold[mode]);
        ft_free(plan->steady[mode]);
    }
    *plan = (ft_plan){0};
}
