// The table people read, and the same as JSON.
#include <stdio.h>
#include <string.h>

#include "offload/plan_internal.h"

const char *ft_plan_tier_name(int tier)
{
    static const char *const names[] = {"HBM", "host", "NVMe"};
    return names[tier];
}

// Billions, or millions where there is less than one.
static const char *parameter_text(char text[FT_HUMAN_BYTES], double n)
{
    snprintf(text, FT_HUMAN_BYTES, n < 1e9 ? "%.1f M" : "%.2f B", n < 1e9 ? n / 1e6 : n / 1e9);
    return text;
}

static ft_status print_header(const ft_plan *plan, ft_text *out)
{
    const ft_shape *shape = &plan->layout.shape;
    const ft_plan_request *request = &plan->request;
    char base[FT_HUMAN_BYTES], parameters[FT_HUMAN_BYTES];
    FT_TRY(ft_text_printf(out, "Model    %s, %lld layers, hidden %lld, ffn %lld, heads %lld/%lld, vocab %lld: %s parameters, base %s in %s\n",
                          shape->family->model_type, (long long)shape->layers, (long long)shape->hidden, (long long)shape->ffn,
                          (long long)shape->q_heads, (long long)shape->kv_heads, (long long)shape->vocab,
                          parameter_text(parameters, (double)ft_shape_parameters(shape)), ft_human_bytes(base, (double)plan->layout.bytes),
                          plan->layout.format == FT_BASE_FP8 ? "FP8" : "BF16"));
    FT_TRY(ft_text_printf(out, "Machine  %s: %d device%s, %d drive%s (rates: %s)\n", plan->machine.name, request->gpus,
                          request->gpus == 1 ? "" : "s", plan->machine.drives, plan->machine.drives == 1 ? "" : "s", plan->machine.source));
    FT_TRY(ft_text_printf(out, "Step     %lld x %lld tokens x %lld accumulated x %d device%s = %lld tokens, in %lld sweep%s of %lld micro-batch%s",
                          (long long)request->micro_batch_size, (long long)request->sequence_len, (long long)request->accumulation, request->gpus,
                          request->gpus == 1 ? "" : "s",
                          (long long)(plan->micro_batch_tokens * request->accumulation * request->gpus), (long long)plan->sweeps,
                          plan->sweeps == 1 ? "" : "s", (long long)plan->micro_batches, plan->micro_batches == 1 ? "" : "es"));
    int64_t last = request->accumulation - (plan->sweeps - 1) * plan->micro_batches;
    if (last < plan->micro_batches) FT_TRY(ft_text_printf(out, ", the last of %lld", (long long)last));
    return ft_text_printf(out, "; LoRA r %lld: %.1f M parameters\n", (long long)request->lora_r, (double)plan->lora_parameters / 1e6);
}

static int64_t count_aliases(const ft_plan *plan)
{
    int64_t aliases = 0;
    for (int64_t i = 0; i < plan->layout.shape.layers; i++) aliases += ft_plan_is_alias(plan, i);
    return aliases;
}

static ft_status print_placement(const ft_plan *plan, ft_text *out)
{
    int64_t homes[FT_TIER_COUNT] = {0}, kept = 0, spilled = 0, layers = plan->layout.shape.layers;
    for (int64_t i = 0; i < layers; i++) {
        homes[plan->home[i]]++;
        kept += plan->keep[i];
        spilled += plan->boundary_home[i] != FT_TIER_HBM;
    }
    FT_TRY(ft_text_printf(out, "Layers   %lld in HBM, %lld in host memory, %lld on NVMe; %lld slot%s, ring of %lld\n", (long long)homes[FT_TIER_HBM],
                          (long long)homes[FT_TIER_HOST], (long long)homes[FT_TIER_NVME], (long long)plan->slots,
                          plan->slots == 1 ? "" : "s", (long long)plan->host_slots));
    if (count_aliases(plan) > 0)
        FT_TRY(ft_text_printf(out, "Aliased  %lld of %lld layers are real, and stand for the others in host memory\n",
                              (long long)(layers - count_aliases(plan)), (long long)layers));
    if (!plan->request.train) return FT_OK;
    FT_TRY(ft_text_printf(out, "Kept     activations of %lld layers kept%s, %lld recomputed; layer inputs: %lld in HBM, %lld spilled\n",
                          (long long)kept, plan->activation.keeps_inputs ? " with the inputs of their linears" : "", (long long)(layers - kept),
                          (long long)(layers - spilled), (long long)spilled));
    if (plan->repr == FT_REPR_F32) return FT_OK;
    return ft_text_printf(out, "Forms    of %lld layers stay, of %lld made at each visit\n", (long long)plan->resident_forms,
                          (long long)(layers - plan->resident_forms));
}

