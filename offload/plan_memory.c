// Bytes: every arena of a run as one line. The run carves exactly these, so a formula here is the formula.
#include <string.h>

#include "common/memory.h"
#include "io/engine.h"
#include "offload/plan_internal.h"
#include "offload/streamer_verify.h"

static int64_t round_piece(int64_t bytes)
{
    return (int64_t)ft_arena_round((size_t)bytes);
}

// Pieces of host pools are whole pages.
static int64_t round_page(int64_t bytes)
{
    return (bytes + FT_IO_ALIGN - 1) / FT_IO_ALIGN * FT_IO_ALIGN;
}

int64_t ft_plan_max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

ft_tier ft_plan_line_tier(ft_plan_line line)
{
    if (line < FT_LINE_HOST_RECORDS) return FT_TIER_HBM;
    return line < FT_LINE_STORE ? FT_TIER_HOST : FT_TIER_NVME;
}

const char *ft_plan_line_name(ft_plan_line line)
{
    static const char *const names[FT_LINE_COUNT] = {
        "pinned layers", "head", "layer slots", "embedding rows", "compute form", "adapter", "gradients", "moments",
        "boundaries", "boundary staging", "stream", "kept activations", "recompute block", "scratch", "workspace", "batch",
        "host layers", "host ring", "embedding", "spilled boundaries", "staging", "process", "base store", "spill", "checkpoints"};
    return names[line];
}

// Layers larger than the smallest by half: what a few unquantized ones among many quantized are. Streamed, each would make every
// slot as large as itself, so they are pinned first where all of them can be.
static int64_t mark_large(const ft_plan *plan, uint8_t *mark, int64_t pins)
{
    int64_t layers = plan->layout.shape.layers, smallest = plan->layout.layer_bytes_max, large = 0;
    const ft_record *record = plan->layout.record;
    for (int64_t i = 0; i < layers; i++)
        if (record[i].bytes < smallest) smallest = record[i].bytes;
    for (int64_t i = 0; i < layers; i++) large += record[i].bytes > smallest * 3 / 2;
    if (large > pins) return 0;
    for (int64_t i = 0; i < layers; i++) mark[i] = record[i].bytes > smallest * 3 / 2;
    return large;
}

// Homes of the layer records: HBM pins spread over all layers, host pins spread over what is left.
static void place_layers(ft_plan *plan, const ft_plan_choice *choice)
{
    int64_t layers = plan->layout.shape.layers;
    memset(plan->home, 0, (size_t)layers);
    int64_t large = mark_large(plan, plan->home, choice->pinned_hbm);  // marks 1
    ft_plan_spread(plan->home, layers, choice->pinned_hbm - large);
    for (int64_t i = 0; i < layers; i++) plan->home[i] = plan->home[i] ? 3 : 0;
    ft_plan_spread(plan->home, layers, choice->pinned_host);
    for (int64_t i = 0; i < layers; i++)
        plan->home[i] = plan->home[i] == 3 ? FT_TIER_HBM : plan->home[i] == 1 ? FT_TIER_HOST : (uint8_t)choice->rest;
    plan->home[ft_layout_embed(&plan->layout)] = (uint8_t)choice->embedding;
    plan->home[ft_layout_head(&plan->layout)] = FT_TIER_HBM;
}

// Kept layers are spread: the backward visit of one is about half as long as of one that recomputes, and a load hides behind the
// visits beside it alone. Walks through 8B, 70B and 405B steps at links of 25 to 55 GB/s are never longer than with the last or
// the first layers kept, and up to 4 % shorter where the link is nearly the bound; which of the spread ones are pinned changes
// nothing. The input of the last layer is used right after the turn, so spilling it would only move it twice; others that stay are
// spread, so that the link has an even load.
static void place_activations(ft_plan *plan, const ft_plan_choice *choice)
{
    int64_t layers = plan->layout.shape.layers;
    for (int64_t i = 0; i < layers; i++) {
        plan->keep[i] = 0;
        plan->boundary_home[i] = i == layers - 1;  // marks 1
    }
    ft_plan_spread(plan->keep, layers, choice->keep_layers);
    ft_plan_spread(plan->boundary_home, layers, choice->inputs_hbm);
    for (int64_t i = 0; i < layers; i++) plan->boundary_home[i] = plan->boundary_home[i] ? FT_TIER_HBM : (uint8_t)choice->boundary;
}

// Aliased layers are counted among those of host memory, in ascending order: the first `alias` of them are there.
int64_t ft_plan_source(const ft_plan *plan, int64_t layer)
{
    if (plan->request.alias <= 0) return layer;
    int64_t number = 0, source = 0;
    for (int64_t i = 0; i < layer; i++) number += plan->home[i] == FT_TIER_HOST;
    for (int64_t wanted = number % plan->request.alias;; source++)
        if (plan->home[source] == FT_TIER_HOST && wanted-- == 0) return source;
}

