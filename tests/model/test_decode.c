// Generation with the cache gives the tokens that recomputing the whole sequence for every token gives, wherever the weights live.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/threads.h"
#include "model/decode.h"
#include "offload/plan.h"
#include "offload/store.h"

#define SEQUENCE 48
#define NEW_TOKENS 16

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%d: %s", status, ft_error_message());
}

static void refused(ft_status status, ft_status expected, const char *part)
{
    if (status != expected || !strstr(ft_error_message(), part))
        fail_msg("%d, expected %d and \"%s\": %s", status, expected, part, ft_error_message());
}

typedef struct {
    char drive[64];
    const char *nvme[1];
    ft_shape shape;
    ft_store *store;
    ft_device *device;
    ft_machine machine;
    ft_adapter_layout adapter;
    ft_plan plan;
    ft_model *model;
} fixture;

typedef struct {
    const char *name;       // of the golden case
    ft_base_format format;
    int64_t r;              // 0 = without adapter
    ft_tier placement;
    int64_t mlp_chunk;
} variant;

static void open_store(fixture *f, const variant *v)
{
    char model[256], id[FT_HASH_TEXT];
    snprintf(model, sizeof model, "tests/golden/%s/model", v->name);
    const ft_store_options options = {.nvme = f->nvme, .n_nvme = 1, .format = v->format, .quiet = true};
    ok(ft_shape_read(&f->shape, model));
    ok(ft_store_id(model, v->format, id));
    ok(ft_store_prepare(model, &options, NULL));
    ok(ft_store_open(&f->store, model, id, &options));
}

static void open_plan(fixture *f, const variant *v)
{
    f->machine = (ft_machine){.name = "test",
                              .device = FT_DEVICE_CPU,
                              .gpus = 1,
                              .nodes = 1,
                              .hbm_bytes = 1 << 30,
                              .host_bytes = 1 << 30,
                              .drives = 1,
                              .nvme_bytes = (int64_t)1 << 40,
                              .gemm_bf16 = 1e10,
                              .gemm_fp8 = 1e10,
                              .attention_forward = 1e10,
                              .attention_backward = 1e10,
                              .hbm = 1e10,
                              .h2d = 1e10,
                              .d2h = 1e10,
                              .dram = 1e10,
                              .nvme_read = 1e9,
                              .nvme_write = 1e9};
    ft_plan_request request = {.layout = &f->store->layout,
                               .machine = &f->machine,
                               .compute = FT_COMPUTE_F32,
                               .gpus = 1,
                               .sequence_len = SEQUENCE,
                               .micro_batch_size = 1,
                               .accumulation = 1,
                               .lora_r = f->adapter.r,
                               .lora_targets = f->adapter.targets,
                               .head_chunk = 16,
                               .mlp_chunk = v->mlp_chunk,
                               .prefetch_depth = 1,
                               .base_placement = v->placement,
                               .pinned_hbm = FT_PLAN_AUTO,
                               .pinned_host = FT_PLAN_AUTO,
                               .boundary = FT_PLAN_AUTO};
    ok(ft_plan_make(&f->plan, &request));
}

// Random A and B: with B zero the adapter would not take part.
static void fill_adapter(fixture *f)
{
    ft_adapter_state state = ft_model_adapter(f->model);
    for (int64_t t = 0; t < f->adapter.n_tensors; t++)
        for (int64_t i = 0; i < f->adapter.tensor[t].rows * f->adapter.tensor[t].cols; i++)
            state.parameters[f->adapter.tensor[t].offset + i] =
                0.2f * (ft_rng_uniform(ft_rng(3, FT_RNG_DATA, (uint32_t)t, (uint32_t)i, 0, 0).word[0]) - 0.5f);
}

// On the heap: a test that fails leaves its model's threads running, which must not meet the next test's stack.
static fixture *open_variant(const variant *v)
{
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->drive, sizeof f->drive, "/tmp/ft-decode-XXXXXX");
    assert_non_null(mkdtemp(f->drive));
    f->nvme[0] = f->drive;
    open_store(f, v);
    if (v->r > 0) ok(ft_adapter_layout_make(&f->adapter, &f->shape, v->r, 2.0 * (double)v->r, 0, false, FT_LINEAR_ALL));
    ok(ft_device_open(&f->device, "cpu", 0));
    open_plan(f, v);
    assert_int_equal(f->plan.activation.tiled, v->mlp_chunk > 0);
    const ft_model_options options = {.plan = &f->plan, .store = f->store, .device = f->device, .adapter = v->r > 0 ? &f->adapter : NULL};
    ok(ft_model_open(&f->model, &options));
    fill_adapter(f);
    return f;
}

