// Which gradient_accumulation_steps would be faster, where the link or the drives bind the step.
//
// The time model says how many tokens a sweep hide its loads (crossover_tokens). But the inputs of so many tokens want memory too, and
// where they do not fit the step is cut into sweeps that are shorter than before. So what a batch gives is asked of a plan with it:
// first of the crossover's, then, where that one does not hide the loads, of smaller ones.
#include "offload/plan.h"

enum { PARTS = 8, LEAST_PART = 4 };  // of the crossover's batch: 8/8, 7/8, ... 4/8

// hidden: such a plan has its loads hidden.
static ft_status try_batch(const ft_plan *plan, int64_t accumulation, ft_plan_suggestion *best, bool *hidden)
{
    ft_plan other;
    ft_plan_request request = plan->request;
    request.accumulation = accumulation;
    *hidden = false;
    ft_status status = ft_plan_make(&other, &request);
    if (status != FT_OK) return status == FT_E_INPUT ? FT_OK : status;  // it does not fit
    if (other.tokens_per_s > best->tokens_per_s) *best = (ft_plan_suggestion){accumulation, other.tokens_per_s};
    *hidden = other.suggested_accumulation == 0;
    ft_plan_free(&other);
    return FT_OK;
}

ft_status ft_plan_suggest(const ft_plan *plan, ft_plan_suggestion *suggestion)
{
    bool hidden = false;
    *suggestion = (ft_plan_suggestion){0, plan->tokens_per_s};
    for (int part = PARTS; part >= LEAST_PART && !hidden; part--) {
        int64_t accumulation = plan->suggested_accumulation * part / PARTS;
        if (accumulation <= plan->request.accumulation) break;
        FT_TRY(try_batch(plan, accumulation, suggestion, &hidden));
    }
    return FT_OK;
}