bool ft_plan_is_alias(const ft_plan *plan, int64_t record)
{
    if (plan->request.alias <= 0 || record >= plan->layout.shape.layers || plan->home[record] != FT_TIER_HOST) return false;
    int64_t number = 0;
    for (int64_t i = 0; i < record; i++) number += plan->home[i] == FT_TIER_HOST;
    return number >= plan->request.alias;
}

// Sum over layers of `home` of record bytes, aliased ones aside.
static int64_t records_at(const ft_plan *plan, ft_tier home)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < plan->layout.shape.layers; i++)
        if (plan->home[i] == home && !ft_plan_is_alias(plan, i)) bytes += plan->layout.record[i].bytes;
    return bytes;
}

static int64_t boundaries_at(const ft_plan *plan, ft_tier home)
{
    if (!plan->request.train) return 0;
    int64_t count = 0;
    for (int64_t i = 0; i < plan->layout.shape.layers; i++) count += plan->boundary_home[i] == home;
    return count * plan->micro_batches * plan->activation.boundary_bytes;
}

// A device holds 1/gpus of each record (NVLink gathers the rest into the slot) and all of the head.
static void weight_lines(ft_plan *plan)
{
    int64_t *line = plan->line, gpus = plan->request.gpus;
    const ft_record *record = plan->layout.record;
    int64_t head = record[ft_layout_head(&plan->layout)].bytes;
    int64_t embedding = record[ft_layout_embed(&plan->layout)].bytes;
    if (plan->layout.shape.tied) head += embedding;
    line[FT_LINE_PINNED_RECORDS] = (records_at(plan, FT_TIER_HBM) + gpus - 1) / gpus;
    line[FT_LINE_HEAD] = head + ft_plan_head_form_bytes(plan);
    bool rows_on_device = plan->home[ft_layout_embed(&plan->layout)] == FT_TIER_HBM;
    line[FT_LINE_EMBED_DEVICE] = rows_on_device && !plan->layout.shape.tied ? embedding : 0;
    line[FT_LINE_SLOTS] = plan->slots * plan->slot_bytes;
    int64_t sharing = plan->resident_forms < plan->layout.shape.layers;
    line[FT_LINE_COMPUTE_FORM] = (plan->resident_forms + sharing) * plan->form_bytes;
    line[FT_LINE_HOST_RECORDS] = records_at(plan, FT_TIER_HOST);
    bool embedding_in_memory = plan->home[ft_layout_embed(&plan->layout)] == FT_TIER_HOST;
    line[FT_LINE_EMBEDDING] = embedding_in_memory ? record[ft_layout_embed(&plan->layout)].bytes : 0;
    // Ring slots, and where embedding rows land that are read from the drives.
    line[FT_LINE_HOST_RING] = ft_streamer_pool_bytes(plan) - line[FT_LINE_HOST_RECORDS] - line[FT_LINE_EMBEDDING];
    line[FT_LINE_STORE] = plan->layout.bytes;
}

// A head that is not stored in bf16 has a copy that is, on CUDA.
int64_t ft_plan_head_form_bytes(const ft_plan *plan)
{
    const ft_shape *shape = &plan->layout.shape;
    bool as_stored = plan->repr == FT_REPR_F32 || shape->dtype == FT_DTYPE_BF16;
    return as_stored ? 0 : round_piece(shape->vocab * shape->hidden * 2);
}

static void adapter_lines(ft_plan *plan)
{
    int64_t *line = plan->line, floats = plan->lora_parameters;
    bool train = plan->request.train;
    line[FT_LINE_ADAPTER] = round_piece(floats * 4);
    line[FT_LINE_GRADIENTS] = train ? round_piece(floats * 4) : 0;
    // Moments are sharded over the devices: each updates its share and the masters are gathered.
    line[FT_LINE_MOMENTS] = train ? 2 * round_piece((floats + plan->request.gpus - 1) / plan->request.gpus * 4) : 0;
    line[FT_LINE_CHECKPOINTS] = train ? (plan->request.checkpoints_kept + 1) * floats * 12 : 0;
}

