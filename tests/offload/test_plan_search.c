// What the search does with memory: what is left over is too little for one more of anything, what is worth most comes first, and
// wishes are kept.
#include "offload/plan_support.h"

#include <string.h>
#include <time.h>

// One H100 with 128 GB of host memory, as test_plan_measured.c has it.
static int setup(void **state)
{
    machine = (ft_machine){.name = "H100", .device = FT_DEVICE_CUDA, .gpus = 1, .nodes = 1, .hbm_bytes = 84200000000, .host_bytes = 128000000000,
                           .drives = 1, .nvme_bytes = 3500000000000, .gemm_bf16 = 690e12, .gemm_fp8 = 1000e12, .attention_forward = 463e12,
                           .attention_backward = 366e12, .hbm = 3.0e12, .h2d = 55e9, .d2h = 55e9, .dram = 150e9, .nvme_read = 2e9, .nvme_write = 1e9};
    make_layouts();
    return 0;
}

static int64_t count(const uint8_t *values, int64_t n, int value)
{
    int64_t found = 0;
    for (int64_t i = 0; i < n; i++) found += values[i] == value;
    return found;
}

static double speed(const ft_plan_request *request)
{
    ft_plan plan;
    ok(ft_plan_make(&plan, request));
    within_limits(&plan);
    double tokens_per_s = plan.tokens_per_s;
    ft_plan_free(&plan);
    return tokens_per_s;
}

static void as_many_layers_are_kept_as_fit(void **state)
{
    for (int64_t budget = 20; budget <= 60; budget += 5) {
        ft_plan plan;
        ft_plan_request request = request_of(&small, FT_COMPUTE_FP8, 3, 1);
        request.base_placement = FT_TIER_HOST;
        request.boundary = FT_TIER_HOST;
        request.prefetch_depth = 1;
        request.hbm_budget = budget << 30;
        ok(ft_plan_make(&plan, &request));
        within_limits(&plan);
        int64_t kept = count(plan.keep, 32, 1), room = plan.tier_limit[FT_TIER_HBM] - plan.tier_bytes[FT_TIER_HBM];
        assert_true(kept > 0);
        if (kept < 32) assert_true(room < plan.activation.saved_bytes);
        ft_plan_free(&plan);
    }
}

// Above the crossover a kept layer saves compute and a pinned one nothing.
static void activations_are_kept_before_layers_are_pinned(void **state)
{
    ft_plan plan;
    ft_plan_request request = request_of(&medium, FT_COMPUTE_BF16, 2, 1);
    ok(ft_plan_make(&plan, &request));
    within_limits(&plan);
    assert_true(count(plan.keep, 80, 1) >= 45);
    assert_true(count(plan.home, 80, FT_TIER_HBM) <= 4);
    double chosen = plan.tokens_per_s;
    ft_plan_free(&plan);
    static const int64_t pins[] = {0, 10, 20, 40};
    for (size_t i = 0; i < sizeof pins / sizeof *pins; i++) {
        request.pinned_hbm = pins[i];
        assert_true(speed(&request) < chosen * 1.002);
    }
}

static void wishes_only_slow_down(void **state)
{
    ft_plan_request free_of_wishes = request_of(&medium, FT_COMPUTE_FP8, 1, 2);
    double best = speed(&free_of_wishes);
    for (int wish = 0; wish < 6; wish++) {
        ft_plan_request request = free_of_wishes;
        if (wish == 0) request.policy = FT_POLICY_RECOMPUTE;
        if (wish == 1) request.boundary = FT_TIER_HBM;
        if (wish == 2) request.sweep_micro_batches = 2;
        if (wish == 3) request.pinned_hbm = 10;
        if (wish == 4) request.base_placement = FT_TIER_HOST;
        if (wish == 5) request.prefetch_depth = 3;
        assert_true(speed(&request) < best * 1.002);
    }
}