static void close_variant(fixture *f)
{
    ft_model_close(f->model);
    ft_plan_free(&f->plan);
    ft_adapter_layout_free(&f->adapter);
    ft_store_close(f->store);
    ft_device_close(f->device);
    ok(ft_remove_tree(f->drive));
    free(f);
}

// The likeliest token after n ids, from the logits of the whole sequence.
static int32_t next_by_recomputing(fixture *f, const int32_t *ids, int64_t n, double *margin)
{
    int32_t row[SEQUENCE] = {0}, labels[SEQUENCE], positions[SEQUENCE], documents[3] = {0, (int32_t)n, SEQUENCE};
    int64_t vocab = f->shape.vocab, best = 0;
    float *logits = malloc((size_t)(SEQUENCE * vocab) * sizeof *logits);
    double nll, second = -INFINITY;
    memcpy(row, ids, (size_t)n * sizeof *row);
    for (int64_t t = 0; t < SEQUENCE; t++) {
        labels[t] = -1;
        positions[t] = (int32_t)(t < n ? t : t - n);
    }
    ft_model_batch batch = {row, labels, positions, documents, n < SEQUENCE ? 2 : 1, SEQUENCE, 0};
    ok(ft_model_announce(f->model, FT_SWEEP_EVALUATE, 1));
    ok(ft_model_evaluate(f->model, &batch, 1, &nll, logits, NULL, NULL));
    const float *last = logits + (n - 1) * vocab;
    for (int64_t i = 1; i < vocab; i++)
        if (last[i] > last[best]) best = i;
    for (int64_t i = 0; i < vocab; i++)
        if (i != best && last[i] > second) second = last[i];
    *margin = last[best] - second;
    free(logits);
    return (int32_t)best;
}

static const int32_t prompt[] = {1, 17, 300, 5, 5, 211, 90};
#define PROMPT ((int64_t)(sizeof prompt / sizeof prompt[0]))

static int64_t generate(fixture *f, ft_generate_options options, int32_t *out)
{
    int64_t n;
    if (options.top_p == 0) options.top_p = 1;
    ok(ft_generate(f->model, prompt, PROMPT, &options, out, &n));
    return n;
}

static void check_variant(const variant *v)
{
    int32_t out[NEW_TOKENS], sequence[SEQUENCE];
    fixture *f = open_variant(v);
    assert_int_equal(generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS}, out), NEW_TOKENS);
    memcpy(sequence, prompt, sizeof prompt);
    for (int64_t i = 0; i < NEW_TOKENS; i++) {
        double margin;
        int32_t expected = next_by_recomputing(f, sequence, PROMPT + i, &margin);
        if (out[i] != expected)
            fail_msg("%s: token %lld is %d, recomputed %d (margin %g)", v->name, (long long)i, out[i], expected, margin);
        sequence[PROMPT + i] = out[i];
    }
    close_variant(f);
}

