// The 405B plan against a table made by hand from the model's sizes and the machine file's rates: bytes of every line, FLOPs and
// bytes of every resource, and the step as what these bound. r 16 and 64, one device and eight.
//
// By hand, per layer: qkv 18,432 x 16,384, o 16,384 x 16,384, gate|up 106,496 x 16,384, down 16,384 x 53,248 codes of one byte =
// 3,187,671,040. Scales per tile in float32, W and W^T: (144 x 128 + 128 x 144) + 2 (128 x 128) + (832 x 128 + 128 x 832) +
// (128 x 416 + 416 x 128) = 389,120 floats. Norms 2 x 16,384 in bf16. Extents padded to 256 KiB.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/memory.h"
#include "offload/plan.h"

#define KIB256 (256 * 1024)
#define CODES 3187671040LL
#define QKV_EXTENT 302252032LL   // 301,989,888 codes + 147,456 scales, padded
#define O_EXTENT 268697600LL
#define GATE_UP_EXTENT 1745879040LL
#define DOWN_EXTENT 872939520LL
#define SMALL_EXTENT 262144LL
#define LAYER_RECORD (QKV_EXTENT + O_EXTENT + GATE_UP_EXTENT + DOWN_EXTENT + SMALL_EXTENT)
#define HEAD_MATRIX (128256LL * 16384 * 2)
#define LAYERS 126
#define TOKENS 4096LL  // of a micro-batch
#define BATCHES 4LL

static ft_shape shape;
static ft_layout layout;
static ft_machine machine;

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

// With the rates of each direction alone.
static void read_machine(void)
{
    ok(ft_machine_read(&machine, "configs/machines/8xh100.yaml"));
    machine.h2d_both = machine.d2h_both = 0;
}

static int setup(void **state)
{
    ok(ft_shape_geometry(&shape, "llama3-405b"));
    ok(ft_layout_make(&layout, &shape, FT_BASE_FP8, NULL, NULL));
    read_machine();
    return 0;
}

static int teardown(void **state)
{
    ft_layout_free(&layout);
    return 0;
}

static ft_plan_request request_of(int gpus, int64_t r)
{
    return (ft_plan_request){.layout = &layout, .machine = &machine, .compute = FT_COMPUTE_BF16, .gpus = gpus, .sequence_len = TOKENS, .micro_batch_size = 1,
                             .accumulation = BATCHES, .lora_r = r, .lora_targets = FT_LINEAR_ALL, .train = true, .head_chunk = 1024, .prefetch_depth = 1,
                             .base_placement = FT_TIER_HOST, .pinned_hbm = 2, .pinned_host = 0, .policy = FT_POLICY_RECOMPUTE, .boundary = FT_TIER_HOST,
                             .sweep_micro_batches = BATCHES, .checkpoints_kept = 3};
}

static void layer_record(void **state)
{
    const ft_record *record = &layout.record[0];
    assert_int_equal(ft_record_codes_bytes(record), CODES);
    assert_int_equal(record->extent[FT_GROUP_QKV].bytes, QKV_EXTENT);
    assert_int_equal(record->extent[FT_GROUP_O].bytes, O_EXTENT);
    assert_int_equal(record->extent[FT_GROUP_GATE_UP].bytes, GATE_UP_EXTENT);
    assert_int_equal(record->extent[FT_GROUP_DOWN].bytes, DOWN_EXTENT);
    assert_int_equal(record->extent[FT_GROUP_SMALL].bytes, SMALL_EXTENT);
    assert_int_equal(record->bytes, LAYER_RECORD);
}

// LoRA on all seven linears: r x (in + out) summed.
static int64_t lora(int64_t r)
{
    return r * LAYERS * (16384 + 16384 + 2 * (16384 + 1024) + 16384 + 16384 + 3 * (16384 + 53248));
}

// Columns LoRA adds to a group of `parts` linears in the big products, in whole 64.
static int64_t fold(int64_t parts, int64_t r)
{
    return (parts * r + 63) / 64 * 64;
}

// [out + fold, in + fold] in bf16 for each group, and two norms in float32.
static int64_t form(int64_t r)
{
    int64_t qkv = fold(3, r), o = fold(1, r), gate_up = fold(2, r), down = fold(1, r);
    return 2 * ((18432 + qkv) * (16384 + qkv) + (16384 + o) * (16384 + o) + (106496 + gate_up) * (16384 + gate_up) +
                (16384 + down) * (53248 + down)) + 2 * 16384 * 4;
}

