// The program on models that are not Llamas, and on models whose tokenizer lies elsewhere.
#include "verb_fixture.h"

#include <math.h>

static verbs v;

// The fixture's model becomes one of a family and loses its tokenizer, which moves to ROOT/tokenizer.
static void make_family(const char *architecture)
{
    static const char *const tokenizer[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"};
    verbs_make(&v);
    ft_test_model model = verbs_description;
    model.architecture = architecture;
    done(ft_test_model_write(&model, v.model));
    done(ft_make_directories(at("%s/tokenizer", v.root)));
    for (size_t i = 0; i < sizeof tokenizer / sizeof tokenizer[0]; i++)
        assert_int_equal(rename(at("%s/%s", v.model, tokenizer[i]), at("%s/tokenizer/%s", v.root, tokenizer[i])), 0);
}

#define TOKENIZER "--tokenizer-config", at("%s/tokenizer", v.root)
#define MODEL "--model", v.model, "--nvme", v.nvme, "--device", "cpu", "--sequence-len", "96", TOKENIZER

static double eval_loss(const char *const *arguments)
{
    double loss;
    char *text = verbs_output_list(arguments);
    if (sscanf(text, "eval loss %lf", &loss) != 1) fail_msg("%s", text);
    free(text);
    return loss;
}

// Train, evaluate, generate and merge; nothing finds a tokenizer in the model's own directory.
static void run_family(const char *architecture)
{
    make_family(architecture);
    char adapter[128], merged[128];
    snprintf(adapter, sizeof adapter, "%s/adapter", v.output);
    snprintf(merged, sizeof merged, "%s/merged", v.root);
    free(verbs_output("train", MODEL, "--data", v.data, "--output", v.output, "--num-epochs", "6", "--micro-batch-size", "1", "--lr", "5e-3"));
    const char *eval[] = {"eval", MODEL, "--data", v.data, "--base-format", "bf16", "--adapter", adapter, NULL};
    const char *base[] = {"eval", MODEL, "--data", v.data, "--base-format", "bf16", NULL};
    const char *whole[] = {"eval", "--model", merged, "--nvme", v.nvme, "--device", "cpu", "--sequence-len", "96", TOKENIZER, "--data", v.data,
                           "--base-format", "bf16", NULL};
    double tuned = eval_loss(eval);
    assert_true(tuned < eval_loss(base) - 0.2);
    free(verbs_output("generate", MODEL, "--prompt", "Once upon", "--max-tokens", "4", "--adapter", adapter));
    free(verbs_output("merge", "--model", v.model, "--adapter", adapter, "--output", merged));
    assert_true(fabs(eval_loss(whole) - tuned) < 0.02);
    verbs_remove(&v);
}

static void mistral(void **state) { run_family("MistralForCausalLM"); }
static void qwen2(void **state) { run_family("Qwen2ForCausalLM"); }
static void qwen3(void **state) { run_family("Qwen3ForCausalLM"); }

static void a_tokenizer_elsewhere_is_used_and_a_missing_one_is_named(void **state)
{
    make_family("LlamaForCausalLM");
    char *there = verbs_output("data", v.data, "--model", v.model, TOKENIZER, "--json");
    copy_file(at("%s/tokenizer/tokenizer.json", v.root), at("%s/tokenizer.json", v.model));
    copy_file(at("%s/tokenizer/tokenizer_config.json", v.root), at("%s/tokenizer_config.json", v.model));
    char *here = verbs_output("data", v.data, "--model", v.model, "--json");
    assert_string_equal(there, here);
    assert_non_null(strstr(here, "input_ids"));
    free(there);
    free(here);
    // The key is stronger than what lies beside the model.
    write_text(at("%s/tokenizer.json", v.model), "{");
    there = verbs_output("data", v.data, "--model", v.model, TOKENIZER, "--json");
    assert_non_null(strstr(there, "input_ids"));
    free(there);
    assert_int_equal(unlink(at("%s/tokenizer.json", v.model)), 0);
    program p = {0};
    program_run(&p, "data", v.data, "--model", v.model, "--json");
    program_refused(&p, 2, v.model, "tokenizer");
    verbs_remove(&v);
}

static void info_says_what_a_family_adds(void **state)
{
    json_t *json = verbs_json(verbs_output("info", "tests/golden/qwen3_qknorm_untied/model", "--json"));
    assert_true(json_is_true(json_object_get(json, "qk_norm")) && json_is_false(json_object_get(json, "qkv_bias")));
    assert_int_equal(verbs_number(json, "head_dim"), 36);
    assert_int_equal(verbs_number(json, "tensors"), 3 + 11 * 2);
    json_decref(json);
    char *text = verbs_output("info", "tests/golden/qwen3_qknorm_untied/model");
    contains(text, " parameters; base store ");
    assert_null(strstr(text, "0.000"));
    contains(text, "Qwen3ForCausalLM (qwen3)");
    contains(text, "q and k heads normed before rope");
    free(text);
    text = verbs_output("info", "tests/golden/qwen2_bias_tied/model");
    contains(text, "Qwen2ForCausalLM (qwen2)");
    contains(text, "biases on q, k and v");
    assert_null(strstr(text, "window"));  // given and not in use
    free(text);
    text = verbs_output("info", "tests/golden/mistral_window/model");
    contains(text, "MistralForCausalLM (mistral)");
    contains(text, "sliding window of 56 tokens");
    free(text);
}

static void sequences_beyond_the_window_are_refused(void **state)
{
    verbs_make(&v);
    program p = {0};
    program_run(&p, "plan", "--model", "tests/golden/mistral_window/model", "--nvme", v.root, "--device", "cpu", "--sequence-len", "57");
    program_refused(&p, 2, "sequence_len 57", "sliding_window 56");
    program_ok("plan", "--model", "tests/golden/mistral_window/model", "--nvme", v.root, "--device", "cpu", "--sequence-len", "56");
    // Without a wish the window is the length.
    char *text = verbs_output("plan", "--model", "tests/golden/mistral_window/model", "--nvme", v.root, "--device", "cpu", "--json");
    json_t *json = verbs_json(text);
    assert_int_equal(verbs_number(json_object_get(json, "run"), "sequence_len"), 56);
    json_decref(json);
    verbs_remove(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistral),
        cmocka_unit_test(qwen2),
        cmocka_unit_test(qwen3),
        cmocka_unit_test(a_tokenizer_elsewhere_is_used_and_a_missing_one_is_named),
        cmocka_unit_test(info_says_what_a_family_adds),
        cmocka_unit_test(sequences_beyond_the_window_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
