// Against an oracle nobody here wrote: loss, logits, every LoRA gradient and the adapter after ten AdamW steps of HF
// transformers + PEFT in float64 (tests/golden/README.md).
#include "train/run_fixture.h"

#include <dirent.h>
#include <jansson.h>

#include "io/safetensors.h"
#include "model/decode.h"

#define LOSS_TOLERANCE 1e-5      // relative
#define GRADIENT_TOLERANCE 1e-4  // ||ours - theirs|| / ||theirs||
#define CHANGE_TOLERANCE 1e-3    // of the change since the start
#define LOGIT_TOLERANCE 2e-4     // absolute

typedef struct {
    const char *name;
    json_t *json;
    ft_safetensors golden, init;
    run_fixture run;
} golden_case;

static json_t *at(const golden_case *c, const char *group, const char *key)
{
    json_t *object = group ? json_object_get(c->json, group) : c->json;
    json_t *value = json_object_get(object, key);
    assert_non_null(value);
    return value;
}

static void set_number(golden_case *c, const char *key, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.17g", value);
    run_set(&c->run, key, text);
}

static void path_in(const golden_case *c, const char *file, char path[256])
{
    snprintf(path, 256, "tests/golden/%s/%s", c->name, file);
}

static void set_targets(golden_case *c)
{
    char list[256] = "";
    size_t i;
    json_t *name;
    json_array_foreach(at(c, "lora", "target_modules"), i, name)
    {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? "," : "", json_string_value(name));
    }
    run_set(&c->run, "lora_target_modules", list);
}

static void configure(golden_case *c, const char *const *extra)
{
    char path[256];
    run_configure(&c->run, extra);
    path_in(c, "model", path);
    run_set(&c->run, "base_model", path);
    path_in(c, "data.jsonl", path);
    run_set(&c->run, "datasets", path);
    run_set(&c->run, "base_format", json_string_value(at(c, NULL, "base_format")));
    set_number(c, "sequence_len", json_number_value(at(c, NULL, "sequence_len")));
    set_number(c, "lora_r", json_number_value(at(c, "lora", "r")));
    set_number(c, "lora_alpha", json_number_value(at(c, "lora", "alpha")));
    run_set(&c->run, "peft_use_rslora", json_is_true(at(c, "lora", "rslora")) ? "true" : "false");
    set_number(c, "loraplus_lr_ratio", json_number_value(at(c, "lora", "loraplus_lr_ratio")));
    set_number(c, "adam_beta1", json_number_value(json_array_get(at(c, "optimizer", "betas"), 0)));
    set_number(c, "adam_beta2", json_number_value(json_array_get(at(c, "optimizer", "betas"), 1)));
    set_number(c, "adam_epsilon", json_number_value(at(c, "optimizer", "eps")));
    set_number(c, "weight_decay", json_number_value(at(c, "optimizer", "weight_decay")));
    set_number(c, "max_grad_norm", json_number_value(at(c, "optimizer", "max_grad_norm")));
    set_targets(c);
}

static float *read_f32(const ft_safetensors *file, const char *name, int64_t *n)
{
    const ft_tensor_info *tensor = ft_safetensors_find(file, name);
    if (tensor == NULL) fail_msg("%s: no tensor %s", file->path, name);
    assert_int_equal(tensor->dtype, FT_DTYPE_F32);
    float *data = malloc((size_t)tensor->bytes + 1);
    run_ok(ft_safetensors_read(file, tensor, 0, tensor->bytes, data));
    *n = tensor->elements;
    return data;
}

// The oracle's starting adapter into the model's flat array.
static void load_adapter(golden_case *c)
{
    ft_adapter_state state = ft_model_adapter(c->run.model);
    for (int64_t t = 0; t < c->run.session.adapter.n_tensors; t++) {
        const ft_adapter_tensor *tensor = &c->run.session.adapter.tensor[t];
        char name[FT_TENSOR_NAME + 64];
        int64_t n;
        ft_adapter_tensor_name(&c->run.session.shape, tensor, name);
        float *values = read_f32(&c->init, name, &n);
        assert_int_equal(n, tensor->rows * tensor->cols);
        memcpy(state.parameters + tensor->offset, values, (size_t)n * sizeof(float));
        free(values);
    }
}

static void open_case(golden_case *c, const char *name, const char *const *extra)
{
    char path[256];
    c->name = name;
    path_in(c, "case.json", path);
    c->json = json_load_file(path, 0, NULL);
    assert_non_null(c->json);
    path_in(c, "golden.safetensors", path);
    run_ok(ft_safetensors_open(&c->golden, path));
    path_in(c, "adapter_init/adapter_model.safetensors", path);
    run_ok(ft_safetensors_open(&c->init, path));
    configure(c, extra);
    run_open(&c->run, true, NULL);
    load_adapter(c);
}