// Host memory holds some inputs, device memory the others, spread.
static void layer_inputs_live_in_both_tiers(void **state)
{
    ft_plan plan;
    ft_plan_request request = request_of(&large, FT_COMPUTE_BF16, 1, 6);
    request.base_placement = FT_TIER_HOST;
    request.alias = 8;
    request.sweep_micro_batches = 6;
    request.host_budget = 110000000000;
    request.prefetch_depth = 1;
    ok(ft_plan_make(&plan, &request));
    within_limits(&plan);
    int64_t here = count(plan.boundary_home, 126, FT_TIER_HBM), there = count(plan.boundary_home, 126, FT_TIER_HOST);
    assert_true(here > 2 && there > 2 && here + there == 126);
    assert_int_equal(plan.line[FT_LINE_BOUNDARIES], here * 6 * plan.activation.boundary_bytes);
    assert_int_equal(plan.line[FT_LINE_HOST_BOUNDARIES], there * 6 * plan.activation.boundary_bytes);
    int64_t run = 0;
    for (int64_t i = 0; i < 126; i++) {
        run = plan.boundary_home[i] == FT_TIER_HOST ? run + 1 : 0;
        assert_true(run <= 126 / here + 1);
    }
    ft_plan_free(&plan);
    request.boundary = FT_TIER_HOST;
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_INPUT);
}

static void a_third_slot_where_the_link_is_the_bound(void **state)
{
    ft_plan plan;
    ft_plan_request request = request_of(&small, FT_COMPUTE_FP8, 1, 1);
    request.base_placement = FT_TIER_HOST;
    request.hbm_budget = 20LL << 30;
    ok(ft_plan_make(&plan, &request));
    assert_int_equal(plan.prefetch_depth, 2);
    assert_int_equal(plan.slots, 3);
    double three = plan.tokens_per_s;
    ft_plan_free(&plan);
    request.prefetch_depth = 1;
    assert_true(speed(&request) < 0.99 * three);
    request.prefetch_depth = 17;
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_USAGE);
}

static ft_form ends_unquantized(void *context, ft_role role, int64_t layer)
{
    const int64_t *layers = context;
    bool plain = !ft_role_is_linear(role) || layer == 0 || layer == *layers - 1;
    return plain ? (ft_form){FT_DTYPE_BF16, FT_SCALE_NONE} : ft_base_form(FT_BASE_FP8);
}

static void large_layers_are_pinned_and_size_no_slot(void **state)
{
    ft_layout layout;
    ft_shape shape;
    ft_plan plan;
    ok(ft_shape_geometry(&shape, "llama3-70b"));
    ok(ft_layout_make(&layout, &shape, FT_BASE_FP8, ends_unquantized, &shape.layers));
    assert_true(layout.record[0].bytes > 3 * layout.record[1].bytes / 2);
    ft_plan_request request = request_of(&layout, FT_COMPUTE_FP8, 1, 1);
    for (int64_t pins = 1; pins <= 5; pins++) {
        request.pinned_hbm = pins;
        ok(ft_plan_make(&plan, &request));
        within_limits(&plan);
        bool both = plan.home[0] == FT_TIER_HBM && plan.home[79] == FT_TIER_HBM;
        assert_int_equal(both, pins >= 2);
        assert_int_equal(count(plan.home, 80, FT_TIER_HBM), pins);
        assert_int_equal(plan.slot_bytes, layout.record[pins >= 2 ? 1 : 0].bytes);
        ft_plan_free(&plan);
    }
    ft_layout_free(&layout);
}

static void tiles_keep_less_and_compute_more(void **state)
{
    ft_plan whole, tiled;
    ft_plan_request request = request_of(&small, FT_COMPUTE_BF16, 2, 1);
    request.base_placement = FT_TIER_HBM;
    request.policy = FT_POLICY_KEEP;
    ok(ft_plan_make(&whole, &request));
    request.mlp_chunk = 2048;
    ok(ft_plan_make(&tiled, &request));
    assert_true(tiled.line[FT_LINE_KEPT] < whole.line[FT_LINE_KEPT]);
    double again = 2.0 * 8192 * 32 * 28672 * (4096 + 64);  // gate and up once more
    double more = tiled.backward.amount[FT_RESOURCE_COMPUTE] - whole.backward.amount[FT_RESOURCE_COMPUTE];
    assert_true(more > 0.999 * again && more < 1.001 * again);
    assert_true(tiled.step_seconds > whole.step_seconds);
    ft_plan_free(&whole);
    ft_plan_free(&tiled);
}

