// What the tests of the plan's search share: three models, and a step of LoRA on them with everything left open.
#ifndef FT_TESTS_OFFLOAD_PLAN_SUPPORT_H
#define FT_TESTS_OFFLOAD_PLAN_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "offload/plan.h"

static ft_machine machine;
static ft_layout small, medium, large;  // 8B, 70B, 405B

static inline void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static inline void make_layout(ft_layout *layout, const char *geometry)
{
    ft_shape shape;
    ok(ft_shape_geometry(&shape, geometry));
    ok(ft_layout_make(layout, &shape, FT_BASE_FP8, NULL, NULL));
}

static inline void make_layouts(void)
{
    make_layout(&small, "llama3-8b");
    make_layout(&medium, "llama3-70b");
    make_layout(&large, "llama3-405b");
}

static inline int free_layouts(void **state)
{
    ft_layout_free(&small);
    ft_layout_free(&medium);
    ft_layout_free(&large);
    return 0;
}

static inline ft_plan_request request_of(const ft_layout *layout, ft_compute compute, int64_t micro_batch, int64_t accumulation)
{
    return (ft_plan_request){.layout = layout, .machine = &machine, .compute = compute, .gpus = 1, .sequence_len = 4096, .micro_batch_size = micro_batch,
                             .accumulation = accumulation, .lora_r = 16, .lora_targets = FT_LINEAR_ALL, .train = true, .head_chunk = 1024,
                             .base_placement = FT_PLAN_AUTO, .pinned_hbm = FT_PLAN_AUTO, .pinned_host = FT_PLAN_AUTO, .policy = FT_POLICY_AUTO,
                             .boundary = FT_PLAN_AUTO, .checkpoints_kept = 3};
}

static inline void within_limits(const ft_plan *plan)
{
    for (int tier = 0; tier < FT_TIER_COUNT; tier++) assert_true(plan->tier_bytes[tier] <= plan->tier_limit[tier]);
}

#endif