static void activation_lines(ft_plan *plan)
{
    int64_t *line = plan->line, batches = plan->micro_batches;
    const ft_activation_layout *act = &plan->activation;
    int64_t kept = 0;
    for (int64_t i = 0; i < plan->layout.shape.layers; i++) kept += plan->keep[i];
    bool spilled = boundaries_at(plan, FT_TIER_HOST) + boundaries_at(plan, FT_TIER_NVME) > 0;
    line[FT_LINE_BOUNDARIES] = boundaries_at(plan, FT_TIER_HBM);
    line[FT_LINE_BOUNDARY_STAGING] = spilled ? FT_PLAN_STAGING * act->boundary_bytes : 0;
    // One residual stream per micro-batch; two when inputs are copied out while the next layer already writes.
    line[FT_LINE_STREAM] = (spilled ? 2 : 1) * batches * act->boundary_bytes;
    line[FT_LINE_KEPT] = plan->request.train ? kept * batches * act->saved_bytes : 0;
    line[FT_LINE_RECOMPUTE] = act->saved_bytes;
    line[FT_LINE_SCRATCH] = act->scratch_bytes;
    line[FT_LINE_WORKSPACE] = ft_plan_max64(act->workspace_bytes, act->head_workspace_bytes);
    line[FT_LINE_HOST_BOUNDARIES] = boundaries_at(plan, FT_TIER_HOST) * plan->request.gpus;
    line[FT_LINE_SPILL] = boundaries_at(plan, FT_TIER_NVME) * plan->request.gpus;
    if (line[FT_LINE_SPILL] > 0) line[FT_LINE_HOST_RING] += ft_spill_pool_bytes(act->boundary_bytes);
}

// Device: labels, positions, document starts per micro-batch; the ids, or one buffer of embedding rows where the table is on NVMe;
// rope tables; rstd and norm weight of the head; scalars; hashes of stripes. Host: the same staged, and a snapshot of masters and
// moments for checkpoints.
static void batch_lines(ft_plan *plan)
{
    const ft_shape *shape = &plan->layout.shape;
    int64_t tokens = plan->micro_batch_tokens, embed_row = shape->hidden * (int64_t)ft_dtype_bytes(shape->dtype);
    bool ids = plan->home[ft_layout_embed(&plan->layout)] != FT_TIER_NVME;
    int64_t ints = round_piece(tokens * 4) * (2 + ids) + round_piece((tokens + 1) * 4);
    int64_t rope = 2 * round_piece(plan->request.sequence_len * (shape->head_dim / 2) * 4);
    plan->line[FT_LINE_BATCH] = plan->micro_batches * ints + (ids ? 0 : round_piece(tokens * embed_row)) + rope +
                                round_piece(tokens * 4) + round_piece(shape->hidden * 4) + 4096 +
                                round_piece(ft_verify_bytes(&plan->layout));
    int64_t snapshot = (plan->request.train ? 3 : 1) * round_page(plan->lora_parameters * 4);
    int64_t rows = ids ? 0 : tokens * embed_row;
    int64_t per_device = plan->micro_batches * ((2 + ids) * round_page(tokens * 4) + round_page((tokens + 1) * 4)) +
                         2 * round_page(rows) + round_page(64) + round_page(ft_verify_bytes(&plan->layout));
    plan->line[FT_LINE_HOST_STAGING] = per_device * plan->request.gpus + snapshot;
    plan->line[FT_LINE_PROCESS] = plan->request.process_host_bytes;
}

static void sum_tiers(ft_plan *plan)
{
    memset(plan->tier_bytes, 0, sizeof plan->tier_bytes);
    for (int line = 0; line < FT_LINE_COUNT; line++) plan->tier_bytes[ft_plan_line_tier((ft_plan_line)line)] += plan->line[line];
}

// One slot for the layer that computes and one for each ahead of it, as large as the largest layer that streams.
static void size_slots(ft_plan *plan, int64_t depth)
{
    int64_t streamed = ft_plan_streamed_layers(plan), on_nvme = 0;
    plan->slot_bytes = 0;
    for (int64_t i = 0; i < plan->layout.shape.layers; i++) {
        on_nvme += plan->home[i] == FT_TIER_NVME;
        if (plan->home[i] != FT_TIER_HBM) plan->slot_bytes = ft_plan_max64(plan->slot_bytes, plan->layout.record[i].bytes);
    }
    plan->prefetch_depth = depth;
    plan->slots = streamed < depth + 1 ? streamed : depth + 1;
    plan->host_slots = on_nvme < depth + 1 ? on_nvme : depth + 1;
}

void ft_plan_apply(ft_plan *plan, const ft_plan_choice *choice)
{
    place_layers(plan, choice);
    place_activations(plan, choice);
    size_slots(plan, choice->depth);
    plan->micro_batches = choice->micro_batches;
    plan->resident_forms = choice->resident_forms;
    if (plan->activation.keeps_inputs != choice->keep_inputs) ft_plan_activation(plan, choice->keep_inputs, &plan->activation);
    plan->sweeps = (plan->request.accumulation + choice->micro_batches - 1) / choice->micro_batches;
    weight_lines(plan);
    adapter_lines(plan);
    activation_lines(plan);
    batch_lines(plan);
    sum_tiers(plan);
}

int64_t ft_plan_room(const ft_plan *plan, ft_tier tier)
{
    return plan->tier_limit[tier] - plan->tier_bytes[tier];
}