static void aliases_are_said(void **state)
{
    ft_plan plan;
    ft_text text = {0};
    ft_plan_request request = request_of(&large, FT_COMPUTE_FP8, 1, 4);
    request.base_placement = FT_TIER_HOST;
    request.alias = 8;
    request.host_budget = 110000000000;
    ok(ft_plan_make(&plan, &request));
    for (int64_t i = 0; i < 126; i++) assert_int_equal(ft_plan_is_alias(&plan, i), ft_plan_source(&plan, i) != i);
    ok(ft_plan_print(&plan, &text));
    assert_non_null(strstr(text.data, "8 of 126 layers are real"));
    ft_text_free(&text);
    ft_plan_free(&plan);
}

// What the targets of the design need, by plan alone.
static void targets_are_within_reach(void **state)
{
    for (int64_t accumulation = 1; accumulation <= 4; accumulation++) {
        ft_plan_request bf16 = request_of(&medium, FT_COMPUTE_BF16, 1, accumulation), fp8 = request_of(&medium, FT_COMPUTE_FP8, 1, accumulation);
        assert_true(speed(&bf16) >= 1500);
        assert_true(speed(&fp8) >= 2000);
    }
    ft_plan_request bf16 = request_of(&large, FT_COMPUTE_BF16, 1, 4), fp8 = request_of(&large, FT_COMPUTE_FP8, 1, 4);
    bf16.base_placement = fp8.base_placement = FT_TIER_HOST;
    bf16.alias = fp8.alias = 8;
    bf16.host_budget = fp8.host_budget = 110000000000;
    assert_true(speed(&bf16) >= 260);
    assert_true(speed(&fp8) >= 380);
}

// Where a sweep of the crossover's batch does not fit, a smaller one that is faster is suggested, at the speed of its own plan.
static void a_suggested_batch_is_as_fast_as_said(void **state)
{
    ft_plan plan;
    ft_plan_suggestion best;
    ft_machine faster = machine;
    ft_plan_request request = request_of(&large, FT_COMPUTE_BF16, 1, 4);
    faster.nvme_read = 6e9;
    request.machine = &faster;
    ok(ft_plan_make(&plan, &request));
    ok(ft_plan_suggest(&plan, &best));
    request.accumulation = best.accumulation;
    assert_true(best.accumulation > 4 && best.accumulation < plan.suggested_accumulation);
    assert_true(best.tokens_per_s == speed(&request) && best.tokens_per_s > plan.tokens_per_s);
    request.accumulation = plan.suggested_accumulation;
    assert_true(best.tokens_per_s > speed(&request));
    ft_plan_free(&plan);
}

// Milliseconds; the limit leaves room for a build with sanitizers on a busy machine.
static void the_search_is_quick(void **state)
{
    ft_plan_request request = request_of(&large, FT_COMPUTE_FP8, 1, 8);
    clock_t start = clock();
    speed(&request);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_layers_are_kept_as_fit), cmocka_unit_test(activations_are_kept_before_layers_are_pinned),
        cmocka_unit_test(wishes_only_slow_down), cmocka_unit_test(layer_inputs_live_in_both_tiers),
        cmocka_unit_test(a_third_slot_where_the_link_is_the_bound), cmocka_unit_test(large_layers_are_pinned_and_size_no_slot),
        cmocka_unit_test(tiles_keep_less_and_compute_more), cmocka_unit_test(aliases_are_said), cmocka_unit_test(targets_are_within_reach),
        cmocka_unit_test(a_suggested_batch_is_as_fast_as_said), cmocka_unit_test(the_search_is_quick),
    };
    return cmocka_run_group_tests(tests, setup, free_layouts);
}