static ft_status print_memory(const ft_plan *plan, ft_text *out)
{
    char bytes[FT_HUMAN_BYTES], most[FT_HUMAN_BYTES];
    for (int tier = 0; tier < FT_TIER_COUNT; tier++) {
        FT_TRY(ft_text_printf(out, "\n%-5s %12s of %s%s\n", ft_plan_tier_name(tier), ft_human_bytes(bytes, (double)plan->tier_bytes[tier]),
                              ft_human_bytes(most, (double)plan->tier_limit[tier]), tier == FT_TIER_HBM && plan->request.gpus > 1 ? ", per device" : ""));
        for (int line = 0; line < FT_LINE_COUNT; line++) {
            if (ft_plan_line_tier((ft_plan_line)line) != (ft_tier)tier || plan->line[line] == 0) continue;
            FT_TRY(ft_text_printf(out, "      %12s  %s\n", ft_human_bytes(bytes, (double)plan->line[line]), ft_plan_line_name((ft_plan_line)line)));
        }
    }
    return FT_OK;
}

static ft_status print_phase(const char *name, const ft_plan_phase *phase, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "%-9s", name));
    for (int r = 0; r < FT_RESOURCE_COUNT; r++) FT_TRY(ft_text_printf(out, " %10.4f", phase->seconds[r]));
    return ft_text_printf(out, "   %s\n", ft_resource_name(phase->binding));
}

static double busy_seconds(const ft_plan *plan)
{
    return ft_plan_step_seconds(plan, FT_RESOURCE_COMPUTE) + ft_plan_full_sweeps(plan) * (plan->embed_seconds + plan->head_seconds) + plan->optimizer_seconds;
}

// What each resource does in a step, whoever waits for whom.
static ft_status print_step(const ft_plan *plan, ft_text *out)
{
    double sweeps = ft_plan_full_sweeps(plan), layers = ft_plan_step_seconds(plan, FT_RESOURCE_COMPUTE), busy = busy_seconds(plan);
    FT_TRY(ft_text_printf(out, "\nSeconds a step: layers %.4f, embedding %.4f, head %.4f, optimizer %.4f, waiting %.4f", layers, sweeps * plan->embed_seconds,
                          sweeps * plan->head_seconds, plan->optimizer_seconds, plan->step_seconds > busy ? plan->step_seconds - busy : 0.0));
    const char *separator = ";";
    for (int r = FT_RESOURCE_H2D; r < FT_RESOURCE_COUNT; r++) {
        if (ft_plan_step_seconds(plan, (ft_resource)r) <= 0) continue;
        FT_TRY(ft_text_printf(out, "%s %s %.4f", separator, ft_resource_name((ft_resource)r), ft_plan_step_seconds(plan, (ft_resource)r)));
        separator = ",";
    }
    return ft_text_printf(out, "\n");
}

// Whether streaming is hidden, and which batch would be faster where it is not.
static ft_status print_crossover(const ft_plan *plan, ft_text *out)
{
    ft_plan_suggestion more;
    if (plan->crossover_tokens <= 0) return FT_OK;
    if (plan->suggested_accumulation == 0)
        return ft_text_printf(out, "Streaming is free here: the crossover is at %.0f tokens a sweep\n", plan->crossover_tokens);
    FT_TRY(ft_plan_suggest(plan, &more));
    FT_TRY(ft_text_printf(out, "Streaming is free above %.0f tokens a sweep: ", plan->crossover_tokens));
    if (more.accumulation == 0) return ft_text_printf(out, "no larger batch was found that is faster\n");
    return ft_text_printf(out, "with gradient_accumulation_steps %lld the plan is %.0f tokens/s (the batch is yours: nothing is changed)\n",
                          (long long)more.accumulation, more.tokens_per_s);
}

static ft_status print_time(const ft_plan *plan, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "\nSeconds a sweep"));
    FT_TRY(ft_text_printf(out, "\n%-9s", ""));
    for (int r = 0; r < FT_RESOURCE_COUNT; r++) FT_TRY(ft_text_printf(out, " %10s", ft_resource_name((ft_resource)r)));
    FT_TRY(ft_text_printf(out, "   bound by\n"));
    FT_TRY(print_phase("forward", &plan->forward, out));
    if (plan->request.train) FT_TRY(print_phase("backward", &plan->backward, out));
    FT_TRY(print_step(plan, out));
    FT_TRY(ft_text_printf(out, "Step %.3f s, %.0f tokens/s, bound by %s\n", plan->step_seconds, plan->tokens_per_s, ft_resource_name(plan->binding)));
    return print_crossover(plan, out);
}