static void check_memory(const ft_plan *plan, int gpus, int64_t r)
{
    const int64_t *line = plan->line, boundary = TOKENS * (16384 + fold(1, r)) * 2;
    assert_int_equal(plan->lora_parameters, lora(r));
    assert_int_equal(line[FT_LINE_PINNED_RECORDS], 2 * LAYER_RECORD / gpus);
    assert_int_equal(line[FT_LINE_HEAD], (HEAD_MATRIX + 16384 * 2 + KIB256 - 1) / KIB256 * KIB256);
    assert_int_equal(line[FT_LINE_SLOTS], 2 * LAYER_RECORD);
    assert_int_equal(line[FT_LINE_COMPUTE_FORM], form(r));
    assert_int_equal(line[FT_LINE_EMBED_DEVICE], 0);
    assert_int_equal(line[FT_LINE_ADAPTER], lora(r) * 4);
    assert_int_equal(line[FT_LINE_GRADIENTS], lora(r) * 4);
    assert_int_equal(line[FT_LINE_MOMENTS], lora(r) * 8 / gpus);
    assert_int_equal(line[FT_LINE_BOUNDARIES], BATCHES * boundary);  // the last layer's input stays
    assert_int_equal(line[FT_LINE_BOUNDARY_STAGING], 4 * boundary);
    assert_int_equal(line[FT_LINE_STREAM], 2 * BATCHES * boundary);
    assert_int_equal(line[FT_LINE_KEPT], 0);
    // Saved per token: qkv 18,432, attention 16,384 and its tail, mid 16,384, gate|up 106,496, S of each group in bf16; rstd twice,
    // lse 128 in float32.
    int64_t folds = fold(3, r) + fold(1, r) + fold(2, r) + fold(1, r);
    assert_int_equal(line[FT_LINE_RECOMPUTE], TOKENS * ((18432 + 16384 + fold(1, r) + 16384 + 106496 + folds) * 2 + (2 + 128) * 4));
    // Scratch: normed and d_normed, swiglu and d_swiglu, d_gate_up, d_attn, d_qkv, with the tails of what enters a product.
    int64_t tails = fold(3, r) + fold(1, r) + fold(2, r) + fold(3, r);
    assert_int_equal(line[FT_LINE_SCRATCH], TOKENS * 2 * (2 * 16384 + 2 * 53248 + 106496 + 16384 + 18432 + tails));
    assert_int_equal(line[FT_LINE_HOST_RECORDS], 124 * LAYER_RECORD);
    assert_int_equal(line[FT_LINE_HOST_RING], 0);
    assert_int_equal(line[FT_LINE_EMBEDDING], HEAD_MATRIX);
    assert_int_equal(line[FT_LINE_HOST_BOUNDARIES], 125 * BATCHES * boundary * gpus);
    assert_int_equal(line[FT_LINE_CHECKPOINTS], 4 * lora(r) * 12);
    int64_t sum[FT_TIER_COUNT] = {0};
    for (int i = 0; i < FT_LINE_COUNT; i++) sum[ft_plan_line_tier((ft_plan_line)i)] += line[i];
    assert_memory_equal(sum, plan->tier_bytes, sizeof sum);
}

static double most(const double *values, int n)
{
    double result = 0;
    for (int i = 0; i < n; i++) result = fmax(result, values[i]);
    return result;
}

// FLOPs of a phase by hand, products and attention apart: 2 a weight and token, LoRA's columns beside the input's on the way
// forward and beside the output's on the way back. Recompute leaves out down's product. Attention backward is 2.5 times forward.
typedef struct {
    double products, attention, attention_backward;
} flops;

static flops flops_of(int64_t r, bool backward)
{
    double qkv = (double)fold(3, r), o = (double)fold(1, r), gate_up = (double)fold(2, r), down = (double)fold(1, r);
    double without_down = 18432.0 * (16384 + qkv) + 16384.0 * (16384 + o) + 106496.0 * (16384 + gate_up);
    double forward = without_down + 16384.0 * (53248 + down);
    double dx = 16384.0 * (18432 + qkv) + 16384.0 * (16384 + o) + 16384.0 * (106496 + gate_up) + 53248.0 * (16384 + down);
    double tokens = (double)(TOKENS * BATCHES) * LAYERS, attention = 2.0 * 4096 * 16384;
    if (!backward) return (flops){2 * tokens * forward, tokens * attention, 0};
    return (flops){2 * tokens * (dx + without_down), tokens * attention, 2.5 * tokens * attention};
}

// Everything else is bytes at the copy rate: a form at each visit, of which the one at the turn stands, and ops between products.
static void check_compute(const ft_plan_phase *phase, int64_t r, bool backward)
{
    flops f = flops_of(r, backward);
    double products = f.products / 770e12 + f.attention / 616e12 + f.attention_backward / 463e12;
    double forms = (LAYERS - backward) * (double)(form(r) - 2 * 16384 * 4 + CODES) / 3.0e12;
    assert_true(fabs(phase->amount[FT_RESOURCE_COMPUTE] / (f.products + f.attention + f.attention_backward) - 1) < 1e-9);
    assert_true(phase->seconds[FT_RESOURCE_COMPUTE] > products + forms * 0.99);
    assert_true(phase->seconds[FT_RESOURCE_COMPUTE] < 1.06 * products + forms);
}

