// The visit schedule: which layer comes when, in which slot, and whether it must be brought in.
//
// On a zig-zag (forward 0..L-1, backward L-1..0) replacing the slot whose last use is oldest is optimal (offload-peers 2.2):
// around each turn the layers still in their slots are not loaded again. The same walk over forward-only sweeps is cyclic and
// finds nothing left in the slots.
#include <string.h>

#include "offload/plan_internal.h"

#define NO_LAYER (-1)

typedef struct {
    int64_t layer;     // in the slot now
    int64_t last_use;  // visit number
} slot_state;

typedef struct {
    const ft_plan *plan;
    slot_state slot[64];
    int64_t visit;     // counts on over sweeps
    int64_t loads;     // that went through the ring
} walk;

static void walk_start(walk *w, const ft_plan *plan)
{
    *w = (walk){.plan = plan};
    for (int i = 0; i < 64; i++) w->slot[i] = (slot_state){NO_LAYER, -1};
}

static int64_t find_slot(const walk *w, int64_t layer)
{
    for (int64_t i = 0; i < w->plan->slots; i++)
        if (w->slot[i].layer == layer) return i;
    return -1;
}

static int64_t oldest_slot(const walk *w)
{
    int64_t oldest = 0;
    for (int64_t i = 1; i < w->plan->slots; i++)
        if (w->slot[i].last_use < w->slot[oldest].last_use) oldest = i;
    return oldest;
}

static ft_visit next_visit(walk *w, int64_t layer, ft_direction direction)
{
    ft_visit visit = {.layer = (int32_t)layer, .direction = direction, .slot = -1, .host_slot = -1};
    int64_t number = w->visit++;
    if (w->plan->home[layer] == FT_TIER_HBM) return visit;
    int64_t slot = find_slot(w, layer);
    visit.load = slot < 0;
    if (slot < 0) slot = oldest_slot(w);
    w->slot[slot] = (slot_state){layer, number};
    visit.slot = (int32_t)slot;
    if (visit.load && w->plan->home[layer] == FT_TIER_NVME) visit.host_slot = (int32_t)(w->loads++ % w->plan->host_slots);
    return visit;
}

static void walk_sweep(walk *w, ft_visit *visits, ft_sweep_mode mode)
{
    int64_t layers = w->plan->layout.shape.layers;
    for (int64_t layer = 0; layer < layers; layer++) *visits++ = next_visit(w, layer, FT_FORWARD);
    if (mode == FT_SWEEP_EVALUATE) return;
    for (int64_t layer = layers - 1; layer >= 0; layer--) *visits++ = next_visit(w, layer, FT_BACKWARD);
}

// The steady sweep must be one that repeats: slots after it look as before it. The zig-zag gets there after one sweep, but the
// ring index need not, so loads are renumbered from 0 in every sweep: a ring slot is free when its copy is done, not by index.
void ft_plan_schedule(ft_plan *plan)
{
    for (int mode = 0; mode < FT_SWEEP_MODES; mode++) {
        walk w;
        walk_start(&w, plan);
        walk_sweep(&w, plan->cold[mode], (ft_sweep_mode)mode);
        w.loads = 0;
        walk_sweep(&w, plan->steady[mode], (ft_sweep_mode)mode);
    }
}

int64_t ft_plan_streamed_layers(const ft_plan *plan)
{
    int64_t streamed = 0;
    for (int64_t layer = 0; layer < plan->layout.shape.layers; layer++) streamed += plan->home[layer] != FT_TIER_HBM;
    return streamed;
}

void ft_plan_spread(uint8_t *chosen, int64_t n, int64_t count)
{
    int64_t open = 0, seen = 0;
    for (int64_t i = 0; i < n; i++) open += !chosen[i];
    if (count > open) count = open;
    for (int64_t i = 0; i < n && count > 0; i++) {
        if (chosen[i]) continue;
        // Bresenham over the open entries: the k-th is taken where floor((k + 1) count / open) steps up.
        chosen[i] = (seen + 1) * count / open > seen * count / open;
        seen++;
    }
}