static void grouped_queries(void **state) { check_variant(&(variant){"gqa_untied_r4", FT_BASE_BF16, 4, FT_TIER_HBM, 0}); }
static void without_adapter(void **state) { check_variant(&(variant){"gqa_untied_r4", FT_BASE_BF16, 0, FT_TIER_HBM, 0}); }
static void llama3_rope_tied(void **state) { check_variant(&(variant){"llama3rope_tied_r16", FT_BASE_BF16, 16, FT_TIER_HBM, 0}); }
static void odd_heads_f16(void **state) { check_variant(&(variant){"mha_odd", FT_BASE_BF16, 3, FT_TIER_HBM, 0}); }
static void fp8_base(void **state) { check_variant(&(variant){"gqa_untied_r4", FT_BASE_FP8, 4, FT_TIER_HBM, 0}); }
static void streamed_from_host(void **state) { check_variant(&(variant){"gqa_untied_r4", FT_BASE_FP8, 4, FT_TIER_HOST, 0}); }
static void streamed_from_nvme(void **state) { check_variant(&(variant){"mha_odd", FT_BASE_FP8, 4, FT_TIER_NVME, 0}); }
static void mistral_in_its_window(void **state) { check_variant(&(variant){"mistral_window", FT_BASE_BF16, 2, FT_TIER_HBM, 0}); }
static void biases(void **state) { check_variant(&(variant){"qwen2_bias_tied", FT_BASE_BF16, 2, FT_TIER_HOST, 0}); }
static void head_norms(void **state) { check_variant(&(variant){"qwen3_qknorm_untied", FT_BASE_BF16, 2, FT_TIER_HBM, 0}); }
static void head_norms_streamed(void **state) { check_variant(&(variant){"qwen3_fp8_tied", FT_BASE_FP8, 0, FT_TIER_NVME, 0}); }

// Prompts of several tiles, of one that they do not fill, and single tokens, in blocks laid out for tiles.
static void tiled(void **state)
{
    static const int64_t chunks[] = {1, 3, 7, 16, 47};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) check_variant(&(variant){"gqa_untied_r4", FT_BASE_BF16, 4, FT_TIER_HBM, chunks[i]});
    check_variant(&(variant){"qwen3_qknorm_untied", FT_BASE_BF16, 0, FT_TIER_NVME, 3});
}

static const variant streamed = {"gqa_untied_r4", FT_BASE_FP8, 4, FT_TIER_NVME, 0};

static void placement_changes_no_token(void **state)
{
    int32_t out[3][NEW_TOKENS];
    for (int tier = 0; tier < FT_TIER_COUNT; tier++) {
            fixture *f = open_variant(&(variant){"gqa_untied_r4", FT_BASE_FP8, 4, (ft_tier)tier, 0});
        generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS, .temperature = 1.5, .seed = 9}, out[tier]);
        close_variant(f);
    }
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    assert_memory_equal(out[0], out[2], sizeof out[0]);
}

static int stop_after(void *context, int32_t id)
{
    int *left = context;
    return --*left == 0;
}

// Ending early leaves announced sweeps behind; what follows must not notice.
static void early_ends_leave_the_model_usable(void **state)
{
    int32_t whole[NEW_TOKENS], out[NEW_TOKENS];
    int left = 3;
    fixture *f = open_variant(&streamed);
    generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS}, whole);
    assert_int_equal(generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS, .on_token = stop_after, .context = &left}, out), 3);
    assert_memory_equal(out, whole, 3 * sizeof *out);
    int64_t first = 0;  // where the stop id occurs first
    while (whole[first] != whole[5]) first++;
    assert_int_equal(generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS, .stop_ids = &whole[5], .n_stop = 1}, out), first + 1);
    assert_memory_equal(out, whole, (size_t)(first + 1) * sizeof *out);
    assert_int_equal(generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS}, out), NEW_TOKENS);
    assert_memory_equal(out, whole, sizeof out);
    assert_int_equal(generate(f, (ft_generate_options){.max_new_tokens = 0}, out), 0);
    close_variant(f);
}

static void the_context_ends_at_sequence_len(void **state)
{
    int32_t out[SEQUENCE + 8], full[SEQUENCE];
    int64_t n;
    double margin;
    fixture *f = open_variant(&streamed);
    n = generate(f, (ft_generate_options){.max_new_tokens = SEQUENCE + 8}, out);
    assert_int_equal(n, SEQUENCE - PROMPT + 1);  // the last token made is not fed back
    memcpy(full, prompt, sizeof prompt);
    memcpy(full + PROMPT, out, (size_t)(SEQUENCE - PROMPT) * sizeof *out);
    assert_int_equal(out[n - 1], next_by_recomputing(f, full, SEQUENCE, &margin));
    const ft_generate_options options = {.max_new_tokens = 4, .top_p = 1};
    ok(ft_generate(f->model, full, SEQUENCE, &options, out, &n));
    assert_int_equal(n, 1);
    assert_int_equal(out[0], next_by_recomputing(f, full, SEQUENCE, &margin));
    refused(ft_generate(f->model, full, SEQUENCE + 1, &options, out, &n), FT_E_INPUT, "sequence_len is 48");
    close_variant(f);
}