static void close_case(golden_case *c)
{
    run_close(&c->run);
    ft_safetensors_close(&c->golden);
    ft_safetensors_close(&c->init);
    json_decref(c->json);
}

static double relative(const float *ours, const float *theirs, const float *origin, int64_t n)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        double from = origin ? (double)origin[i] : 0;
        difference += pow((double)ours[i] - (double)theirs[i], 2);
        norm += pow((double)theirs[i] - from, 2);
    }
    return sqrt(difference) / fmax(sqrt(norm), 1e-30);
}

// Largest error over all adapter tensors of `ours` against golden tensors PREFIX + key.
static double worst_tensor(const golden_case *c, const float *ours, const char *prefix, bool change)
{
    double worst = 0;
    for (int64_t t = 0; t < c->run.session.adapter.n_tensors; t++) {
        const ft_adapter_tensor *tensor = &c->run.session.adapter.tensor[t];
        char key[FT_TENSOR_NAME + 64], name[FT_TENSOR_NAME + 80];
        int64_t n;
        ft_adapter_tensor_name(&c->run.session.shape, tensor, key);
        snprintf(name, sizeof name, "%s%s", prefix, key);
        float *theirs = read_f32(&c->golden, name, &n), *origin = change ? read_f32(&c->init, key, &n) : NULL;
        worst = fmax(worst, relative(ours + tensor->offset, theirs, origin, n));
        free(theirs);
        free(origin);
    }
    return worst;
}

static double gradient_norm(const ft_adapter_state *state)
{
    double sum = 0;
    for (int64_t i = 0; i < state->n; i++) sum += (double)state->gradients[i] * (double)state->gradients[i];
    return sqrt(sum);
}

static void check_gradients(golden_case *c)
{
    double expected = json_number_value(at(c, "expected", "loss"));
    assert_int_equal(c->run.trainable, json_integer_value(at(c, "expected", "trainable_tokens")));
    double loss = run_gradients(&c->run, 0);
    ft_adapter_state state = ft_model_adapter(c->run.model);
    double norm = json_number_value(at(c, "expected", "grad_norm")), worst = worst_tensor(c, state.gradients, "grad.", false);
    printf("%-22s loss %.7f off by %.1e, gradients off by %.1e\n", c->name, loss, fabs(loss / expected - 1), worst);
    assert_true(fabs(loss / expected - 1) < LOSS_TOLERANCE);
    assert_true(fabs(gradient_norm(&state) / norm - 1) < GRADIENT_TOLERANCE);
    assert_true(worst < GRADIENT_TOLERANCE);
}

static void check_training(golden_case *c)
{
    double losses[16];
    int64_t steps = json_integer_value(at(c, NULL, "steps"));
    run_steps(&c->run, steps, json_number_value(at(c, "optimizer", "lr")), losses);
    losses[steps] = run_gradients(&c->run, steps);
    for (int64_t i = 0; i < steps; i++) {
        double expected = json_number_value(json_array_get(at(c, "expected", "loss_after_step"), (size_t)i));
        assert_true(fabs(losses[i + 1] / expected - 1) < LOSS_TOLERANCE);
    }
    double worst = worst_tensor(c, ft_model_adapter(c->run.model).parameters, "after.", true);
    printf("%-22s after %lld steps: loss %.7f, adapter change off by %.1e\n", c->name, (long long)steps, losses[steps], worst);
    assert_true(worst < CHANGE_TOLERANCE);
}

// Logits of the first two documents, each alone in a micro-batch.
static void check_logits(golden_case *c)
{
    int64_t tokens = c->run.batch[0].tokens, vocab = c->run.session.shape.vocab;
    float *logits = malloc((size_t)(tokens * vocab) * sizeof *logits);
    double worst = 0;
    for (int64_t document = 0; document < 2; document++) {
        int64_t bounds[2] = {0, 1}, n;
        ft_packs one = {.sample = &document, .row_begin = bounds, .n_rows = 1};
        char name[32];
        snprintf(name, sizeof name, "logits.%lld", (long long)document);
        float *theirs = read_f32(&c->golden, name, &n);
        ft_batch *b = &c->run.batch[0];
        ft_batch_fill(b, &c->run.data.train, &one, 0, 1, tokens, 0, 0);
        ft_model_batch batch = {b->ids, b->labels, b->positions, b->doc_begin, b->n_docs, b->tokens, b->token_base};
        double nll;
        run_ok(ft_model_announce(c->run.model, FT_SWEEP_EVALUATE, 1));
        run_ok(ft_model_evaluate(c->run.model, &batch, 1, &nll, logits, NULL, NULL));
        for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)logits[i] - (double)theirs[i]));
        free(theirs);
    }
    free(logits);
    printf("%-22s logits off by %.1e\n", c->name, worst);
    assert_true(worst < LOGIT_TOLERANCE);
}

