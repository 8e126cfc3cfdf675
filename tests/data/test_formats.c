// What each record format makes of a record: text, mask, BOS and EOS.
#include "data/t_data.h"

#include "common/text.h"
#include "data/encode.h"
#include "data/formats.h"

static ft_tokenizer *tokenizer;
static t_run run;

static int setup(void **state)
{
    tokenizer = t_tokenizer("llama3");
    t_run_init(&run, "data.jsonl");
    return 0;
}

static int teardown(void **state)
{
    ft_tokenizer_free(tokenizer);
    return 0;
}

static ft_status encode(const char *format, const char *record, const ft_tokenizer *with, ft_encoded *encoded)
{
    json_t *json = json_loads(record, JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    *encoded = (ft_encoded){0};
    ft_encoder encoder;
    ft_status status = ft_encoder_init(&encoder, ft_record_format_find(format), &run.train, &run.config, with);
    if (status == FT_OK) status = ft_encode_record(&encoder, json, encoded);
    json_decref(json);
    if (status != FT_OK) ft_encoded_free(encoded);
    return status;
}

static ft_status encode_fails(const char *format, const char *record, const ft_tokenizer *with)
{
    ft_encoded encoded;
    ft_status status = encode(format, record, with, &encoded);
    if (status == FT_OK) ft_encoded_free(&encoded);
    return status;
}

// The sample is BOS, the ids of `prompt`, the ids of `answer`, EOS; labels are the ids from the answer on, if masked.
static void assert_sample(const ft_encoded *sample, const char *prompt, const char *answer, bool masked)
{
    ft_ids expected = t_ids(tokenizer, prompt, FT_TOKENIZE_BOS), rest = t_ids(tokenizer, answer, 0);
    int64_t trained_from = masked ? expected.n : 0;
    int32_t eos = ft_tokenizer_eos(tokenizer);
    t_ok(ft_ids_add(&expected, rest.items, rest.n));
    t_ok(ft_ids_add(&expected, &eos, 1));
    assert_int_equal(sample->ids.n, expected.n);
    assert_int_equal(sample->labels.n, expected.n);
    assert_memory_equal(sample->ids.items, expected.items, (size_t)expected.n * sizeof *expected.items);
    for (int64_t i = 0; i < expected.n; i++) {
        assert_int_equal(sample->labels.items[i], i < trained_from ? FT_LABEL_IGNORE : expected.items[i]);
    }
    ft_ids_free(&expected);
    ft_ids_free(&rest);
}

#define BELOW "Below is an instruction that describes a task"
#define WRITE "Write a response that appropriately completes the request.\n\n"
static const char with_input[] = BELOW ", paired with an input that provides further context. " WRITE
                                       "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n";
static const char without_input[] = BELOW ". " WRITE "### Instruction:\nAdd.\n\n### Response:\n";

static void alpaca_masks_the_prompt_and_trains_output_and_eos(void **state)
{
    ft_encoded sample;
    t_ok(encode("alpaca", "{\"instruction\":\"Add.\",\"input\":\"1 2\",\"output\":\"It is 3.\"}", tokenizer, &sample));
    assert_sample(&sample, with_input, "It is 3.", true);
    ft_encoded_free(&sample);
}

static void alpaca_without_input_has_the_short_prompt(void **state)
{
    static const char *const records[] = {"{\"instruction\":\"Add.\",\"output\":\"3\"}",
                                          "{\"instruction\":\"Add.\",\"input\":\"\",\"output\":\"3\"}",
                                          "{\"instruction\":\"Add.\",\"input\":null,\"output\":\"3\"}"};
    for (int i = 0; i < 3; i++) {
        ft_encoded sample;
        t_ok(encode("alpaca", records[i], tokenizer, &sample));
        assert_sample(&sample, without_input, "3", true);
        ft_encoded_free(&sample);
    }
}

static void a_prompt_for_generation_is_the_trained_prompt(void **state)
{
    ft_text prompt = {0};
    t_ok(ft_alpaca_prompt(&prompt, "Add."));
    assert_string_equal(prompt.data, without_input);
    ft_text_free(&prompt);
}

static void train_on_inputs_trains_the_prompt_too(void **state)
{
    ft_encoded sample;
    run.config.train_on_inputs = true;
    t_ok(encode("alpaca", "{\"instruction\":\"Add.\",\"output\":\"3\"}", tokenizer, &sample));
    run.config.train_on_inputs = false;
    assert_sample(&sample, without_input, "3", false);
    ft_encoded_free(&sample);
}

static void field_names_are_those_of_the_config(void **state)
{
    ft_encoded sample;
    run.train.field_instruction = "question";
    run.train.field_input = "context";
    run.train.field_output = "answer";
    t_ok(encode("alpaca", "{\"question\":\"Add.\",\"context\":\"1 2\",\"answer\":\"3\",\"output\":7}", tokenizer, &sample));
    assert_sample(&sample, with_input, "3", true);
    ft_encoded_free(&sample);
    run.train.field = "body";
    t_ok(encode("completion", "{\"body\":\"Add.\"}", tokenizer, &sample));
    assert_sample(&sample, "", "Add.", false);
    ft_encoded_free(&sample);
    t_run_init(&run, "data.jsonl");
}

static void special_text_in_alpaca_fields_is_ordinary_text(void **state)
{
    ft_encoded sample;
    t_ok(encode("alpaca", "{\"instruction\":\"Add.\",\"output\":\"<|begin_of_text|><|eot_id|>\"}", tokenizer, &sample));
    assert_sample(&sample, without_input, "<|begin_of_text|><|eot_id|>", true);
    ft_encoded_free(&sample);
}

static void completion_trains_all_between_bos_and_eos(void **state)
{
    ft_encoded sample;
    t_ok(encode("completion", "{\"text\":\"the layer\\u0000 is there\"}", tokenizer, &sample));
    assert_int_equal(sample.ids.items[0], ft_tokenizer_bos(tokenizer));
    assert_int_equal(sample.ids.items[sample.ids.n - 1], ft_tokenizer_eos(tokenizer));
    assert_memory_equal(sample.ids.items, sample.labels.items, (size_t)sample.ids.n * sizeof(int32_t));
    char *text;
    size_t bytes;
    t_ok(ft_detokenize(tokenizer, sample.ids.items, sample.ids.n, true, &text, &bytes));
    assert_int_equal(bytes, 19);
    assert_memory_equal(text, "the layer\0 is there", 19);
    ft_free(text);
    ft_encoded_free(&sample);
}

static void completion_does_not_double_what_the_text_brings(void **state)
{
    ft_encoded sample;
    t_ok(encode("completion", "{\"text\":\"<|begin_of_text|> the<|eot_id|><|end_of_text|>\"}", tokenizer, &sample));
    assert_int_equal(sample.ids.n, 4);
    assert_int_equal(sample.ids.items[2], ft_tokenizer_id(tokenizer, "<|eot_id|>"));
    ft_encoded_free(&sample);
}

static void bos_inside_a_sample_is_an_error(void **state)
{
    t_fails(encode_fails("completion", "{\"text\":\" the<|begin_of_text|> layer\"}", tokenizer), FT_E_INPUT, "at position 2");
    char record[64];
    snprintf(record, sizeof record, "{\"input_ids\":[%d,5,%d]}", ft_tokenizer_bos(tokenizer), ft_tokenizer_bos(tokenizer));
    t_fails(encode_fails("tokens", record, tokenizer), FT_E_INPUT, "at position 2");
}

static void no_bos_where_the_tokenizer_adds_none(void **state)
{
    ft_tokenizer *smollm = t_tokenizer("smollm");
    ft_encoded sample;
    t_ok(encode("completion", "{\"text\":\"the <|endoftext|>\"}", smollm, &sample));  // BOS and EOS are one token here
    ft_ids expected = t_ids(smollm, "the <|endoftext|>", FT_TOKENIZE_SPECIAL);
    assert_int_equal(sample.ids.n, expected.n);
    assert_memory_equal(sample.ids.items, expected.items, (size_t)expected.n * sizeof *expected.items);
    ft_ids_free(&expected);
    ft_encoded_free(&sample);
    ft_tokenizer_free(smollm);
}

static void tokens_are_taken_exactly(void **state)
{
    ft_encoded sample;
    t_ok(encode("tokens", "{\"input_ids\":[7,8,9],\"labels\":[-100,8,3],\"attention_mask\":[1,1,1]}", tokenizer, &sample));
    assert_int_equal(sample.ids.n, 3);
    assert_memory_equal(sample.ids.items, ((int32_t[]){7, 8, 9}), 12);
    assert_memory_equal(sample.labels.items, ((int32_t[]){-100, 8, 3}), 12);
    ft_encoded_free(&sample);
    t_ok(encode("tokens", "{\"input_ids\":[7,8,900000]}", NULL, &sample));  // no tokenizer, no vocabulary
    assert_memory_equal(sample.labels.items, ((int32_t[]){7, 8, 900000}), 12);
    ft_encoded_free(&sample);
}

static void bad_records_name_what_is_wrong(void **state)
{
    static const struct { const char *format, *record, *message; } rows[] = {
        {"alpaca", "{\"instruction\":\"Add.\"}", "no 'output'"},
        {"alpaca", "{\"output\":\"3\"}", "no 'instruction'"},
        {"alpaca", "{\"instruction\":\"Add.\",\"output\":3}", "'output' is a number, not text"},
        {"alpaca", "{\"instruction\":\"Add.\",\"output\":null}", "'output' is null, not text"},
        {"alpaca", "{\"instruction\":\"Add.\",\"input\":[],\"output\":\"\"}", "'input' is an array, not text"},
        {"completion", "{\"body\":\"x\"}", "no 'text'"},
        {"tokens", "{\"labels\":[1]}", "'input_ids' is missing or not an array"},
        {"tokens", "{\"input_ids\":[1,2],\"labels\":[1]}", "'labels' has 1 numbers, 'input_ids' 2"},
        {"tokens", "{\"input_ids\":[1,\"2\"]}", "input_ids[1] is not an integer"},
        {"tokens", "{\"input_ids\":[1,2.5]}", "input_ids[1] is not an integer"},
        {"tokens", "{\"input_ids\":[1,4294967297]}", "input_ids[1] = 4294967297 is no token id"},
        {"tokens", "{\"input_ids\":[1,-2]}", "input_ids[1] = -2 is outside the vocabulary"},
        {"tokens", "{\"input_ids\":[1,99999]}", "input_ids[1] = 99999 is outside the vocabulary of"},
        {"tokens", "{\"input_ids\":[1,2],\"labels\":[1,-3]}", "labels[1] = -3 is outside the vocabulary"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t_fails(encode_fails(rows[i].format, rows[i].record, tokenizer), FT_E_INPUT, rows[i].message);
    }
    t_fails(encode_fails("tokens", "{\"input_ids\":[1,2],\"attention_mask\":[0,1]}", NULL), FT_E_UNSUPPORTED,
            "attention_mask[0]");
    t_fails(encode_fails("completion", "{\"text\":\"x\"}", NULL), FT_E_INPUT, "type completion needs a tokenizer");
}

static void text_needs_an_eos_to_close_it(void **state)
{
    char *json;
    size_t bytes;
    ft_tokenizer *nameless;
    t_ok(ft_file_read(GOLDEN "llama3/tokenizer.json", 1 << 24, &json, &bytes));
    t_ok(ft_tokenizer_open(&nameless, t_write("tokenizer.json", json)));
    ft_free(json);
    t_fails(encode_fails("completion", "{\"text\":\"x\"}", nameless), FT_E_INPUT, "names no EOS token");
    t_ok(ft_tokenizer_set_special(nameless, "eos", "<|end_of_text|>"));
    t_ok(encode_fails("completion", "{\"text\":\"x\"}", nameless));
    ft_tokenizer_free(nameless);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alpaca_masks_the_prompt_and_trains_output_and_eos),
        cmocka_unit_test(alpaca_without_input_has_the_short_prompt),
        cmocka_unit_test(a_prompt_for_generation_is_the_trained_prompt),
        cmocka_unit_test(train_on_inputs_trains_the_prompt_too),
        cmocka_unit_test(field_names_are_those_of_the_config),
        cmocka_unit_test(special_text_in_alpaca_fields_is_ordinary_text),
        cmocka_unit_test(completion_trains_all_between_bos_and_eos),
        cmocka_unit_test(completion_does_not_double_what_the_text_brings),
        cmocka_unit_test(bos_inside_a_sample_is_an_error),
        cmocka_unit_test(no_bos_where_the_tokenizer_adds_none),
        cmocka_unit_test(tokens_are_taken_exactly),
        cmocka_unit_test(bad_records_name_what_is_wrong),
        cmocka_unit_test_setup_teardown(text_needs_an_eos_to_close_it, t_setup, t_teardown),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
