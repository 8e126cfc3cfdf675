// The plan's schedule, as the walkers and the caller read it: a sweep is `n_visits` visits, the first sweep of an announcement
// may follow the cold schedule, every other the steady one.
#include "common/memory.h"
#include "offload/streamer_internal.h"

static const char *const mode_names[FT_SWEEP_MODES] = {"train", "evaluate"};

static ft_status refuse(const ft_visit *visit, int64_t index, ft_sweep_mode mode, const char *why)
{
    return ft_error(FT_E_INTERNAL, "plan: visit %lld (layer %d, slot %d, host slot %d%s) of mode %s: %s", (long long)index,
                    visit->layer, visit->slot, visit->host_slot, visit->load ? ", load" : "", mode_names[mode], why);
}

// What is wrong with a visit that finds `occupant` in its slot, NULL if nothing.
static const char *find_fault(const ft_plan *plan, const ft_visit *visit, const int32_t *occupant)
{
    if (visit->layer < 0 || visit->layer >= plan->layout.shape.layers) return "there is no such layer";
    ft_tier home = (ft_tier)plan->home[visit->layer];
    if ((home == FT_TIER_HBM) != (visit->slot < 0)) return "a layer has a slot unless it lives on the device";
    if (visit->slot < 0) return visit->load ? "a resident layer is not loaded" : NULL;
    if (visit->slot >= plan->slots) return "there is no such slot";
    if (plan->layout.record[visit->layer].bytes > plan->slot_bytes) return "the layer is larger than the slot";
    if (!visit->load) return occupant[visit->slot] == visit->layer ? NULL : "the slot holds another layer";
    if (home == FT_TIER_NVME && (visit->host_slot < 0 || visit->host_slot >= plan->host_slots)) return "there is no such host slot";
    return NULL;
}

static ft_status check_sweep(const ft_plan *plan, ft_sweep_mode mode, const ft_visit *visits, int32_t *occupant)
{
    for (int64_t i = 0; i < plan->n_visits[mode]; i++) {
        const char *why = find_fault(plan, &visits[i], occupant);
        if (why != NULL) return refuse(&visits[i], i, mode, why);
        if (visits[i].load) occupant[visits[i].slot] = visits[i].layer;
    }
    return FT_OK;
}

// The steady sweep is checked after the cold one and after itself.
ft_status ft_schedule_check(const ft_plan *plan)
{
    int32_t *occupant = FT_NEW_ARRAY(int32_t, plan->slots);
    FT_ALLOC_CHECK(occupant);
    ft_status status = FT_OK;
    for (int mode = 0; mode < FT_SWEEP_MODES && status == FT_OK; mode++) {
        for (int64_t i = 0; i < plan->slots; i++) occupant[i] = -1;
        const ft_visit *sweeps[] = {plan->cold[mode], plan->steady[mode], plan->steady[mode]};
        for (int i = 0; i < 3 && status == FT_OK; i++) status = check_sweep(plan, (ft_sweep_mode)mode, sweeps[i], occupant);
    }
    ft_free(occupant);
    return status;
}

const ft_visit *ft_schedule_visit(const ft_streamer *s, int64_t number)
{
    int64_t n = s->plan->n_visits[s->mode];
    const ft_visit *visits = number < n && s->cold_first ? s->plan->cold[s->mode] : s->plan->steady[s->mode];
    return &visits[number % n];
}

// Looks past the end of the announcement, since the next one may go on with the steady schedule. Two sweeps ahead every slot
// that is ever loaded again has been met.
int64_t ft_schedule_visits_of_load(const ft_streamer *s, int64_t number)
{
    int32_t slot = ft_schedule_visit(s, number)->slot;
    int64_t visits = 1, end = number + 2 * s->plan->n_visits[s->mode];
    for (int64_t i = number + 1; i <= end; i++) {
        const ft_visit *visit = ft_schedule_visit(s, i);
        if (visit->slot != slot) continue;
        if (visit->load) return visits;
        visits++;
    }
    return INT64_MAX;
}

// Norms first: every phase starts with one. A backward visit that recomputes begins with the forward pass.
ft_group ft_schedule_group(const ft_streamer *s, const ft_visit *visit, int i)
{
    if (i == 0) return FT_GROUP_SMALL;
    bool reverse = visit->direction == FT_BACKWARD && s->plan->keep[visit->layer];
    return (ft_group)(reverse ? FT_GROUP_MATRICES - i : i - 1);
}
