// The card of an adapter: the hub's front matter, nothing of the machine, a config that reads back, and never over somebody's edits.
#include "adapter_support.h"

#include <math.h>

#include "train/model_card.h"
#include "io/public_name.h"

#define MODEL "/home/somebody/.cache/huggingface/hub/models--meta-llama--Llama-3.1-8B/snapshots/0123456789abcdef0123456789abcdef01234567"
#define DATA "/home/somebody/.cache/huggingface/hub/datasets--yahma--alpaca-cleaned/snapshots/0123456789abcdef0123456789abcdef01234567"

typedef struct {
    ft_settings settings;
    ft_adapter_layout adapter;
    ft_dataset data;
    ft_data_counts counts[2];
    char *names[2];
} subject;

static void set(subject *s, const char *key, const char *value)
{
    assert_ok(ft_settings_set(&s->settings, key, value, "test"));
}

static subject make_subject(const char *model, const char *data)
{
    subject s = {.counts = {{.records = 1002, .kept = 1000, .tokens = 61310, .trainable_tokens = 22507}, {.records = 10, .kept = 10, .tokens = 500}},
                 .names = {"x/y (alpaca, detected)", "x/z (chat_template)"}};
    s.settings = test_settings();
    set(&s, "base_model", model);
    set(&s, "datasets", data);
    set(&s, "test_datasets", "/home/somebody/eval set.jsonl");
    set(&s, "learning_rate", "0.0003");
    set(&s, "nvme", "/mnt/somebody");
    set(&s, "output_dir", "/home/somebody/out");
    set(&s, "special_pad_token", "<pad: 0>");
    s.adapter = tiny_adapter(8, (1u << FT_LINEAR_Q) | (1u << FT_LINEAR_DOWN));
    return s;
}

static void free_subject(subject *s)
{
    ft_settings_free(&s->settings);
    ft_adapter_layout_free(&s->adapter);
}

static ft_text make_card(subject *s)
{
    ft_text text = {0};
    s->data.counts = s->counts;
    s->data.names = s->names;
    s->data.n_counts = 2;
    const ft_model_card card = {.name = "harbour", .settings = &s->settings, .adapter = &s->adapter, .data = &s->data, .device = "NVIDIA H100 80GB HBM3",
                                .steps = 130, .tokens = 122620, .trainable_tokens = 45014, .seconds = 75, .train_loss = 0.0565, .first_eval_loss = 5.8343,
                                .last_eval_loss = 0.0355, .best_eval_loss = NAN};
    assert_ok(ft_model_card_make(&card, &text));
    return text;
}

static void has(const ft_text *text, const char *part)
{
    if (strstr(text->data, part) == NULL) fail_msg("the card lacks \"%s\":\n%s", part, text->data);
}

static void lacks(const ft_text *text, const char *part)
{
    if (strstr(text->data, part)) fail_msg("the card has \"%s\":\n%s", part, text->data);
}

static void a_base_and_data_of_the_hub_stand_in_the_front_matter(void **state)
{
    subject s = make_subject(MODEL, DATA);
    ft_text text = make_card(&s);
    assert_int_equal(strncmp(text.data,
                             "---\nbase_model: \"meta-llama/Llama-3.1-8B\"\nbase_model_relation: adapter\nlibrary_name: peft\n"
                             "pipeline_tag: text-generation\ntags:\n- lora\n- ft-single\ndatasets:\n- \"yahma/alpaca-cleaned\"\n---\n", 180),
                     0);
    has(&text, "\nbase = \"meta-llama/Llama-3.1-8B\"\n");
    has(&text, "vllm serve meta-llama/Llama-3.1-8B --enable-lora --max-lora-rank 8 --lora-modules harbour=adapter\n");
    ft_text_free(&text);
    free_subject(&s);
}

