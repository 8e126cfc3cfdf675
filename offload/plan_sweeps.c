// Which sizes of a sweep are worth trying, and when to stop.
#include <math.h>

#include "offload/plan_internal.h"

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

// The last sweep of a step takes what is left, so any size will do; of those that make the same number of sweeps the smallest needs
// the least memory and is never slower.
int64_t ft_plan_smaller_sweep(int64_t accumulation, int64_t batches)
{
    return batches > 1 ? divide_up(accumulation, divide_up(accumulation, batches - 1)) : 0;
}

// The most bytes of a tier that layers can have: beside a single micro-batch whose layer inputs are where they are less in the way,
// and with what streaming takes for itself.
static double free_bytes(ft_plan *plan, const ft_plan_choice *wish, ft_tier tier)
{
    ft_plan_choice choice = *wish;
    int64_t most = 0;
    choice.micro_batches = 1;
    for (int boundary = FT_TIER_HBM; boundary <= FT_TIER_HOST; boundary++) {
        choice.boundary = (ft_tier)boundary;
        ft_plan_apply(plan, &choice);
        int64_t streaming = tier == FT_TIER_HBM ? plan->line[FT_LINE_SLOTS] + plan->line[FT_LINE_COMPUTE_FORM] : plan->line[FT_LINE_HOST_RING];
        most = ft_plan_max64(most, ft_plan_room(plan, tier) + streaming);
    }
    return (double)most;
}

// Memory shrinks with every micro-batch of a sweep, so no sweep loads less than one of a single micro-batch. What is still in its slot
// at a turn is not loaded.
double ft_plan_least_loads(ft_plan *plan, const ft_plan_choice *wish)
{
    const ft_plan_request *request = &plan->request;
    if (request->base_placement != FT_PLAN_AUTO || request->alias > 0) return 0;
    double gpus = request->gpus, passes = request->train ? 2 : 1;
    int64_t slots = (request->prefetch_depth > 0 ? request->prefetch_depth : 2) + 1;
    double streamed = -gpus * free_bytes(plan, wish, FT_TIER_HBM) - (double)(slots * plan->layout.layer_bytes_max);
    for (int64_t i = 0; i < plan->layout.shape.layers; i++) streamed += (double)plan->layout.record[i].bytes;
    double read = streamed - free_bytes(plan, wish, FT_TIER_HOST);
    return passes * fmax(0, fmax(streamed / gpus / plan->machine.h2d, read / ft_plan_nvme_read(plan)));
}
