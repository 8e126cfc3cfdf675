// How many micro-batches a sweep has: of all sizes that fit the plan takes the fastest, and counts what the last, smaller sweep does.
#include "offload/plan_support.h"

#include <math.h>
#include <string.h>
#include <time.h>

static int setup(void **state)
{
    ok(ft_machine_read(&machine, "configs/machines/1xh100.yaml"));
    make_layouts();
    return 0;
}

// INFINITY where it does not fit.
static double step_seconds(const ft_plan_request *request)
{
    ft_plan plan;
    ft_status status = ft_plan_make(&plan, request);
    if (status == FT_E_INPUT) return INFINITY;
    ok(status);
    double seconds = plan.step_seconds;
    within_limits(&plan);
    ft_plan_free(&plan);
    return seconds;
}

static void no_fixed_size_is_faster(void **state)
{
    static const struct {
        const ft_layout *layout;
        ft_compute compute;
        int64_t accumulation, hbm, host;  // GiB, 0 = the machine's
    } cases[] = {
        {&large, FT_COMPUTE_BF16, 24, 0, 0},  {&large, FT_COMPUTE_FP8, 11, 0, 0},   {&large, FT_COMPUTE_FP8, 7, 40, 300},
        {&large, FT_COMPUTE_BF16, 13, 60, 60}, {&medium, FT_COMPUTE_BF16, 9, 0, 0}, {&medium, FT_COMPUTE_FP8, 13, 40, 0},
        {&medium, FT_COMPUTE_FP8, 5, 16, 6},  {&medium, FT_COMPUTE_BF16, 12, 24, 40}, {&small, FT_COMPUTE_BF16, 13, 0, 0},
        {&small, FT_COMPUTE_FP8, 7, 8, 2},    {&small, FT_COMPUTE_FP8, 20, 12, 4},  {&small, FT_COMPUTE_BF16, 6, 20, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ft_plan_request request = request_of(cases[i].layout, cases[i].compute, 1, cases[i].accumulation);
        request.hbm_budget = cases[i].hbm << 30;
        request.host_budget = cases[i].host << 30;
        double chosen = step_seconds(&request), fastest = INFINITY;
        for (request.sweep_micro_batches = 1; request.sweep_micro_batches <= request.accumulation; request.sweep_micro_batches++)
            fastest = fmin(fastest, step_seconds(&request));
        assert_true(isfinite(fastest));
        if (chosen > fastest * 1.002) fail_msg("case %zu: a step of %g s was chosen, one of %g s fits", i, chosen, fastest);
    }
}

// Halves of 24 are 12, which do not fit, and 6, which wait for the drive.
static void sweeps_are_not_only_halves(void **state)
{
    ft_plan plan;
    ft_plan_request request = request_of(&large, FT_COMPUTE_BF16, 1, 24);
    ok(ft_plan_make(&plan, &request));
    assert_int_equal(plan.sweeps, 3);
    assert_int_equal(plan.micro_batches, 8);
    ft_plan_free(&plan);
}

static void a_smaller_last_sweep_counts_for_what_it_has(void **state)
{
    ft_plan plan, part;
    ft_text text = {0};
    ft_plan_request request = request_of(&medium, FT_COMPUTE_BF16, 1, 7);
    request.boundary = FT_TIER_HOST;
    request.sweep_micro_batches = 3;
    ok(ft_plan_make(&plan, &request));
    int64_t spilled = 0;
    for (int64_t i = 0; i < 80; i++) spilled += plan.boundary_home[i] == FT_TIER_HOST;
    assert_int_equal(plan.sweeps, 3);
    assert_int_equal(ft_plan_step_bytes(&plan, FT_RESOURCE_D2H), 7 * spilled * plan.activation.boundary_bytes);
    ok(ft_plan_print(&plan, &text));
    assert_non_null(strstr(text.data, "in 3 sweeps of 3 micro-batches, the last of 1;"));
    ft_text_free(&text);
    request.accumulation = 6;
    ok(ft_plan_make(&part, &request));
    double full = (part.step_seconds - part.optimizer_seconds) / 2, last = plan.step_seconds - part.step_seconds;
    assert_true(last > full / 3 && last < full / 2);
    assert_true(fabs(ft_plan_full_sweeps(&plan) - 7.0 / 3) < 1e-12);
    ft_plan_free(&plan);
    ft_plan_free(&part);
}

// Device memory holds everything, but the embedding's rows in host memory are too much for what there is.
static void the_embedding_goes_to_the_device_where_host_memory_is_short(void **state)
{
    ft_plan plan;
    ft_plan_request request = request_of(&small, FT_COMPUTE_BF16, 1, 1);
    request.hbm_budget = 16LL << 30;
    request.host_budget = 485LL << 20;
    ok(ft_plan_make(&plan, &request));
    assert_int_equal(plan.home[ft_layout_embed(&plan.layout)], FT_TIER_HBM);
    for (int64_t i = 0; i < 32; i++) assert_int_equal(plan.home[i], FT_TIER_HBM);
    ft_plan_free(&plan);
}

// The limit leaves room for a build with sanitizers on a busy machine.
static void large_batches_are_planned_quickly(void **state)
{
    ft_plan_request request = request_of(&medium, FT_COMPUTE_BF16, 1, 1024);
    clock_t start = clock();
    assert_true(isfinite(step_seconds(&request)));
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_fixed_size_is_faster), cmocka_unit_test(sweeps_are_not_only_halves),
        cmocka_unit_test(a_smaller_last_sweep_counts_for_what_it_has),
        cmocka_unit_test(the_embedding_goes_to_the_device_where_host_memory_is_short), cmocka_unit_test(large_batches_are_planned_quickly),
    };
    return cmocka_run_group_tests(tests, setup, free_layouts);
}
