// The search: what the plan may choose, of that what fits, of that the fastest; ties go to fewer bytes moved, then to less device
// memory.
//
// Above the crossover streaming is free, and device memory is worth most as kept activations: a kept layer saves its recompute,
// 1.45 of 5.45 N FLOPs. Below it a pinned layer saves a load. So for a row of numbers of pinned layers the most layers are kept
// that fit beside them; pins, layer inputs and forms take what is left. Sizes grow with each of these, so the most that fits is
// found by bisection, on bytes alone; only what fits is scheduled and timed.
//
// A sweep is as large as memory allows where loads bind the step, and small where kept activations are worth more. So every useful
// size is tried (plan_sweeps.c), from the largest down, until the loads of so many sweeps alone take longer than the best step.
#include "offload/plan_internal.h"

#define ALIKE 1e-3  // steps whose times differ by less are taken for equally fast

typedef struct {
    int64_t fitting;    // choices that fit, so far
    ft_tier embedding;  // as searched with: at the end it may still move from host memory to the device
    ft_plan_choice choice;
    double seconds, fastest, moved;
    int64_t hbm;
} best_choice;

static bool fits(const ft_plan *plan)
{
    for (int tier = 0; tier < FT_TIER_COUNT; tier++)
        if (plan->tier_bytes[tier] > plan->tier_limit[tier]) return false;
    return true;
}

static bool has_room(ft_plan *plan, const ft_plan_choice *choice, ft_tier tier)
{
    ft_plan_apply(plan, choice);
    return ft_plan_room(plan, tier) >= 0;
}

// The largest value of a member, from `low` (which is taken to fit) to `high`, with which the tier has room. The last step may
// be a step down: with nothing streamed there are no slots, with every form resident none is shared.
static void most(ft_plan *plan, ft_plan_choice *choice, int64_t *member, int64_t low, int64_t high, ft_tier tier)
{
    *member = high;
    if (low >= high || has_room(plan, choice, tier)) return;
    high--;
    while (low < high) {
        *member = (low + high + 1) / 2;
        if (has_room(plan, choice, tier)) low = *member;
        else high = *member - 1;
    }
    *member = low;
}

static int64_t layers_of(const ft_plan *plan)
{
    return plan->layout.shape.layers;
}

// Only a plan that may place every layer as it likes pins on its own account.
static bool pins_freely(const ft_plan *plan)
{
    return plan->request.base_placement == FT_PLAN_AUTO && plan->request.pinned_hbm < 0;
}

// Host memory takes what is not pinned, as wished or as much as fits.
static void choose_host(ft_plan *plan, ft_plan_choice *choice)
{
    const ft_plan_request *request = &plan->request;
    choice->pinned_host = request->pinned_host > 0 ? request->pinned_host : 0;
    if (request->pinned_host < 0 && request->base_placement == FT_PLAN_AUTO)
        most(plan, choice, &choice->pinned_host, 0, layers_of(plan) - choice->pinned_hbm, FT_TIER_HOST);
}

static bool spreads_inputs(const ft_plan *plan, const ft_plan_choice *choice)
{
    return plan->request.train && plan->request.boundary == FT_PLAN_AUTO && choice->boundary != FT_TIER_HBM;
}

// As few layer inputs in device memory as let host memory hold the others.
static void least_inputs(ft_plan *plan, ft_plan_choice *choice)
{
    choice->inputs_hbm = 0;
    if (!spreads_inputs(plan, choice) || has_room(plan, choice, FT_TIER_HOST)) return;
    int64_t low = 1, high = layers_of(plan) - 1;
    while (low < high) {
        choice->inputs_hbm = (low + high) / 2;
        if (has_room(plan, choice, FT_TIER_HOST)) high = choice->inputs_hbm;
        else low = choice->inputs_hbm + 1;
    }
    choice->inputs_hbm = low;
}

// What room is left goes to embedding rows and to forms that need not be made again, where no layer is streamed (CUDA: the CPU
// gathers rows from host memory, and its device memory is the same).
static void choose_forms(ft_plan *plan, ft_plan_choice *choice)
{
    ft_tier embedding = choice->embedding;
    choice->resident_forms = 0;
    if (plan->repr == FT_REPR_F32) return;
    ft_plan_apply(plan, choice);
    if (ft_plan_streamed_layers(plan) > 0) return;
    choice->embedding = FT_TIER_HBM;
    if (!has_room(plan, choice, FT_TIER_HBM)) choice->embedding = embedding;
    most(plan, choice, &choice->resident_forms, 0, layers_of(plan), FT_TIER_HBM);
}

