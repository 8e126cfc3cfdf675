// Against an oracle nobody here wrote: loss, logits, every LoRA gradient and the adapter after ten AdamW steps of HF
// transformers + PEFT in float64 (tests/golden/README.md).
#include "train/golden_case.h"

#define LOSS_TOLERANCE 1e-5      // relative
#define GRADIENT_TOLERANCE 1e-4  // ||ours - theirs|| / ||theirs||
#define CHANGE_TOLERANCE 1e-3    // of the change since the start
#define LOGIT_TOLERANCE 2e-4     // absolute

// Largest error over all adapter tensors of `ours` against golden tensors PREFIX + key.
static double worst_tensor(const golden_case *c, const float *ours, const char *prefix, bool change)
{
    double worst = 0;
    for (int64_t t = 0; t < c->run.session.adapter.n_tensors; t++) {
        golden_distance d = golden_compare(c, t, ours, prefix, change);
        worst = fmax(worst, sqrt(d.wrong) / fmax(sqrt(d.all), 1e-30));
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
    double expected = json_number_value(golden_at(c, "expected", "loss"));
    assert_int_equal(c->run.trainable, json_integer_value(golden_at(c, "expected", "trainable_tokens")));
    double loss = run_gradients(&c->run, 0);
    ft_adapter_state state = ft_model_adapter(c->run.model);
    double norm = json_number_value(golden_at(c, "expected", "grad_norm")), worst = worst_tensor(c, state.gradients, "grad.", false);
    printf("%-22s loss %.7f off by %.1e, gradients off by %.1e\n", c->name, loss, fabs(loss / expected - 1), worst);
    assert_true(fabs(loss / expected - 1) < LOSS_TOLERANCE);
    assert_true(fabs(gradient_norm(&state) / norm - 1) < GRADIENT_TOLERANCE);
    assert_true(worst < GRADIENT_TOLERANCE);
}

static void check_training(golden_case *c)
{
    double losses[16];
    int64_t steps = json_integer_value(golden_at(c, NULL, "steps"));
    run_steps(&c->run, steps, json_number_value(golden_at(c, "optimizer", "lr")), losses);
    losses[steps] = run_gradients(&c->run, steps);
    for (int64_t i = 0; i < steps; i++) {
        double expected = json_number_value(json_array_get(golden_at(c, "expected", "loss_after_step"), (size_t)i));
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
        float *theirs = golden_read(&c->golden, name, &n);
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
    golden_open(&c, name, extra);
    check_gradients(&c);
    check_training(&c);
    golden_load_adapter(&c);
    check_logits(&c);
    golden_close(&c);
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
static void qwen2_biases_fp8_several_tiles(void **state) { run_case("qwen2_fp8_wide", NULL); }
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
static void fp8_source_whole_tiles(void **state)
{
    run_case("fp8_dialects/row_whole", NULL);
    run_case("fp8_dialects/tensor_whole", NULL);
}

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
        cmocka_unit_test(fp8_source_compressed_block), cmocka_unit_test(fp8_source_autofp8), cmocka_unit_test(fp8_source_whole_tiles),
        cmocka_unit_test(qwen2_biases_fp8_several_tiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