ft_status ft_plan_print(const ft_plan *plan, ft_text *out)
{
    FT_TRY(print_header(plan, out));
    FT_TRY(print_placement(plan, out));
    FT_TRY(print_memory(plan, out));
    return print_time(plan, out);
}

static json_t *phase_json(const ft_plan_phase *phase)
{
    json_t *resources = json_object();
    for (int r = 0; r < FT_RESOURCE_COUNT; r++)
        json_object_set_new(resources, ft_resource_name((ft_resource)r),
                            json_pack("{s:f, s:f}", "amount", phase->amount[r], "seconds", phase->seconds[r]));
    return json_pack("{s:f, s:s, s:o}", "seconds", phase->phase_seconds, "binding", ft_resource_name(phase->binding), "resources", resources);
}

// Seconds each resource is busy in a step.
static json_t *step_json(const ft_plan *plan)
{
    json_t *seconds = json_object();
    for (int r = 0; r < FT_RESOURCE_COUNT; r++)
        json_object_set_new(seconds, ft_resource_name((ft_resource)r), json_real(ft_plan_step_seconds(plan, (ft_resource)r)));
    return seconds;
}

static json_t *lines_json(const ft_plan *plan, ft_tier tier)
{
    json_t *lines = json_object();
    for (int line = 0; line < FT_LINE_COUNT; line++)
        if (ft_plan_line_tier((ft_plan_line)line) == tier)
            json_object_set_new(lines, ft_plan_line_name((ft_plan_line)line), json_integer(plan->line[line]));
    return json_pack("{s:I, s:I, s:o}", "bytes", (json_int_t)plan->tier_bytes[tier], "limit", (json_int_t)plan->tier_limit[tier], "lines", lines);
}

static json_t *tiers_json(const ft_plan *plan)
{
    json_t *tiers = json_object();
    for (int tier = 0; tier < FT_TIER_COUNT; tier++) json_object_set_new(tiers, ft_plan_tier_name(tier), lines_json(plan, (ft_tier)tier));
    return tiers;
}

static json_t *layers_json(const ft_plan *plan)
{
    json_t *layers = json_array();
    for (int64_t i = 0; i < plan->layout.shape.layers; i++)
        json_array_append_new(layers, json_pack("{s:I, s:s, s:I, s:b, s:s}", "layer", (json_int_t)i, "home", ft_plan_tier_name(plan->home[i]),
                                                "bytes", (json_int_t)plan->layout.record[i].bytes, "keep", plan->keep[i], "boundary",
                                                ft_plan_tier_name(plan->boundary_home[i])));
    return layers;
}

json_t *ft_plan_json(const ft_plan *plan)
{
    const ft_plan_request *request = &plan->request;
    ft_plan_suggestion more;
    if (ft_plan_suggest(plan, &more) != FT_OK) return NULL;
    json_t *run = json_pack("{s:I, s:I, s:I, s:i, s:I, s:I, s:I}", "sequence_len", (json_int_t)request->sequence_len, "micro_batch_size",
                            (json_int_t)request->micro_batch_size, "gradient_accumulation_steps", (json_int_t)request->accumulation, "gpus",
                            request->gpus, "lora_r", (json_int_t)request->lora_r, "micro_batches_per_sweep", (json_int_t)plan->micro_batches,
                            "sweeps", (json_int_t)plan->sweeps);
    json_t *slots = json_pack("{s:I, s:I, s:I, s:I}", "device", (json_int_t)plan->slots, "host", (json_int_t)plan->host_slots,
                              "bytes", (json_int_t)plan->slot_bytes, "prefetch_depth", (json_int_t)plan->prefetch_depth);
    return json_pack("{s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:s, s:f, s:I, s:f}", "machine", plan->machine.name, "run", run,
                     "lora_parameters", (json_int_t)plan->lora_parameters, "memory", tiers_json(plan), "layers", layers_json(plan), "slots", slots,
                     "forward", phase_json(&plan->forward), "backward", phase_json(&plan->backward), "step", step_json(plan),
                     "embed_seconds", plan->embed_seconds, "head_seconds", plan->head_seconds,
                     "optimizer_seconds", plan->optimizer_seconds, "step_seconds", plan->step_seconds, "tokens_per_s", plan->tokens_per_s,
                     "binding", ft_resource_name(plan->binding), "crossover_tokens", plan->crossover_tokens, "suggested_accumulation",
                     (json_int_t)more.accumulation, "suggested_tokens_per_s", more.tokens_per_s);
}