static void choose_kept(ft_plan *plan, ft_plan_choice *choice)
{
    ft_policy policy = plan->request.train ? plan->request.policy : FT_POLICY_RECOMPUTE;
    choice->keep_layers = policy == FT_POLICY_KEEP ? layers_of(plan) : 0;
    if (policy == FT_POLICY_AUTO) most(plan, choice, &choice->keep_layers, 0, layers_of(plan), FT_TIER_HBM);
}

static double moved_bytes(const ft_plan *plan)
{
    double bytes = 0;
    for (int r = FT_RESOURCE_H2D; r <= FT_RESOURCE_NVME; r++) bytes += (double)ft_plan_step_bytes(plan, (ft_resource)r);
    return bytes;
}

static bool better(const ft_plan *plan, const best_choice *best, double moved)
{
    if (best->fitting == 0 || plan->step_seconds < best->seconds / (1 + ALIKE)) return true;
    if (plan->step_seconds > best->fastest * (1 + ALIKE)) return false;
    if (moved != best->moved) return moved < best->moved;
    if (plan->tier_bytes[FT_TIER_HBM] != best->hbm) return plan->tier_bytes[FT_TIER_HBM] < best->hbm;
    return plan->step_seconds < best->seconds;
}

static void measure(ft_plan *plan, const ft_plan_choice *choice, ft_tier embedding, best_choice *best)
{
    ft_plan_apply(plan, choice);
    if (!fits(plan) || (choice->embedding == FT_TIER_HBM && ft_plan_streamed_layers(plan) > 0)) return;
    ft_plan_schedule(plan);
    ft_plan_time(plan);
    double moved = moved_bytes(plan), fastest = plan->step_seconds;
    int64_t fitting = best->fitting;
    if (fitting > 0 && best->fastest < fastest) fastest = best->fastest;
    if (better(plan, best, moved))
        *best = (best_choice){.embedding = embedding, .choice = *choice, .seconds = plan->step_seconds, .moved = moved,
                              .hbm = plan->tier_bytes[FT_TIER_HBM]};
    best->fitting = fitting + 1;
    best->fastest = fastest;
}

// A choice with `pins` layers in device memory; everything else as much as fits.
static void consider(ft_plan *plan, const ft_plan_choice *wish, int64_t pins, best_choice *best)
{
    ft_plan_choice choice = *wish;
    int64_t layers = layers_of(plan);
    choice.pinned_hbm = pins;
    choose_host(plan, &choice);
    choose_kept(plan, &choice);
    if (choice.keep_inputs && choice.keep_layers < layers) return;
    if (pins_freely(plan)) most(plan, &choice, &choice.pinned_hbm, pins, layers, FT_TIER_HBM);
    if (choice.pinned_hbm > pins) choose_host(plan, &choice);
    if (spreads_inputs(plan, &choice)) most(plan, &choice, &choice.inputs_hbm, choice.inputs_hbm, layers - 1, FT_TIER_HBM);
    choose_forms(plan, &choice);
    measure(plan, &choice, wish->embedding, best);
}

// All that fit, and sixteenths of these; or what the wishes say.
static void search_pins(ft_plan *plan, const ft_plan_choice *wish, best_choice *best)
{
    const ft_plan_request *request = &plan->request;
    ft_plan_choice choice = *wish;
    choice.pinned_hbm = request->pinned_hbm > 0 ? request->pinned_hbm : 0;
    if (pins_freely(plan)) most(plan, &choice, &choice.pinned_hbm, 0, layers_of(plan), FT_TIER_HBM);
    int64_t all = choice.pinned_hbm, last = all;
    consider(plan, wish, all, best);
    for (int sixteenths = 15; sixteenths >= 0 && pins_freely(plan); sixteenths--) {
        int64_t pins = all * sixteenths / 16;
        if (pins == last) continue;
        consider(plan, wish, pins, best);
        last = pins;
    }
}

// Nothing fits where not even the least does. What a plan that streams nothing may do without is left out.
static bool hopeless(ft_plan *plan, const ft_plan_choice *wish)
{
    const ft_plan_request *request = &plan->request;
    ft_plan_choice least = *wish;
    least.pinned_hbm = request->pinned_hbm > 0 ? request->pinned_hbm : 0;
    least.pinned_host = request->pinned_host > 0 ? request->pinned_host : 0;
    least.keep_layers = request->train && (request->policy == FT_POLICY_KEEP || wish->keep_inputs) ? layers_of(plan) : 0;
    ft_plan_apply(plan, &least);
    return ft_plan_room(plan, FT_TIER_HBM) + plan->line[FT_LINE_SLOTS] + plan->line[FT_LINE_COMPUTE_FORM] < 0 ||
           ft_plan_room(plan, FT_TIER_HOST) + plan->line[FT_LINE_HOST_RING] + plan->line[FT_LINE_EMBEDDING] < 0;
}

