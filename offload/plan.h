// The plan: a pure function of model, run and machine that says where every byte lives, when it moves, and how long a step
// takes. No GPU, no weights and no clock are consulted. The run executes it and asserts it.
//
// Time model. Amounts over rates give seconds per resource (compute, h2d, d2h, nvme, gather, dram) of each phase: bytes over the
// machine's measured rates, FLOPs over its measured GEMM and attention rates, everything else on the device as bytes over its
// copy rate (plan_compute.c). The longest resource bounds a sweep from below; the length of a phase is that of a walk through the
// schedule (plan_walk.c), which also finds what a maximum does not: the link standing still around the turns, and visits too short
// for the load beside them.
//   step = sum over sweeps of (embedding + forward + head + backward) + optimizer
#ifndef FT_OFFLOAD_PLAN_H
#define FT_OFFLOAD_PLAN_H

#include <jansson.h>

#include "common/text.h"
#include "offload/activation.h"
#include "offload/machine.h"
#include "offload/record.h"

typedef enum { FT_TIER_HBM, FT_TIER_HOST, FT_TIER_NVME, FT_TIER_COUNT } ft_tier;
typedef enum { FT_POLICY_AUTO, FT_POLICY_KEEP, FT_POLICY_RECOMPUTE } ft_policy;

#define FT_PLAN_AUTO (-1)
// Spilled layer inputs on their way back. On the link one may stand behind all that is queued of a layer's weights, about a visit's
// time: it is asked for three uses ahead.
#define FT_PLAN_STAGING 4

typedef struct {
    const ft_layout *layout;      // of the model in the chosen base format
    const ft_machine *machine;
    ft_compute compute;
    int gpus;                     // data parallel over this many devices of the node
    int64_t sequence_len, micro_batch_size, accumulation;  // micro-batches per optimizer step and device
    int64_t max_document;         // longest document, 0 = sequence_len
    int64_t max_docs;             // most documents in a micro-batch, 0 = micro_batch_size
    int64_t lora_r;
    unsigned lora_targets;
    bool dropout;
    bool train;                   // false: forward only (eval, generate); no gradients, moments or boundaries
    int64_t head_chunk;
    int64_t mlp_chunk;            // tokens of an MLP tile (offload/activation.h); 0 = the whole micro-batch
    int64_t alias;                // a benchmark: this many distinct layers in host memory stand for all that live there; 0 = each its own
    int64_t prefetch_depth;       // layers loaded ahead; depth + 1 layer slots; 0 = the plan chooses 1 or 2
    int64_t hbm_budget, host_budget, nvme_budget;  // 0 = what the machine offers
    // Wishes; FT_PLAN_AUTO lets the plan choose.
    int base_placement;           // ft_tier: every layer record's home
    int64_t pinned_hbm, pinned_host;
    ft_policy policy;
    int boundary;                 // ft_tier
    int64_t sweep_micro_batches;
    // Disk a whole job needs
    int64_t checkpoints_kept;
    int64_t process_host_bytes;   // host memory the process takes beside the plan's arenas (libraries, data, tokenizer)
} ft_plan_request;

// Every arena of a run is one line; the run carves exactly these.
typedef enum {
    // HBM, per device
    FT_LINE_PINNED_RECORDS,   // layer records that live on the device
    FT_LINE_HEAD,             // final norm + head matrix, always resident
    FT_LINE_SLOTS,            // layer slots of streamed codes
    FT_LINE_EMBED_DEVICE,     // embedding rows, where nothing is streamed and there is room (a tied one is the head's matrix)
    FT_LINE_COMPUTE_FORM,     // layers in the form GEMMs read, LoRA's bf16 copies included: those that keep it, and one more
    FT_LINE_ADAPTER,          // float32 masters
    FT_LINE_GRADIENTS,
    FT_LINE_MOMENTS,          // AdamW m and v
    FT_LINE_BOUNDARIES,       // layer inputs that stay on the device
    FT_LINE_BOUNDARY_STAGING, // FT_PLAN_STAGING buffers for spilled ones
    FT_LINE_STREAM,           // residual or gradient stream of every micro-batch of a sweep
    FT_LINE_KEPT,             // saved activations of layers with policy keep
    FT_LINE_RECOMPUTE,        // one block of saved activations for layers that recompute
    FT_LINE_SCRATCH,          // activation scratch
    FT_LINE_WORKSPACE,        // op workspace, head included
    FT_LINE_BATCH,            // ids, labels, positions, documents, rope tables, scalars
    // host, per node
    FT_LINE_HOST_RECORDS,     // layer records that live in pinned memory
    FT_LINE_HOST_RING,        // staging slots between NVMe and device
    FT_LINE_EMBEDDING,
    FT_LINE_HOST_BOUNDARIES,  // spilled layer inputs
    FT_LINE_HOST_STAGING,     // embedding rows, batches, checkpoint snapshot
    FT_LINE_PROCESS,
    // NVMe, all drives
    FT_LINE_STORE,
    FT_LINE_SPILL,
    FT_LINE_CHECKPOINTS,
    FT_LINE_COUNT,
} ft_plan_line;

ft_tier ft_plan_line_tier(ft_plan_line line);
const char *ft_plan_line_name(ft_plan_line line);

