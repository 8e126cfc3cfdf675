// Plans at the edges: one layer, tied embeddings, few tokens, many slots, several devices, forward only. Whatever is asked, a plan
// that fits says times a machine can have: finite, and no link or device is busy for longer than the step takes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "offload/plan.h"

static ft_machine machine;
static int plans;

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static void a_time(const char *what, double seconds)
{
    if (!isfinite(seconds) || seconds < 0) fail_msg("%s: %g", what, seconds);
}

static void check_phase(const ft_plan_phase *phase)
{
    a_time("phase", phase->phase_seconds);
    for (int r = 0; r < FT_RESOURCE_COUNT; r++) {
        a_time(ft_resource_name((ft_resource)r), phase->seconds[r]);
        a_time(ft_resource_name((ft_resource)r), phase->amount[r]);
    }
}

static void check_times(const ft_plan *plan)
{
    check_phase(&plan->forward);
    check_phase(&plan->backward);
    a_time("crossover", plan->crossover_tokens);
    a_time("rate", plan->tokens_per_s);
    a_time("optimizer", plan->optimizer_seconds);
    assert_true(plan->step_seconds > 0 && plan->suggested_accumulation >= 0);
    for (int r = 0; r < FT_RESOURCE_COUNT; r++) {
        double busy = ft_plan_step_seconds(plan, (ft_resource)r);
        if (busy > plan->step_seconds * 1.001)
            fail_msg("%s: %s busy for %g of %g s, %lld layers on %d devices", plan->machine.name, ft_resource_name((ft_resource)r), busy,
                     plan->step_seconds, (long long)plan->layout.shape.layers, plan->request.gpus);
    }
}

static void check_bytes(const ft_plan *plan)
{
    for (int line = 0; line < FT_LINE_COUNT; line++) assert_true(plan->line[line] >= 0);
    for (int tier = 0; tier < FT_TIER_COUNT; tier++) assert_true(plan->tier_bytes[tier] <= plan->tier_limit[tier]);
    assert_true(plan->slots <= plan->prefetch_depth + 1 && plan->host_slots <= plan->prefetch_depth + 1);
}

static void check_texts(const ft_plan *plan)
{
    ft_text table = {0};
    ok(ft_plan_print(plan, &table));
    assert_null(strstr(table.data, "nan"));
    ft_text_free(&table);
    json_t *json = ft_plan_json(plan);
    assert_non_null(json);
    json_decref(json);
}

static void plan_one(const ft_plan_request *request)
{
    ft_plan plan;
    if (ft_plan_make(&plan, request) != FT_OK) return;
    plans++;
    check_times(&plan);
    check_bytes(&plan);
    check_texts(&plan);
    ft_plan_free(&plan);
}

// Placements, depths and directions of one model.
static void plan_model(const ft_layout *layout, int gpus, int64_t sequence_len)
{
    static const int homes[] = {FT_PLAN_AUTO, FT_TIER_HBM, FT_TIER_HOST, FT_TIER_NVME};
    ft_compute compute = machine.device == FT_DEVICE_CPU ? FT_COMPUTE_F32 : FT_COMPUTE_FP8;
    for (int i = 0; i < 16; i++) {
        ft_plan_request request = {
            .layout = layout, .machine = &machine, .compute = compute, .gpus = gpus, .sequence_len = sequence_len, .micro_batch_size = 1,
            .accumulation = i & 1 ? 7 : 1, .lora_r = 16, .lora_targets = FT_LINEAR_ALL, .train = (i & 2) == 0, .head_chunk = 1024,
            .mlp_chunk = i & 1 ? 512 : 0, .alias = homes[i / 4] == FT_TIER_HOST ? 1 : 0, .prefetch_depth = i & 1 ? 4 : 0,
            .base_placement = homes[i / 4], .pinned_hbm = i & 1 ? 1 : FT_PLAN_AUTO, .pinned_host = FT_PLAN_AUTO, .policy = FT_POLICY_AUTO,
            .boundary = i & 2 ? FT_TIER_HOST : FT_PLAN_AUTO, .sweep_micro_batches = i & 1, .checkpoints_kept = 1};
        plan_one(&request);
    }
}

static void plan_layers(const char *geometry, int64_t layers, int gpus)
{
    ft_shape shape;
    ft_layout layout;
    ok(ft_shape_geometry(&shape, geometry));
    shape.layers = layers;
    ok(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL));
    plan_model(&layout, gpus, 1);
    plan_model(&layout, gpus, 2048);
    ft_layout_free(&layout);
}