static void what_was_trained_is_said(void **state)
{
    static const char *const parts[] = {
        "# harbour\n", "| yahma/alpaca-cleaned | training | alpaca | 1002 | 1000 | 61310 | 22507 |\n", "| eval set.jsonl | evaluation | chat_template | 10 | 10 |",
        "LoRA, rank 8, alpha 16, dropout 0.05, on q_proj, down_proj of every layer: ", "| learning_rate | 0.0003 |\n", "| device | NVIDIA H100 80GB HBM3 |\n",
        "| steps | 130 |\n", "| tokens | 122620, 45014 of them trained |\n", "| time | 1m 15s |\n", "| train loss, last step | 0.0565 |\n",
        "| eval loss, first | 5.8343 |\n", "| eval loss, last | 0.0355 |\n", "| trained with | ft-single "};
    subject s = make_subject(MODEL, DATA);
    ft_text text = make_card(&s);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) has(&text, parts[i]);
    lacks(&text, "eval loss, best");
    ft_text_free(&text);
    free_subject(&s);
}

static void nothing_of_the_machine_is_said(void **state)
{
    static const char *const models[] = {MODEL, "/home/somebody/models/llama/."};
    for (int i = 0; i < 2; i++) {
        subject s = make_subject(models[i], i ? "/home/somebody/data/train.jsonl" : DATA);
        ft_text text = make_card(&s);
        lacks(&text, "somebody");
        lacks(&text, "snapshots");
        if (i) lacks(&text, "\nbase_model: \"");
        if (i) has(&text, "A LoRA adapter for `llama`.");
        assert_string_equal(s.settings.values.base_model, models[i]);
        ft_text_free(&text);
        free_subject(&s);
    }
}

static void the_config_reads_back(void **state)
{
    subject s = make_subject("/home/somebody/models/llama", "/home/somebody/train.jsonl");
    ft_text text = make_card(&s);
    const char *begin = strstr(text.data, "```yaml\n"), *end = begin ? strstr(begin + 3, "```\n<!--") : NULL;
    assert_non_null(end);
    write_bytes(in_scratch("config.yaml"), begin + strlen("```yaml\n"), (size_t)(end - begin) - strlen("```yaml\n"));
    ft_settings again;
    assert_ok(ft_settings_init(&again));
    assert_ok(ft_settings_read(&again, in_scratch("config.yaml")));
    assert_true(again.values.learning_rate == s.settings.values.learning_rate);
    assert_string_equal(again.values.special_pad_token, "<pad: 0>");
    assert_string_equal(again.values.adapter, "lora");
    assert_string_equal(ft_path_base(again.values.base_model), "llama");
    assert_string_equal(ft_path_base(again.values.datasets.items[0].path), "train.jsonl");
    assert_string_equal(ft_path_base(again.values.test_datasets.items[0].path), "eval set.jsonl");
    assert_int_equal(again.values.nvme.n, 0);
    assert_null(again.values.output_dir);
    ft_settings_free(&again);
    ft_text_free(&text);
    free_subject(&s);
}

static void what_was_derived_is_left_to_be_derived_again(void **state)
{
    subject s = make_subject(MODEL, DATA);
    assert_ok(ft_settings_derive(&s.settings, "sequence_len", "1024", "the model's"));
    assert_ok(ft_settings_derive(&s.settings, "tokenizer_config", MODEL, "in the cache"));
    ft_text text = make_card(&s);
    has(&text, "| sequence_len | 1024 |\n");
    lacks(&text, "\nsequence_len: ");
    has(&text, "\ntokenizer_config: meta-llama/Llama-3.1-8B\n");
    ft_text_free(&text);
    free_subject(&s);
}

static void save(const char *card)
{
    ft_shape shape = tiny_shape();
    ft_adapter_layout adapter = tiny_adapter(2, 1u << FT_LINEAR_Q);
    float *values = random_array(&adapter, 1);
    assert_ok(ft_adapter_save(scratch, "adapter", &adapter, &shape, MODEL, values, FT_DTYPE_F32, card));
    free(values);
    ft_adapter_layout_free(&adapter);
}

static void expect_card(const char *expected)
{
    size_t bytes;
    char *text = read_bytes(in_scratch("adapter/README.md"), &bytes);
    assert_string_equal(text, expected);
    ft_free(text);
}