static void sampling_follows_the_seed(void **state)
{
    int32_t greedy[NEW_TOKENS], a[NEW_TOKENS], b[NEW_TOKENS], c[NEW_TOKENS], narrow[NEW_TOKENS];
    fixture *f = open_variant(&streamed);
    generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS}, greedy);
    generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS, .temperature = 2, .seed = 1}, a);
    generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS, .temperature = 2, .seed = 1}, b);
    generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS, .temperature = 2, .seed = 2}, c);
    generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS, .temperature = 2, .top_p = 1e-9, .seed = 1}, narrow);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_equal(narrow, greedy, sizeof greedy);
    close_variant(f);
}

static ft_status try_generate(fixture *f, const int32_t *ids, int64_t n, double temperature, double top_p)
{
    int32_t out[2];
    int64_t made;
    const ft_generate_options options = {.max_new_tokens = 2, .temperature = temperature, .top_p = top_p};
    return ft_generate(f->model, ids, n, &options, out, &made);
}

static void errors_leave_the_model_usable(void **state)
{
    int32_t before[NEW_TOKENS], after[NEW_TOKENS], bad[] = {1, 320};
    fixture *f = open_variant(&streamed);
    generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS}, before);
    refused(try_generate(f, prompt, 0, 0, 1), FT_E_USAGE, "prompt is empty");
    refused(try_generate(f, bad, 2, 0, 1), FT_E_INPUT, "320");
    refused(try_generate(f, prompt, 2, -1, 1), FT_E_USAGE, "temperature");
    refused(try_generate(f, prompt, 2, 1, 0), FT_E_USAGE, "top_p");
    ft_adapter_state adapter = ft_model_adapter(f->model);
    float kept = adapter.parameters[f->adapter.tensor[0].offset];
    adapter.parameters[f->adapter.tensor[0].offset] = NAN;
    refused(try_generate(f, prompt, 2, 0, 1), FT_E_NUMERIC, "not a number");
    adapter.parameters[f->adapter.tensor[0].offset] = kept;
    for (int64_t n = 1; n <= 5; n++) {  // cache, logits, candidates, labels, positions
        ft_memory_fail_after(n);
        ft_status status = try_generate(f, prompt, 2, 0, 1);
        ft_memory_fail_after(0);
        assert_int_equal(status, FT_E_NOMEM);
    }
    generate(f, (ft_generate_options){.max_new_tokens = NEW_TOKENS}, after);
    assert_memory_equal(before, after, sizeof before);
    close_variant(f);
}

static void cache_bytes_are_k_and_v_a_head_a_position(void **state)
{
    ft_shape shape = {.layers = 126, .kv_heads = 8, .head_dim = 128};
    assert_int_equal(ft_generate_cache_bytes(&shape, 8192, FT_REPR_F32), (int64_t)126 * 8192 * 8 * 128 * 2 * 4);
    assert_int_equal(ft_generate_cache_bytes(&shape, 8192, FT_REPR_BF16), (int64_t)126 * 8192 * 8 * 128 * 2 * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grouped_queries),
        cmocka_unit_test(without_adapter),
        cmocka_unit_test(llama3_rope_tied),
        cmocka_unit_test(odd_heads_f16),
        cmocka_unit_test(fp8_base),
        cmocka_unit_test(streamed_from_host),
        cmocka_unit_test(streamed_from_nvme),
        cmocka_unit_test(mistral_in_its_window),
        cmocka_unit_test(biases),
        cmocka_unit_test(head_norms),
        cmocka_unit_test(head_norms_streamed),
        cmocka_unit_test(tiled),
        cmocka_unit_test(placement_changes_no_token),
        cmocka_unit_test(early_ends_leave_the_model_usable),
        cmocka_unit_test(the_context_ends_at_sequence_len),
        cmocka_unit_test(sampling_follows_the_seed),
        cmocka_unit_test(errors_leave_the_model_usable),
        cmocka_unit_test(cache_bytes_are_k_and_v_a_head_a_position),
    };
    ft_log_set_level(FT_LOG_WARNING);
    ok(ft_threads_init(2));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