static void times_are_those_a_machine_can_have(void **state)
{
    static const char *const files[] = {"configs/machines/1xh100.yaml", "configs/machines/8xh100.yaml", "configs/machines/laptop.yaml"};
    static const char *const geometries[] = {"smollm2-135m", "llama3-70b"};  // the first is tied
    static const int64_t layers[] = {1, 2, 5};
    for (int f = 0; f < 3; f++) {
        ok(ft_machine_read(&machine, files[f]));
        for (int g = 0; g < 2; g++)
            for (int l = 0; l < 3; l++) plan_layers(geometries[g], layers[l], 1);
        for (int l = 0; l < 3 && machine.gpus > 1; l++) plan_layers("llama3-70b", layers[l], machine.gpus);
    }
    assert_true(plans > 400);
}

// Inputs on drives that are slow for them: they are written before they are read, one after the other.
static void spilled_inputs_take_the_time_of_the_drives(void **state)
{
    ft_shape shape;
    ft_layout layout;
    ft_plan plan;
    ok(ft_machine_read(&machine, "configs/machines/1xh100.yaml"));
    ok(ft_shape_geometry(&shape, "smollm2-135m"));
    ok(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL));
    ft_plan_request request = {.layout = &layout, .machine = &machine, .compute = FT_COMPUTE_BF16, .gpus = 1, .sequence_len = 4096, .micro_batch_size = 2,
                               .accumulation = 1, .lora_r = 16, .lora_targets = FT_LINEAR_ALL, .train = true, .head_chunk = 1024,
                               .base_placement = FT_TIER_HBM, .pinned_hbm = FT_PLAN_AUTO, .pinned_host = FT_PLAN_AUTO, .boundary = FT_TIER_NVME};
    ok(ft_plan_make(&plan, &request));
    double busy = ft_plan_step_seconds(&plan, FT_RESOURCE_NVME);
    assert_int_equal(plan.binding, FT_RESOURCE_NVME);
    if (plan.step_seconds < 0.95 * busy) fail_msg("%g s, the drives alone %g", plan.step_seconds, busy);
    ft_plan_free(&plan);
    ft_layout_free(&layout);
}

// What does not fit says how many bytes would be enough, and they are.
static void what_is_said_to_be_enough_is(void **state)
{
    ft_shape shape;
    ft_layout layout;
    ft_plan plan;
    ok(ft_machine_read(&machine, "configs/machines/1xh100.yaml"));
    ok(ft_shape_geometry(&shape, "llama3-8b"));
    ok(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL));
    ft_plan_request request = {.layout = &layout, .machine = &machine, .compute = FT_COMPUTE_FP8, .gpus = 1, .sequence_len = 4096, .micro_batch_size = 1,
                               .accumulation = 4, .lora_r = 16, .lora_targets = FT_LINEAR_ALL, .train = true, .head_chunk = 1024,
                               .base_placement = FT_TIER_HOST, .pinned_hbm = FT_PLAN_AUTO, .pinned_host = FT_PLAN_AUTO, .boundary = FT_PLAN_AUTO,
                               .sweep_micro_batches = 9, .hbm_budget = 1 << 30};
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_INPUT);
    const char *enough = strstr(ft_error_message(), "--hbm-budget to ");
    assert_non_null(enough);
    request.hbm_budget = strtoll(enough + strlen("--hbm-budget to "), NULL, 10);
    ok(ft_plan_make(&plan, &request));
    ft_plan_free(&plan);
    request.sweep_micro_batches = 4;  // as many as there are
    request.hbm_budget = 1 << 30;
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_INPUT);
    int64_t capped = strtoll(strstr(ft_error_message(), "--hbm-budget to ") + strlen("--hbm-budget to "), NULL, 10);
    request.sweep_micro_batches = 9;
    request.hbm_budget = 1 << 30;
    assert_int_equal(ft_plan_make(&plan, &request), FT_E_INPUT);
    assert_int_equal(strtoll(strstr(ft_error_message(), "--hbm-budget to ") + strlen("--hbm-budget to "), NULL, 10), capped);
    ft_layout_free(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(times_are_those_a_machine_can_have), cmocka_unit_test(spilled_inputs_take_the_time_of_the_drives),
                                       cmocka_unit_test(what_is_said_to_be_enough_is)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
