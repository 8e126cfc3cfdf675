// The verbs that compute: train, eval, generate, merge and verify on each other's results, with text through a real tokenizer.
#include "verb_fixture.h"

#include <math.h>

#include "io/safetensors.h"

static verbs v;

#define MODEL "--model", v.model, "--nvme", v.nvme, "--device", "cpu", "--sequence-len", "96"

static int setup(void **state)
{
    verbs_make(&v);
    program p = {0};
    program_run(&p, "train", MODEL, "--data", v.data, "--output", v.output, "--num-epochs", "8", "--micro-batch-size", "1", "--lr", "5e-3");
    if (p.exit_code != 0) fail_msg("%s", p.err);
    // stdout: what came of it, and only that
    contains(p.out, " steps, ");
    contains(p.out, at("adapter: %s/adapter\n", v.output));
    assert_null(strstr(p.out, "step 1"));
    contains(p.err, "3 samples to train on");
    contains(p.err, "--instruction 'Say hello.'");  // the next command asks in the form that was detected
    contains(p.err, "HBM ");
    program_free(&p);
    return 0;
}

static int teardown(void **state)
{
    verbs_remove(&v);
    return 0;
}

static double eval_loss(const char *const *arguments)
{
    double loss;
    char *text = verbs_output_list(arguments);
    if (sscanf(text, "eval loss %lf, perplexity", &loss) != 1) fail_msg("%s", text);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);  // one line
    free(text);
    return loss;
}
#define EVAL(...) eval_loss((const char *const[]){"eval", MODEL, "--data", v.data, __VA_ARGS__, NULL})

static void training_lowers_the_loss_that_eval_sees(void **state)
{
    double before = EVAL("--seed", "1"), after = EVAL("--adapter", at("%s/adapter", v.output));
    assert_in_range((int64_t)(before * 100), 600, 1000);  // near ln 2048
    assert_true(after < before - 0.5);
    assert_true(fabs(after - EVAL("--adapter", at("%s/adapter", v.output), "--base-placement", "nvme")) == 0);
    program_ok("verify", at("%s/adapter", v.output));
}

// A config's evaluation data, and not what it trains on, unless the command line names the data.
static void eval_of_a_config_measures_what_it_sets_aside(void **state)
{
    char one[128], config[128];
    snprintf(one, sizeof one, "%s/aside.jsonl", v.root);
    snprintf(config, sizeof config, "%s/eval.yaml", v.root);
    write_text(one, "{\"instruction\": \"Say hello.\", \"output\": \"Hello there, my friend!\"}\n");
    write_text(config, at("base_model: %s\nadapter: lora\ndatasets:\n  - path: %s\ntest_datasets:\n  - path: %s\nsequence_len: 96\ndevice: cpu\n",
                          v.model, v.data, one));
    double all = EVAL("--seed", "1"), aside = eval_loss((const char *const[]){"eval", MODEL, "--data", one, NULL});
    assert_true(aside != all);
    assert_true(eval_loss((const char *const[]){"eval", config, "--nvme", v.nvme, NULL}) == aside);
    assert_true(eval_loss((const char *const[]){"eval", config, "--nvme", v.nvme, "--data", v.data, NULL}) == all);
    double part = eval_loss((const char *const[]){"eval", config, "--nvme", v.nvme, "--test-datasets", "", "--val-set-size", "1", NULL});
    assert_true(part != all && part != aside);
}

// Loss from the written logits is the loss that is printed, for a data set of one sample.
static void logits_agree_with_the_loss(void **state)
{
    char one[128], file[128], *id_text;
    snprintf(one, sizeof one, "%s/one.jsonl", v.root);
    snprintf(file, sizeof file, "%s/logits.safetensors", v.root);
    write_text(one, "{\"instruction\": \"Say hello.\", \"output\": \"Hello there, my friend!\"}\n");
    double loss = eval_loss((const char *const[]){"eval", MODEL, "--data", one, "--logits", file, NULL}), nll = 0;
    id_text = verbs_output("data", one, "--model", v.model, "--json");
    json_t *sample = verbs_json(id_text), *labels = json_object_get(sample, "labels");
    ft_safetensors logits;
    done(ft_safetensors_open(&logits, file));
    const ft_tensor_info *tensor = ft_safetensors_find(&logits, "logits");
    int64_t n = tensor->shape[0], vocab = tensor->shape[1], trained = 0;
    assert_true(n == (int64_t)json_array_size(labels) && vocab == verbs_description.vocab);
    float *row = malloc((size_t)vocab * sizeof *row);
    for (int64_t t = 0; t + 1 < n; t++) {
        int64_t label = json_integer_value(json_array_get(labels, (size_t)t + 1));
        double sum = 0;
        if (label < 0) continue;
        done(ft_safetensors_read(&logits, tensor, t * vocab * 4, vocab * 4, row));
        for (int64_t i = 0; i < vocab; i++) sum += exp(row[i]);
        nll += log(sum) - row[label];
        trained++;
    }
    assert_true(fabs(nll / (double)trained - loss) < 2e-5);
    free(row);
    ft_safetensors_close(&logits);
    json_decref(sample);
}