// 124 layers stream; two slots are still filled at each turn, so 122 loads a direction.
static void check_links(const ft_plan_phase *phase, int gpus, int64_t r, bool backward)
{
    double g = gpus, loads = 122.0 * (double)LAYER_RECORD, spill = 125.0 * (double)(BATCHES * TOKENS * (16384 + fold(1, r)) * 2);
    double h2d = loads / g + (backward ? spill : 0), d2h = backward ? 0 : spill;
    double gather = (g - 1) / g * LAYERS * (double)LAYER_RECORD;
    const double amount[] = {h2d, d2h, 0, gather, g * (h2d + d2h)}, rate[] = {54.9e9, 55.0e9, 1, 361e9, 300e9};
    for (int i = 0; i < 5; i++) {
        assert_true(fabs(phase->amount[FT_RESOURCE_H2D + i] - amount[i]) <= 1e-9 * amount[i]);
        assert_true(fabs(phase->seconds[FT_RESOURCE_H2D + i] - amount[i] / rate[i]) <= 1e-9 * amount[i] / rate[i]);
    }
}

// Elapsed time is the longest resource's, and at a turn the link stands still for a visit or two.
static void check_phase(const ft_plan_phase *phase, double slack)
{
    double longest = most(phase->seconds, FT_RESOURCE_COUNT);
    assert_true(phase->seconds[phase->binding] == longest);
    assert_true(phase->phase_seconds > 0.98 * longest);
    assert_true(phase->phase_seconds < longest + slack);
}

static void check_time(const ft_plan *plan, int gpus, int64_t r)
{
    check_compute(&plan->forward, r, false);
    check_compute(&plan->backward, r, true);
    check_links(&plan->forward, gpus, r, false);
    check_links(&plan->backward, gpus, r, true);
    double visit = (plan->forward.seconds[FT_RESOURCE_COMPUTE] + plan->backward.seconds[FT_RESOURCE_COMPUTE]) / LAYERS;
    check_phase(&plan->forward, 2 * visit);
    check_phase(&plan->backward, 2 * visit);
    double head = 4.0 * 128256 * 16384 * (double)(TOKENS * BATCHES) / 770e12;
    assert_true(plan->head_seconds > head && plan->head_seconds < 1.05 * head);
    // AdamW's 28 bytes of a device's share, the norm's 4 and zeroing's 4 of all; launches and waits of a step.
    double optimizer = (28.0 / gpus + 8) * (double)lora(r) / 3.0e12 + (gpus > 1 ? 8.0 * (double)lora(r) / 361e9 : 0);
    assert_true(plan->optimizer_seconds > optimizer && plan->optimizer_seconds < optimizer + 5e-3);
    double step = plan->embed_seconds + plan->forward.phase_seconds + plan->head_seconds + plan->backward.phase_seconds + plan->optimizer_seconds;
    assert_true(fabs(plan->step_seconds / step - 1) < 1e-9);
    assert_true(fabs(plan->tokens_per_s / ((double)(TOKENS * BATCHES * gpus) / step) - 1) < 1e-9);
}

static void hand_table(void **state)
{
    static const int gpus[] = {1, 8};
    static const int64_t ranks[] = {16, 64};
    machine.hbm_bytes = 200LL << 30;  // r 64 on one device is larger than a card; the table is about bytes, not about fitting
    machine.host_bytes = 4000LL << 30;
    for (int g = 0; g < 2; g++)
        for (int k = 0; k < 2; k++) {
            ft_plan plan;
            ft_plan_request request = request_of(gpus[g], ranks[k]);
            ok(ft_plan_make(&plan, &request));
            check_memory(&plan, gpus[g], ranks[k]);
            check_time(&plan, gpus[g], ranks[k]);
            ft_plan_free(&plan);
        }
    read_machine();
}

static void planned_in_under_a_second(void **state)
{
    static const int gpus[] = {1, 8};
    static const int64_t ranks[] = {16, 64};
    for (int i = 0; i < 4; i++) {
        clock_t start = clock();
        ft_plan plan;
        ft_plan_request request = request_of(gpus[i / 2], ranks[i % 2]);
        request.base_placement = request.boundary = FT_PLAN_AUTO;
        request.pinned_hbm = request.pinned_host = FT_PLAN_AUTO;
        request.policy = FT_POLICY_AUTO;
        request.sweep_micro_batches = 0;
        ok(ft_plan_make(&plan, &request));
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 1.0);
        for (int tier = 0; tier < FT_TIER_COUNT; tier++) assert_true(plan.tier_bytes[tier] <= plan.tier_limit[tier]);
        ft_plan_free(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layer_record), cmocka_unit_test(hand_table), cmocka_unit_test(planned_in_under_a_second)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
