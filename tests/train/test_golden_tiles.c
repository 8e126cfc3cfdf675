// The MLP in tiles of tokens: against the oracle of tests/golden at any tile, near the untiled run, and with the same bits
// wherever bytes live, kept or made again.
#include "train/golden_case.h"

#define STEPS 2
#define LOSS_TOLERANCE 1e-5      // relative, of the oracle's loss
#define GRADIENT_TOLERANCE 1e-4  // ||ours - theirs|| / ||theirs||

static void check_oracle(const char *name, const char *chunk)
{
    golden_case c = {0};
    const char *const pairs[] = {"mlp_chunk", chunk, NULL};
    golden_open(&c, name, pairs);
    const ft_activation_layout *layout = &c.run.session.plan.activation;
    double expected = json_number_value(golden_at(&c, "expected", "loss")), loss = run_gradients(&c.run, 0), worst = 0;
    ft_adapter_state state = ft_model_adapter(c.run.model);
    for (int64_t t = 0; t < c.run.session.adapter.n_tensors; t++) {
        golden_distance d = golden_compare(&c, t, state.gradients, "grad.", false);
        worst = fmax(worst, sqrt(d.wrong) / fmax(sqrt(d.all), 1e-30));
    }
    printf("%-22s %3lld of %lld tokens at once: loss off by %.1e, gradients off by %.1e\n", name, (long long)layout->mlp_rows,
           (long long)layout->tokens, fabs(loss / expected - 1), worst);
    assert_int_equal(layout->tiled, atoi(chunk) < layout->tokens);
    assert_true(fabs(loss / expected - 1) < LOSS_TOLERANCE);
    assert_true(worst < GRADIENT_TOLERANCE);
    golden_close(&c);
}

// One token, tiles that leave a rest, a rest of one token, a tile of all.
static void every_tile_agrees_with_the_oracle(void **state)
{
    static const char *const chunks[] = {"1", "7", "16", "31"};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) check_oracle("gqa_untied_r4", chunks[i]);
}

static void every_kind_of_layer_agrees_with_the_oracle(void **state)
{
    static const char *const names[] = {"llama3rope_tied_r16", "mha_odd", "fp8_untied_r16", "loraplus_dropoutless", "mistral_window",
                                        "qwen2_bias_tied", "qwen2_fp8_wide", "qwen3_qknorm_untied", "qwen3_fp8_tied"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_oracle(names[i], "7");
}

typedef struct {
    float *gradients, *parameters;  // of the first step; after the last
    int64_t n;
    double losses[STEPS];
    bool tiled;
    int64_t saved_bytes, kept;
} outcome;

// Two documents a micro-batch and more, dropout, and `targets` alone adapted.
static outcome run_once(const char *name, const char *targets, const char *const *pairs)
{
    run_fixture f;
    outcome o = {0};
    char path[128];
    run_configure(&f, pairs);
    snprintf(path, sizeof path, "tests/golden/%s/model", name);
    run_set(&f, "base_model", path);
    snprintf(path, sizeof path, "tests/golden/%s/data.jsonl", name);
    run_set(&f, "datasets", path);
    run_set(&f, "sequence_len", "48");
    run_set(&f, "sample_packing", "true");
    run_set(&f, "lora_r", "4");
    run_set(&f, "lora_dropout", "0.1");
    run_set(&f, "lora_target_modules", targets);
    run_open(&f, true, NULL);
    assert_true(f.options.max_docs > 1);
    ft_adapter_state s = ft_model_adapter(f.model);
    size_t bytes = (size_t)s.n * sizeof(float);
    o.n = s.n;
    o.tiled = f.session.plan.activation.tiled;
    o.saved_bytes = f.session.plan.activation.saved_bytes;
    o.kept = f.session.plan.line[FT_LINE_KEPT];
    o.gradients = malloc(bytes);
    o.parameters = malloc(bytes);
    run_steps(&f, 1, 1e-2, NULL);  // B starts at zero, where A has no gradient
    o.losses[0] = run_gradients(&f, 1);
    memcpy(o.gradients, s.gradients, bytes);
    run_steps_from(&f, 2, 1, 1e-2, &o.losses[1]);
    memcpy(o.parameters, s.parameters, bytes);
    run_close(&f);
    return o;
}

static void drop(outcome *o)
{
    free(o->gradients);
    free(o->parameters);
}

#define ALL "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

static double distance(const float *ours, const float *theirs, int64_t n)
{
    double wrong = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        wrong += pow((double)ours[i] - (double)theirs[i], 2);
        all += pow((double)theirs[i], 2);
    }
    return sqrt(wrong / all);
}

// Packed documents, dropout (whose mask is of a token, not of its place in a tile) and LoRA on some linears.
static void tiles_are_near_the_whole(void **state)
{
    static const char *const targets[] = {ALL, "q_proj,v_proj", "down_proj", "up_proj,o_proj"};
    static const char *const chunks[] = {"7", "47"};
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
        outcome whole = run_once("qwen3_qknorm_untied", targets[t], PAIRS("mlp_chunk", "48"));
        assert_false(whole.tiled);
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
            outcome tiled = run_once("qwen3_qknorm_untied", targets[t], PAIRS("mlp_chunk", chunks[i]));
            double off = distance(tiled.gradients, whole.gradients, whole.n), loss = fabs(tiled.losses[0] / whole.losses[0] - 1);
            printf("LoRA on %s, tiles of %s: loss off by %.1e, gradients off by %.1e\n", targets[t], chunks[i], loss, off);
            assert_true(tiled.tiled && tiled.saved_bytes < whole.saved_bytes);
            assert_true(loss < 1e-6 && off < 1e-5);
            drop(&tiled);
        }
        drop(&whole);
    }
}

static void same_bits_everywhere(const char *name, const char *chunk)
{
    const char *const *const others[] = {
        PAIRS("mlp_chunk", chunk, "base_placement", "host", "boundary_placement", "host", "activation_policy", "keep"),
        PAIRS("mlp_chunk", chunk, "base_placement", "hbm", "activation_policy", "recompute", "sweep_micro_batches", "1"),
        PAIRS("mlp_chunk", chunk, "base_placement", "nvme", "boundary_placement", "nvme", "activation_policy", "recompute"),
    };
    outcome reference =
        run_once(name, ALL, PAIRS("mlp_chunk", chunk, "base_placement", "hbm", "boundary_placement", "hbm", "activation_policy", "keep"));
    assert_true(reference.tiled && reference.kept > 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        outcome other = run_once(name, ALL, others[i]);
        assert_int_equal(other.n, reference.n);
        assert_memory_equal(other.losses, reference.losses, sizeof reference.losses);
        assert_memory_equal(other.parameters, reference.parameters, (size_t)reference.n * sizeof(float));
        drop(&other);
    }
    drop(&reference);
}

static void placement_changes_no_bit(void **state)
{
    same_bits_everywhere("qwen3_qknorm_untied", "7");
    same_bits_everywhere("qwen2_bias_tied", "32");
    same_bits_everywhere("fp8_odd", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tile_agrees_with_the_oracle), cmocka_unit_test(every_kind_of_layer_agrees_with_the_oracle),
        cmocka_unit_test(tiles_are_near_the_whole), cmocka_unit_test(placement_changes_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
