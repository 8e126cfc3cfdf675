// The schedule: loads are as few as the slots allow, pins are spread, and what does not fit says what is short.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/memory.h"
#include "offload/plan.h"
#include "offload/streamer.h"

static ft_layout layout;
static ft_machine machine;

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static int setup(void **state)
{
    ft_shape shape;
    ok(ft_shape_geometry(&shape, "llama3-8b"));
    ok(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL));
    ok(ft_machine_read(&machine, "configs/machines/1xh100.yaml"));
    return 0;
}

static int teardown(void **state)
{
    ft_layout_free(&layout);
    return 0;
}

static ft_plan_request request_of(void)
{
    return (ft_plan_request){.layout = &layout, .machine = &machine, .compute = FT_COMPUTE_BF16, .gpus = 1, .sequence_len = 4096, .micro_batch_size = 1,
                             .accumulation = 2, .lora_r = 16, .lora_targets = FT_LINEAR_ALL, .train = true, .head_chunk = 1024, .prefetch_depth = 1,
                             .base_placement = FT_PLAN_AUTO, .pinned_hbm = FT_PLAN_AUTO, .pinned_host = FT_PLAN_AUTO, .policy = FT_POLICY_AUTO,
                             .boundary = FT_PLAN_AUTO};
}

// Replays visits and checks that a visit without a load finds its layer in the slot it names.
static void replay(const ft_plan *plan, ft_sweep_mode mode, int64_t *cold_loads, int64_t *steady_loads)
{
    int32_t in_slot[32];
    memset(in_slot, -1, sizeof in_slot);
    *cold_loads = *steady_loads = 0;
    for (int sweep = 0; sweep < 4; sweep++) {
        const ft_visit *visits = sweep == 0 ? plan->cold[mode] : plan->steady[mode];
        int64_t loads = 0;
        for (int64_t i = 0; i < plan->n_visits[mode]; i++) {
            const ft_visit *v = &visits[i];
            int64_t expected = i < 32 ? i : 63 - i;
            assert_int_equal(v->layer, expected);
            if (plan->home[v->layer] == FT_TIER_HBM) {
                assert_int_equal(v->slot, -1);
                assert_false(v->load);
                continue;
            }
            assert_in_range(v->slot, 0, plan->slots - 1);
            if (v->load) in_slot[v->slot] = v->layer;
            else assert_int_equal(in_slot[v->slot], v->layer);
            assert_int_equal(v->host_slot >= 0, v->load && plan->home[v->layer] == FT_TIER_NVME);
            loads += v->load;
        }
        *(sweep == 0 ? cold_loads : steady_loads) = loads;
    }
}

static void slots_still_filled_at_a_turn_are_not_loaded_again(void **state)
{
    for (int64_t depth = 1; depth <= 4; depth++) {
        ft_plan plan;
        ft_plan_request request = request_of();
        request.base_placement = FT_TIER_NVME;
        request.pinned_hbm = 5;
        request.pinned_host = 7;
        request.prefetch_depth = depth;
        ok(ft_plan_make(&plan, &request));
        int64_t cold, steady;
        replay(&plan, FT_SWEEP_TRAIN, &cold, &steady);
        assert_int_equal(cold, 2 * 27 - (depth + 1));
        assert_int_equal(steady, 2 * 27 - 2 * (depth + 1));
        replay(&plan, FT_SWEEP_EVALUATE, &cold, &steady);
        assert_int_equal(cold, 27);
        assert_int_equal(steady, 27);
        assert_int_equal(ft_plan_step_bytes(&plan, FT_RESOURCE_H2D) - plan.line[FT_LINE_HOST_BOUNDARIES],
                         (2 * 27 - 2 * (depth + 1)) * layout.record[0].bytes);
        ft_plan_free(&plan);
    }
}

static void pins_are_spread(void **state)
{
    for (int64_t n = 1; n <= 40; n++)
        for (int64_t count = 0; count <= n; count++) {
            uint8_t chosen[40] = {0};
            ft_plan_spread(chosen, n, count);
            int64_t total = 0, run = 0, longest = 0;
            for (int64_t i = 0; i < n; i++) {
                total += chosen[i];
                run = chosen[i] ? 0 : run + 1;
                if (run > longest) longest = run;
            }
            assert_int_equal(total, count);
            // No gap is longer than the average gap rounded up.
            if (count > 0) assert_true(longest <= (n + count - 1) / count);
        }
    uint8_t taken[8] = {1, 0, 1, 0, 1, 0, 1, 0};
    ft_plan_spread(taken, 8, 4);
    for (int i = 0; i < 8; i++) assert_int_equal(taken[i], 1);
}

static void what_does_not_fit_is_named(void **state)
{
    ft_plan plan;
    ft_plan_request request = request_of();
    request.hbm_budget = 3LL << 30;
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "device memory is short by"));
    assert_non_null(strstr(ft_error_message(), "--hbm-budget"));
    long long need = 0;
    sscanf(strstr(ft_error_message(), "raise --hbm-budget to ") + strlen("raise --hbm-budget to "), "%lld", &need);
    request.hbm_budget = need;
    ok(ft_plan_make(&plan, &request));  // what the message says is enough
    ft_plan_free(&plan);
    request.hbm_budget = need - 1;
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_INPUT);
    request = request_of();
    request.nvme_budget = 1 << 30;
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "NVMe is short by"));
    request = request_of();
    request.host_budget = 1 << 20;
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "host memory is short by"));
}

static void a_tight_budget_streams_and_a_wide_one_does_not(void **state)
{
    ft_plan wide, tight;
    ft_plan_request request = request_of();
    ok(ft_plan_make(&wide, &request));
    assert_int_equal(wide.slots, 0);
    assert_int_equal(ft_plan_step_bytes(&wide, FT_RESOURCE_H2D), 0);
    request.hbm_budget = 8LL << 30;
    ok(ft_plan_make(&tight, &request));
    assert_true(tight.slots > 0);
    assert_true(tight.tier_bytes[FT_TIER_HBM] <= request.hbm_budget);
    assert_true(tight.step_seconds >= wide.step_seconds);
    assert_true(ft_plan_step_bytes(&tight, FT_RESOURCE_H2D) > 0);
    ft_plan_free(&wide);
    ft_plan_free(&tight);
}

static void crossover_is_where_the_link_and_the_gemms_meet(void **state)
{
    ft_plan plan;
    ft_plan_request request = request_of();
    request.accumulation = 1;
    request.base_placement = FT_TIER_HOST;
    request.pinned_hbm = 0;
    request.boundary = FT_TIER_HBM;
    ok(ft_plan_make(&plan, &request));
    assert_int_equal(plan.forward.binding, FT_RESOURCE_H2D);
    assert_true(plan.suggested_accumulation >= 2);
    request.accumulation = plan.suggested_accumulation;
    ft_plan more;
    ok(ft_plan_make(&more, &request));
    assert_int_equal(more.forward.binding, FT_RESOURCE_COMPUTE);
    assert_int_equal(more.suggested_accumulation, 0);
    ft_plan_suggestion suggestion;
    ok(ft_plan_suggest(&plan, &suggestion));
    assert_int_equal(suggestion.accumulation, plan.suggested_accumulation);
    assert_true(suggestion.tokens_per_s == more.tokens_per_s && more.tokens_per_s > plan.tokens_per_s);
    ft_plan_free(&plan);
    ft_plan_free(&more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_still_filled_at_a_turn_are_not_loaded_again), cmocka_unit_test(pins_are_spread), cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(a_tight_budget_streams_and_a_wide_one_does_not), cmocka_unit_test(crossover_is_where_the_link_and_the_gemms_meet),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