static void search_boundary(ft_plan *plan, ft_plan_choice *choice, best_choice *best)
{
    const ft_plan_request *request = &plan->request;
    for (int tier = FT_TIER_HBM; tier <= FT_TIER_NVME; tier++) {
        bool automatic = request->boundary == FT_PLAN_AUTO && tier != FT_TIER_NVME;
        if (!automatic && request->boundary != tier) continue;
        choice->boundary = (ft_tier)tier;
        least_inputs(plan, choice);
        if (!hopeless(plan, choice)) search_pins(plan, choice, best);
    }
}

// Each of: kept inputs, depth, tier of layer inputs. The second slot ahead is tried where it is left open.
static void search_with(ft_plan *plan, ft_plan_choice *choice, ft_tier embedding, best_choice *best)
{
    const ft_plan_request *request = &plan->request;
    bool may_keep_inputs = plan->repr != FT_REPR_F32 && request->train && request->policy != FT_POLICY_RECOMPUTE;
    int64_t first = request->prefetch_depth > 0 ? request->prefetch_depth : 1, last = request->prefetch_depth > 0 ? first : 2;
    choice->embedding = embedding;
    for (int keep = may_keep_inputs; keep >= 0; keep--) {
        choice->keep_inputs = keep != 0;
        for (choice->depth = first; choice->depth <= last; choice->depth++) search_boundary(plan, choice, best);
    }
}

// The embedding's place is host memory. Where nothing fits that way, the device (before anything else takes its memory) or the drives
// have it.
static void search_sweep(ft_plan *plan, ft_plan_choice *choice, best_choice *best)
{
    int64_t fitting = best->fitting;
    search_with(plan, choice, FT_TIER_HOST, best);
    if (best->fitting > fitting) return;
    if (plan->repr != FT_REPR_F32) search_with(plan, choice, FT_TIER_HBM, best);
    search_with(plan, choice, FT_TIER_NVME, best);
}

// As many micro-batches a sweep as wished, or every useful number.
static void search_sweeps(ft_plan *plan, best_choice *best)
{
    const ft_plan_request *request = &plan->request;
    int64_t wished = request->sweep_micro_batches, all = request->accumulation, batches = wished > 0 && wished < all ? wished : all;
    ft_plan_choice choice = {.depth = 1, .embedding = FT_TIER_NVME,
                             .rest = request->base_placement == FT_PLAN_AUTO ? FT_TIER_NVME : (ft_tier)request->base_placement};
    double loads = ft_plan_least_loads(plan, &choice);
    for (; batches > 0; batches = wished > 0 ? 0 : ft_plan_smaller_sweep(all, batches)) {
        double sweeps = (double)((all + batches - 1) / batches);
        if (best->fitting > 0 && sweeps * loads > best->fastest * (1 + ALIKE)) return;
        choice.micro_batches = batches;
        search_sweep(plan, &choice, best);
    }
}

// Numbers of pins between those tried, around the best.
static void refine(ft_plan *plan, best_choice *best)
{
    for (int64_t step = layers_of(plan) / 16 + 1; step > 0 && pins_freely(plan); step /= 2) {
        ft_plan_choice center = best->choice;
        center.embedding = best->embedding;
        center.resident_forms = 0;
        if (center.boundary != FT_TIER_HBM) least_inputs(plan, &center);
        for (int64_t pins = center.pinned_hbm - step; pins <= center.pinned_hbm + step; pins += 2 * step)
            if (pins >= 0 && pins <= layers_of(plan)) consider(plan, &center, pins, best);
    }
}

bool ft_plan_search(ft_plan *plan, ft_plan_choice *choice)
{
    best_choice best = {0};
    search_sweeps(plan, &best);
    if (best.fitting > 0) refine(plan, &best);
    *choice = best.choice;
    return best.fitting > 0;
}

void ft_plan_smallest(ft_plan *plan, ft_plan_choice *choice)
{
    const ft_plan_request *request = &plan->request;
    int64_t wished = request->sweep_micro_batches;
    *choice = (ft_plan_choice){.micro_batches = wished <= 0 ? 1 : wished < request->accumulation ? wished : request->accumulation,
                               .depth = request->prefetch_depth > 0 ? request->prefetch_depth : 1,
                               .boundary = request->boundary == FT_PLAN_AUTO ? FT_TIER_HOST : (ft_tier)request->boundary,
                               .embedding = FT_TIER_HOST,
                               .rest = request->base_placement == FT_PLAN_AUTO ? FT_TIER_NVME : (ft_tier)request->base_placement,
                               .pinned_hbm = request->pinned_hbm > 0 ? request->pinned_hbm : 0,
                               .keep_layers = request->policy == FT_POLICY_KEEP ? layers_of(plan) : 0};
    choose_host(plan, choice);
    if (has_room(plan, choice, FT_TIER_HOST)) return;
    choice->embedding = FT_TIER_NVME;
    choose_host(plan, choice);
}