static void run_case(const char *name, const char *const *extra)
{
    golden_case c = {0};
    open_case(&c, name, extra);
    check_gradients(&c);
    check_training(&c);
    load_adapter(&c);
    check_logits(&c);
    close_case(&c);
}

static void grouped_queries_untied(void **state) { run_case("gqa_untied_r4", NULL); }
static void llama3_rope_tied_sharded(void **state) { run_case("llama3rope_tied_r16", NULL); }
static void odd_sizes_f16_rslora(void **state) { run_case("mha_odd", NULL); }
static void fp8_base(void **state) { run_case("fp8_untied_r16", NULL); }
static void fp8_base_partial_tiles(void **state) { run_case("fp8_odd", NULL); }
static void loraplus_and_clipping(void **state) { run_case("loraplus_dropoutless", NULL); }

static void mistral_with_a_window_of_the_sequence(void **state) { run_case("mistral_window", NULL); }
static void qwen2_biases_tied(void **state) { run_case("qwen2_bias_tied", NULL); }
static void qwen2_biases_fp8_untied(void **state) { run_case("qwen2_fp8_untied", NULL); }
static void qwen3_head_norms_untied(void **state) { run_case("qwen3_qknorm_untied", NULL); }
static void qwen3_head_norms_fp8_tied(void **state) { run_case("qwen3_fp8_tied", NULL); }

// FP8 checkpoints as they are: tests/golden/fp8_dialects.
static void fp8_source_tiles(void **state) { run_case("fp8_dialects/tile_inv", NULL); }
static void fp8_source_stacked_e8m0_tiles(void **state) { run_case("fp8_dialects/tile_e8m0", NULL); }
static void fp8_source_rows_beside_bf16(void **state) { run_case("fp8_dialects/fbgemm_row", NULL); }
static void fp8_source_streamed_layers_of_unlike_size(void **state)
{
    static const char *const pairs[] = {"base_placement", "nvme", "activation_policy", "recompute", "boundary_placement", "host", NULL};
    run_case("fp8_dialects/fbgemm_row", pairs);
    run_case("fp8_dialects/ct_tensor", pairs);
}
static void fp8_source_compressed_tensor(void **state) { run_case("fp8_dialects/ct_tensor", NULL); }
static void fp8_source_compressed_channel(void **state) { run_case("fp8_dialects/ct_channel", NULL); }
static void fp8_source_compressed_block(void **state) { run_case("fp8_dialects/ct_block", NULL); }
static void fp8_source_autofp8(void **state) { run_case("fp8_dialects/autofp8", NULL); }

static void streamed_and_recomputed(void **state)
{
    static const char *const pairs[] = {"base_placement", "nvme", "activation_policy", "recompute", "boundary_placement", "host", NULL};
    run_case("gqa_untied_r4", pairs);
    run_case("qwen3_qknorm_untied", pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grouped_queries_untied),  cmocka_unit_test(llama3_rope_tied_sharded), cmocka_unit_test(odd_sizes_f16_rslora),
        cmocka_unit_test(fp8_base),                cmocka_unit_test(fp8_base_partial_tiles),   cmocka_unit_test(loraplus_and_clipping),
        cmocka_unit_test(mistral_with_a_window_of_the_sequence), cmocka_unit_test(qwen2_biases_tied),
        cmocka_unit_test(qwen2_biases_fp8_untied), cmocka_unit_test(qwen3_head_norms_untied), cmocka_unit_test(qwen3_head_norms_fp8_tied),
        cmocka_unit_test(streamed_and_recomputed),
        cmocka_unit_test(fp8_source_tiles),
        cmocka_unit_test(fp8_source_stacked_e8m0_tiles), cmocka_unit_test(fp8_source_rows_beside_bf16),
        cmocka_unit_test(fp8_source_compressed_tensor),
        cmocka_unit_test(fp8_source_streamed_layers_of_unlike_size), cmocka_unit_test(fp8_source_compressed_channel),
        cmocka_unit_test(fp8_source_compressed_block), cmocka_unit_test(fp8_source_autofp8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
