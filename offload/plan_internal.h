// Parts of the plan that its own files share.
#ifndef FT_OFFLOAD_PLAN_INTERNAL_H
#define FT_OFFLOAD_PLAN_INTERNAL_H

#include "offload/plan.h"

// What the search varies; everything else is derived from it.
typedef struct {
    int64_t micro_batches;     // per sweep
    ft_tier boundary;
    int64_t keep_layers;
    int64_t pinned_hbm, pinned_host;
    ft_tier rest;              // home of the layers that are not pinned
    ft_tier embedding;         // host; NVMe only where nothing else fits; HBM where nothing is streamed and room is left
    int64_t resident_forms;    // only where no layer is streamed
    bool keep_inputs;          // only where every layer keeps its activations (CUDA)
} ft_plan_choice;

// Sets homes, policies, slots, activation sizes and every line from a choice. No allocation, no limit check.
void ft_plan_apply(ft_plan *plan, const ft_plan_choice *choice);
// Device memory a choice leaves for pinned layer records (may be negative).
int64_t ft_plan_room(const ft_plan *plan, ft_tier tier);
void ft_plan_schedule(ft_plan *plan);  // cold and steady visits from homes and slots
void ft_plan_time(ft_plan *plan);      // phases, step, crossover
int64_t ft_plan_streamed_layers(const ft_plan *plan);
// FLOPs per token of one layer's matrices in a pass (2 per parameter) and of LoRA.
double ft_plan_layer_flops(const ft_plan *plan);
// The activation layout with or without kept inputs.
void ft_plan_activation(const ft_plan *plan, bool keep_inputs, ft_activation_layout *layout);
int64_t ft_plan_max64(int64_t a, int64_t b);

#endif