typedef enum { FT_RESOURCE_COMPUTE, FT_RESOURCE_H2D, FT_RESOURCE_D2H, FT_RESOURCE_NVME, FT_RESOURCE_GATHER, FT_RESOURCE_DRAM, FT_RESOURCE_COUNT } ft_resource;
const char *ft_resource_name(ft_resource resource);

typedef struct {
    double amount[FT_RESOURCE_COUNT];   // FLOPs for COMPUTE, bytes for the rest; per sweep (per device; NVME and DRAM per node)
    double seconds[FT_RESOURCE_COUNT];
    double phase_seconds;               // elapsed on the device: links may begin before, beside the embedding or the head, and end later
    ft_resource binding;
} ft_plan_phase;

// One layer visit of the schedule.
typedef enum { FT_FORWARD, FT_BACKWARD } ft_direction;
typedef struct {
    int32_t layer;
    ft_direction direction;
    int32_t slot;        // layer slot, -1 = the record lives on the device
    int32_t host_slot;   // ring slot its bytes pass through, -1 = none (host home, or no load)
    bool load;           // this visit needs the bytes brought in; false = resident, or still in its slot from an earlier visit
} ft_visit;

typedef enum { FT_SWEEP_TRAIN, FT_SWEEP_EVALUATE, FT_SWEEP_MODES } ft_sweep_mode;

typedef struct {
    ft_plan_request request;
    ft_layout layout;            // shallow: records belong to the request's layout
    ft_machine machine;
    ft_repr repr;
    // placement
    uint8_t *home;               // [n_records] ft_tier
    uint8_t *keep;               // [layers] 1 = saved activations are kept
    uint8_t *boundary_home;      // [layers] ft_tier of the layer's input, per micro-batch
    int64_t prefetch_depth;      // as asked for or chosen
    int64_t slots, host_slots;
    int64_t slot_bytes;          // of the largest layer that is streamed
    int64_t micro_batches;       // per sweep; the last one of a step takes what is left
    int64_t sweeps;              // per optimizer step
    int64_t micro_batch_tokens;
    ft_activation_layout activation;
    ft_compute_form *form;       // [layers]
    struct ft_plan_cost *cost;   // [2][layers] of the plan's own: without and with kept inputs
    int64_t form_bytes;          // of one layer at most
    int64_t resident_forms;      // layers 0 .. this - 1 keep their form; the others share one block
    int64_t lora_parameters;
    // bytes
    int64_t line[FT_LINE_COUNT];
    int64_t tier_bytes[FT_TIER_COUNT], tier_limit[FT_TIER_COUNT];
    // time
    ft_plan_phase forward, backward;     // of a full sweep
    ft_plan_phase last[2];               // [direction] of the last sweep of a step, which takes what micro-batches are left
    double embed_seconds, head_seconds;  // per full sweep
    double optimizer_seconds, step_seconds, tokens_per_s;
    ft_resource binding;
    double crossover_tokens;     // tokens per sweep and device above which streaming is free
    int64_t suggested_accumulation;  // reaches it if all of it fits into a sweep, 0 = already there or nothing is streamed
    // schedule: first sweep from cold, then the repeated one; [mode][2 * layers or layers]
    ft_visit *cold[FT_SWEEP_MODES], *steady[FT_SWEEP_MODES];
    int64_t n_visits[FT_SWEEP_MODES];
} ft_plan;

// FT_E_INPUT if it does not fit: which tier is short, by how many bytes, and which option would make it fit.
ft_status ft_plan_make(ft_plan *plan, const ft_plan_request *request);
void ft_plan_free(ft_plan *plan);
int64_t ft_plan_head_form_bytes(const ft_plan *plan);
// The layer whose bytes in host memory stand for `layer` (itself unless aliased). Both live in host memory.
int64_t ft_plan_source(const ft_plan *plan, int64_t layer);
bool ft_plan_is_alias(const ft_plan *plan, int64_t record);  // a layer in host memory that another one stands for
// Bytes that one full step moves, from the schedule (steady state): what counters are compared with.
int64_t ft_plan_step_bytes(const ft_plan *plan, ft_resource resource);
// Seconds a resource is busy in one full step.
double ft_plan_step_seconds(const ft_plan *plan, ft_resource resource);
// A step in full sweeps, by tokens: what grows with them alone (embedding, head) takes so many times the seconds of a sweep.
double ft_plan_full_sweeps(const ft_plan *plan);
// `count` indices of 0..n-1 spread evenly (Bresenham); marks them in `chosen`. Skips entries already marked.
void ft_plan_spread(uint8_t *chosen, int64_t n, int64_t count);

// The accumulation above the plan's, up to the crossover's, whose plan is the fastest (plan_suggest.c); 0 = none is faster.
typedef struct {
    int64_t accumulation;
    double tokens_per_s;
} ft_plan_suggestion;
ft_status ft_plan_suggest(const ft_plan *plan, ft_plan_suggestion *suggestion);

ft_status ft_plan_print(const ft_plan *plan, ft_text *out);  // the table people read
json_t *ft_plan_json(const ft_plan *plan);                   // new reference; NULL when out of memory

#endif
