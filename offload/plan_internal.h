// Parts of the plan that its own files share.
#ifndef FT_OFFLOAD_PLAN_INTERNAL_H
#define FT_OFFLOAD_PLAN_INTERNAL_H

#include "offload/plan.h"

// What the search varies; everything else is derived from it.
typedef struct {
    int64_t micro_batches;     // per sweep
    int64_t depth;             // layers loaded ahead
    ft_tier boundary;
    int64_t inputs_hbm;        // layer inputs that stay in HBM, beside the last one's, where `boundary` is another tier
    int64_t keep_layers;
    int64_t pinned_hbm, pinned_host;
    ft_tier rest;              // home of the layers that are not pinned
    ft_tier embedding;         // host; HBM where nothing is streamed and there is room; NVMe only where nothing else fits
    int64_t resident_forms;    // only where no layer is streamed
    bool keep_inputs;          // only where every layer keeps its activations (CUDA)
} ft_plan_choice;

// What the device does in one go: seconds at the machine's rates, FLOPs of products, number of ops.
typedef struct {
    double seconds, flops;
    int64_t ops;
} ft_plan_work;
double ft_plan_work_seconds(const ft_plan_work *work);  // with the gaps between ops, and no less than the host needs to queue them
void ft_plan_work_add(ft_plan_work *sum, const ft_plan_work *work, int64_t times);

// A layer's work: of a micro-batch, and of a visit.
typedef struct ft_plan_cost {
    ft_plan_work forward, again, backward;  // again: before `backward` where activations were not kept
    ft_plan_work form[2], adapter;          // of a visit: form by direction, and the adapter's copies
    bool in_place;                          // some product reads the codes as they are stored, until the visit ends
} ft_plan_cost;
void ft_plan_cost_layer(const ft_plan *plan, int64_t layer, const ft_activation_layout *activation, ft_plan_cost *cost);
double ft_plan_head_seconds(const ft_plan *plan);  // of a micro-batch
// The work of a visit of the schedule; `standing`: the form was left by the visit before.
void ft_plan_visit_work(const ft_plan *plan, const ft_visit *visit, bool standing, ft_plan_work *form, ft_plan_work *batches);
bool ft_plan_stands(const ft_plan *plan, const ft_visit *before, const ft_visit *visit);

// Elapsed seconds of a steady sweep, from its visits and transfers one after the other (plan_walk.c).
typedef struct {
    double embed, forward, head, backward;
    double form;               // of the forward visits alone: what does not grow with tokens
} ft_plan_elapsed;
void ft_plan_walk(const ft_plan *plan, ft_plan_elapsed *elapsed);

// Sets homes, policies, slots, activation sizes and every line from a choice. No allocation, no limit check.
void ft_plan_apply(ft_plan *plan, const ft_plan_choice *choice);
// Memory a choice leaves in a tier (may be negative).
int64_t ft_plan_room(const ft_plan *plan, ft_tier tier);
void ft_plan_schedule(ft_plan *plan);  // cold and steady visits from homes and slots
void ft_plan_time(ft_plan *plan);      // phases, step, crossover
int64_t ft_plan_streamed_layers(const ft_plan *plan);
// The fastest choice that fits; false: none does. `smallest` is what takes the least memory, for saying what is short.
bool ft_plan_search(ft_plan *plan, ft_plan_choice *choice);
void ft_plan_smallest(ft_plan *plan, ft_plan_choice *choice);
// Micro-batches of the next smaller sweeps to try after sweeps of `batches`; 0 = there are none.
int64_t ft_plan_smaller_sweep(int64_t accumulation, int64_t batches);
// Seconds that the loads of a sweep take at least, however many micro-batches it has; 0 = no bound is known.
double ft_plan_least_loads(ft_plan *plan, const ft_plan_choice *wish);
// The activation layout with or without kept inputs.
void ft_plan_activation(const ft_plan *plan, bool keep_inputs, ft_activation_layout *layout);
int64_t ft_plan_max64(int64_t a, int64_t b);
double ft_plan_nvme_read(const ft_plan *plan);  // bytes/s of all drives
double ft_plan_spill_rate(const ft_plan *plan, ft_direction direction);  // the same of layer inputs, out (forward) or back
const char *ft_plan_tier_name(int tier);

#endif