static void an_edited_card_is_kept(void **state)
{
    ft_text first = {0}, second = {0};
    assert_ok(ft_text_puts(&first, "# one\n"));
    assert_ok(ft_model_card_seal(&first));
    assert_ok(ft_text_puts(&second, "# two\n"));
    assert_ok(ft_model_card_seal(&second));
    assert_true(ft_model_card_is_sealed(first.data, first.length));
    assert_false(ft_model_card_is_sealed(first.data, first.length - 1));
    assert_false(ft_model_card_is_sealed("", 0));
    save(first.data);
    save(second.data);
    expect_card(second.data);
    first.data[2] = 'O';
    assert_false(ft_model_card_is_sealed(first.data, first.length));
    write_string(in_scratch("adapter/README.md"), first.data);
    save(second.data);
    expect_card(first.data);
    write_string(in_scratch("adapter/README.md"), "# mine\n");
    save(second.data);
    expect_card("# mine\n");
    ft_text_free(&first);
    ft_text_free(&second);
}

static void an_adapter_names_a_base_of_the_hub_by_its_id(void **state)
{
    size_t bytes;
    save(NULL);
    assert_false(ft_path_exists(in_scratch("adapter/README.md")));
    char *text = read_bytes(in_scratch("adapter/adapter_config.json"), &bytes);
    assert_non_null(strstr(text, "\"base_model_name_or_path\": \"meta-llama/Llama-3.1-8B\""));
    ft_free(text);
}

static void a_merged_model_takes_over_the_training(void **state)
{
    subject s = make_subject(MODEL, DATA);
    ft_text trained = make_card(&s), text = {0};
    const ft_merged_card card = {.name = "harbour-8b", .base = MODEL, .adapter = &s.adapter, .trained = trained.data};
    assert_ok(ft_merged_card_make(&card, &text));
    has(&text, "base_model: \"meta-llama/Llama-3.1-8B\"\nbase_model_relation: finetune\nlibrary_name: transformers\n");
    has(&text, "\n## Training\n\n### Data\n");
    has(&text, "| eval loss, last | 0.0355 |\n");
    has(&text, "vllm serve harbour-8b --served-model-name harbour-8b\n");
    lacks(&text, "PeftModel");
    assert_true(ft_model_card_is_sealed(text.data, text.length));
    const char *seal = strstr(text.data, "<!-- ft-single ");
    assert_null(strstr(seal + 1, "<!-- ft-single "));  // the adapter's own is left out
    ft_text_free(&text);
    const ft_merged_card alone = {.name = "harbour-8b", .base = "/models/llama", .adapter = &s.adapter};
    assert_ok(ft_merged_card_make(&alone, &text));
    lacks(&text, "## Training");
    lacks(&text, "/models");
    ft_text_free(&text);
    ft_text_free(&trained);
    free_subject(&s);
}

static void names_are_public(void **state)
{
    static const struct {
        const char *path, *name;
        bool id;
    } cases[] = {{MODEL, "meta-llama/Llama-3.1-8B", true}, {DATA "/train.jsonl", "yahma/alpaca-cleaned", true}, {"/x/models--gpt2/snapshots/1", "gpt2", true},
                 {"meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B", true}, {"configs/demo", "demo", false}, {"/models/tiny//", "tiny", false},
                 {"/models/tiny/.", "tiny", false}, {"tiny", "tiny", false}, {".", "the model", false}, {"/", "the model", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *name = ft_public_name(cases[i].path), *id = ft_public_id(cases[i].path);
        assert_string_equal(name, cases[i].name);
        assert_int_equal(id != NULL, cases[i].id);
        ft_free(name);
        ft_free(id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_base_and_data_of_the_hub_stand_in_the_front_matter),
        cmocka_unit_test(what_was_trained_is_said),
        cmocka_unit_test(nothing_of_the_machine_is_said),
        SCRATCH_TEST(the_config_reads_back),
        cmocka_unit_test(what_was_derived_is_left_to_be_derived_again),
        SCRATCH_TEST(an_edited_card_is_kept),
        SCRATCH_TEST(an_adapter_names_a_base_of_the_hub_by_its_id),
        cmocka_unit_test(a_merged_model_takes_over_the_training),
        cmocka_unit_test(names_are_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