// Greedy and seeded answers repeat; the adapter changes them; nothing but the text is on stdout.
static void generate_repeats_itself(void **state)
{
    const char *adapter = at("%s/adapter", v.output);
    char *one = verbs_output("generate", MODEL, "--prompt", "Once upon", "--max-tokens", "12");
    char *two = verbs_output("generate", MODEL, "--prompt", "Once upon", "--max-tokens", "12", "--base-placement", "hbm");
    assert_string_equal(one, two);
    assert_true(one[strlen(one) - 1] == '\n');
    char *warm = verbs_output("generate", MODEL, "--prompt", "Once upon", "--max-tokens", "12", "--temperature", "1", "--top-p", "0.9", "--seed", "5");
    char *again = verbs_output("generate", MODEL, "--prompt", "Once upon", "--max-tokens", "12", "--temperature", "1", "--top-p", "0.9", "--seed", "5");
    char *other = verbs_output("generate", MODEL, "--prompt", "Once upon", "--max-tokens", "12", "--temperature", "1", "--seed", "6");
    assert_string_equal(warm, again);
    assert_string_not_equal(warm, other);
    char *tuned = verbs_output("generate", MODEL, "--instruction", "Say hello.", "--adapter", adapter, "--max-tokens", "12");
    char *plain = verbs_output("generate", MODEL, "--instruction", "Say hello.", "--max-tokens", "12");
    assert_string_not_equal(tuned, plain);
    char *texts[] = {one, two, warm, again, other, tuned, plain};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) free(texts[i]);
}

#define TURN(who, what) "<|start_header_id|>" who "<|end_header_id|>\n\n" what
#define ASKED(what) TURN("user", what "<|eot_id|>") TURN("assistant", "")

// A chat is the text of the template; turns from standard input follow one another in one conversation.
static void chat_writes_in_the_template(void **state)
{
    char *plain = verbs_output("generate", MODEL, "--prompt", "<|begin_of_text|>" ASKED("Say hello."), "--max-tokens", "6");
    char *one = verbs_output("generate", MODEL, "--chat", "--prompt", "Say hello.", "--max-tokens", "6");
    assert_string_equal(one, plain);
    free(plain);
    char *with_system = verbs_output("generate", MODEL, "--chat", "--prompt", "Say hello.", "--system", "Be brief.", "--max-tokens", "6");
    plain = verbs_output("generate", MODEL, "--prompt", "<|begin_of_text|>" TURN("system", "Be brief.<|eot_id|>") ASKED("Say hello."), "--max-tokens", "6");
    assert_string_equal(with_system, plain);
    assert_string_not_equal(with_system, one);
    program chat = {.input = "Say hello.\n\nAgain.\n"};
    program_run(&chat, "generate", MODEL, "--chat", "--max-tokens", "6");
    if (chat.exit_code != 0) fail_msg("%s", chat.err);
    contains(chat.err, "chat template llama3 (the model family's default)");
    assert_memory_equal(chat.out, one, strlen(one));
    assert_true(strlen(chat.out) > strlen(one));
    program_free(&chat);
    program p = {0};
    program_run(&p, "generate", MODEL, "--prompt", "x", "--system", "y");
    program_refused(&p, 2, "--system", "--chat");
    char *texts[] = {plain, one, with_system};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) free(texts[i]);
}

static void merge_keeps_what_was_learnt(void **state)
{
    char merged[128], adapter[128];
    snprintf(merged, sizeof merged, "%s/merged", v.root);
    snprintf(adapter, sizeof adapter, "%s/adapter", v.output);
    double tuned = EVAL("--adapter", adapter, "--base-format", "bf16");
    char *text = verbs_output("merge", "--model", v.model, "--adapter", adapter, "--output", merged);
    contains(text, "14 of 21 tensors merged");
    free(text);
    const char *arguments[] = {"eval", "--model", merged, "--nvme", v.nvme, "--device", "cpu", "--sequence-len", "96", "--data", v.data,
                               "--base-format", "bf16", NULL};
    assert_true(fabs(eval_loss(arguments) - tuned) < 0.02);
    files_equal(at("%s/tokenizer.json", merged), at("%s/tokenizer.json", v.model));
    program p = {0};
    program_run(&p, "merge", "--model", v.model, "--adapter", adapter, "--output", merged);
    program_refused(&p, 2, merged);
    no_leftovers(v.root);
    text = verbs_output("merge", MODEL, "--adapter", adapter, "--output", merged, "--overwrite", "--data", v.data);
    contains(text, "merged (");
    free(text);
}

static void a_new_run_starts_from_an_adapter(void **state)
{
    const char *output = at("%s/again", v.root);
    double tuned = EVAL("--adapter", at("%s/adapter", v.output));
    program_ok("train", MODEL, "--data", v.data, "--output", output, "--max-steps", "1", "--lr", "1e-9", "--init-adapter", at("%s/adapter", v.output));
    assert_true(fabs(EVAL("--adapter", at("%s/again/adapter", v.root)) - tuned) < 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_lowers_the_loss_that_eval_sees), cmocka_unit_test(logits_agree_with_the_loss),
        cmocka_unit_test(eval_of_a_config_measures_what_it_sets_aside),
        cmocka_unit_test(generate_repeats_itself), cmocka_unit_test(chat_writes_in_the_template),
        cmocka_unit_test(merge_keeps_what_was_learnt), cmocka_unit_test(a_new_run_starts_from_an_adapter),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
