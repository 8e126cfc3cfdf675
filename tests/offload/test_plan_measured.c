// Predicted steps against steps timed on one H100 80GB SXM (2026-11-22, random weights, r 16 on all linears, sequence 4096),
// with the rates that machine sustains inside a step. Ten percent is what a plan has to keep to be worth printing.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "offload/plan.h"

static ft_machine machine;

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static int setup(void **state)
{
    machine = (ft_machine){.name = "H100 80GB SXM", .device = FT_DEVICE_CUDA, .gpus = 1, .nodes = 1, .hbm_bytes = 84200000000, .host_bytes = 128000000000,
                           .drives = 1, .nvme_bytes = 3500000000000, .gemm_bf16 = 690e12, .gemm_fp8 = 1000e12, .attention_forward = 463e12,
                           .attention_backward = 366e12, .hbm = 3.0e12, .h2d = 55e9, .d2h = 55e9, .dram = 150e9, .nvme_read = 2e9, .nvme_write = 1e9};
    return 0;
}

typedef struct {
    const char *geometry;
    int64_t layers;           // 0 = all
    ft_compute compute;
    int64_t micro_batch, accumulation;
    ft_tier base;
    ft_policy policy;
    double seconds;           // measured
} run;

static void plan_run(const run *r, ft_plan *plan, ft_layout *layout)
{
    ft_shape shape;
    ok(ft_shape_geometry(&shape, r->geometry));
    if (r->layers > 0) shape.layers = r->layers;
    ok(ft_layout_make(layout, &shape, FT_BASE_FP8, NULL, NULL));
    ft_plan_request request = {.layout = layout, .machine = &machine, .compute = r->compute, .gpus = 1, .sequence_len = 4096,
                               .micro_batch_size = r->micro_batch, .accumulation = r->accumulation, .lora_r = 16, .lora_targets = FT_LINEAR_ALL,
                               .train = true, .head_chunk = 1024, .prefetch_depth = 1, .base_placement = (int)r->base, .pinned_hbm = FT_PLAN_AUTO,
                               .pinned_host = FT_PLAN_AUTO, .policy = r->policy, .boundary = FT_TIER_HBM, .sweep_micro_batches = r->accumulation,
                               .checkpoints_kept = 3};
    ok(ft_plan_make(plan, &request));
}

static void check(const run *r)
{
    ft_plan plan;
    ft_layout layout;
    plan_run(r, &plan, &layout);
    if (fabs(plan.step_seconds / r->seconds - 1) > 0.10)
        fail_msg("%s: a step of %.1f ms was planned as %.1f ms", r->geometry, r->seconds * 1e3, plan.step_seconds * 1e3);
    ft_plan_free(&plan);
    ft_layout_free(&layout);
}

static void resident_steps(void **state)
{
    static const run runs[] = {
        {"llama3-8b", 0, FT_COMPUTE_BF16, 2, 1, FT_TIER_HBM, FT_POLICY_KEEP, 8192 / 17006.0},
        {"llama3-8b", 0, FT_COMPUTE_FP8, 3, 1, FT_TIER_HBM, FT_POLICY_KEEP, 12288 / 21832.0},
        {"qwen2.5-32b", 0, FT_COMPUTE_BF16, 1, 1, FT_TIER_HBM, FT_POLICY_KEEP, 4096 / 4042.0},
        {"qwen2.5-32b", 0, FT_COMPUTE_FP8, 1, 1, FT_TIER_HBM, FT_POLICY_KEEP, 4096 / 5622.0},
        {"llama3-70b", 40, FT_COMPUTE_BF16, 1, 3, FT_TIER_HBM, FT_POLICY_RECOMPUTE, 4.059},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) check(&runs[i]);
}

static void steps_that_hide_their_loads(void **state)
{
    static const run streamed = {"llama3-70b", 40, FT_COMPUTE_BF16, 1, 3, FT_TIER_HOST, FT_POLICY_RECOMPUTE, 4.110};
    check(&streamed);
}

// Both phases wait for the link, which itself waits around the turn and between steps: 240 ms of loads make a step of 274.5.
static void a_step_that_waits_for_its_loads(void **state)
{
    static const run streamed = {"llama3-8b", 0, FT_COMPUTE_FP8, 1, 1, FT_TIER_HOST, FT_POLICY_KEEP, 0.2745};
    check(&streamed);
    ft_plan plan;
    ft_layout layout;
    plan_run(&streamed, &plan, &layout);
    double loads = 60 * (double)layout.record[0].bytes / 55e9;
    assert_true(fabs(ft_plan_step_seconds(&plan, FT_RESOURCE_H2D) / loads - 1) < 1e-9);
    assert_true(plan.step_seconds > loads + plan.head_seconds + plan.optimizer_seconds);
    assert_true(plan.step_seconds < ft_plan_step_seconds(&plan, FT_RESOURCE_COMPUTE) + loads);
    ft_plan_free(&plan);
    ft_layout_free(&layout);
}

// The profile of the streamed 70B step, in seconds of the device: the parts add up to what is planned for the phases.
static void parts_of_a_step(void **state)
{
    static const run streamed = {"llama3-70b", 40, FT_COMPUTE_BF16, 1, 3, FT_TIER_HOST, FT_POLICY_RECOMPUTE, 4.110};
    double form = 0.074, norms = 0.062, forward = 2.134, backward = 1.220, da = 0.029, rope = 0.021, attention = 0.143 + 0.225, swiglu = 0.118;
    double between = 0.038, measured = form + norms + forward + backward + da + rope + attention + swiglu + between;
    ft_plan plan;
    ft_layout layout;
    plan_run(&streamed, &plan, &layout);
    assert_true(fabs(ft_plan_step_seconds(&plan, FT_RESOURCE_COMPUTE) / measured - 1) < 0.05);
    assert_true(fabs(plan.head_seconds / 0.077 - 1) < 0.05);
    ft_plan_free(&plan);
    ft_layout_free(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resident_steps), cmocka_unit_test(steps_that_hide_their_loads),
                                       cmocka_unit_test(a_step_that_waits_for_its_loads), cmocka_unit_test(parts_of_a_step)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
