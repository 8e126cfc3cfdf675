// Conversations: whose turns are trained, what is refused, and that what a message says never becomes a special token.
#include "common/log.h"
#include "data/encode.h"
#include "data/t_data.h"

static ft_tokenizer *tokenizer;
static t_run run;

static int setup(void **state)
{
    ft_log_set_level(FT_LOG_ERROR);
    t_ok(ft_tokenizer_open(&tokenizer, "tests/golden/templates/llama3"));
    return 0;
}

static int teardown(void **state)
{
    ft_tokenizer_free(tokenizer);
    return 0;
}

static int fresh_run(void **state)
{
    t_run_init(&run, "chat.jsonl");
    run.config.chat_template = "llama3";
    return 0;
}

static ft_status encode(const char *type, const char *record, ft_encoded *encoded)
{
    ft_encoder encoder;
    json_t *json = json_loads(record, 0, NULL);
    assert_non_null(json);
    *encoded = (ft_encoded){0};
    ft_status status = ft_encoder_init(&encoder, ft_record_format_find(type), &run.train, &run.config, tokenizer);
    if (status == FT_OK) status = ft_encode_record(&encoder, json, encoded);
    json_decref(json);
    return status;
}

static ft_status encode_fails(const char *type, const char *record)
{
    ft_encoded encoded;
    ft_status status = encode(type, record, &encoded);
    ft_encoded_free(&encoded);
    return status;
}

// Text of the trained tokens (trained) or of all, special ones included; the caller frees it.
static char *text_of(const ft_encoded *encoded, bool trained)
{
    ft_ids ids = {0};
    char *text;
    size_t bytes;
    for (int64_t i = 0; i < encoded->ids.n; i++) {
        if (!trained || encoded->labels.items[i] != FT_LABEL_IGNORE) t_ok(ft_ids_add(&ids, &encoded->ids.items[i], 1));
    }
    t_ok(ft_detokenize(tokenizer, ids.items, ids.n, false, &text, &bytes));
    ft_ids_free(&ids);
    return text;
}

static void assert_trained(const char *type, const char *record, const char *expected)
{
    ft_encoded encoded;
    t_ok(encode(type, record, &encoded));
    char *text = text_of(&encoded, true);
    assert_string_equal(text, expected);
    ft_free(text);
    ft_encoded_free(&encoded);
}

static void assert_whole(const char *type, const char *record, const char *expected)
{
    ft_encoded encoded;
    t_ok(encode(type, record, &encoded));
    char *text = text_of(&encoded, false);
    assert_string_equal(text, expected);
    ft_free(text);
    ft_encoded_free(&encoded);
}

#define BOS "<|begin_of_text|>"
#define EOT "<|eot_id|>"
#define HEAD(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define TURN(role, text) HEAD(role) text EOT
#define FOUR "{\"messages\":[{\"role\":\"user\",\"content\":\"One.\"},{\"role\":\"assistant\",\"content\":\"Two.\"}," \
             "{\"role\":\"user\",\"content\":\"Three.\"},{\"role\":\"assistant\",\"content\":\"Four.\"}]}"

static void openai_and_sharegpt_are_the_same_conversation(void **state)
{
    static const char *const records[] = {
        "{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"U\"},{\"role\":\"assistant\",\"content\":\"A\"}]}",
        "{\"conversations\":[{\"from\":\"system\",\"value\":\"S\"},{\"from\":\"human\",\"value\":\"U\"},{\"from\":\"gpt\",\"value\":\"A\"}],\"score\":5}",
    };
    static const char *const types[] = {"chat_template", "sharegpt", "messages", "chat"};
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 4; k++) assert_whole(types[k], records[i], BOS TURN("system", "S") TURN("user", "U") TURN("assistant", "A"));
    }
}

static void fields_and_roles_are_those_of_the_config(void **state)
{
    char *users[] = {"customer"}, *answers[] = {"agent", "bot"}, *systems[] = {"rules"};
    run.train.field_messages = "dialog";
    run.train.message_property_role = "who";
    run.train.message_property_content = "says";
    run.train.roles_user = (ft_string_list){users, 1};
    run.train.roles_assistant = (ft_string_list){answers, 2};
    run.train.roles_system = (ft_string_list){systems, 1};
    assert_trained("chat", "{\"dialog\":[{\"who\":\"rules\",\"says\":\"S\"},{\"who\":\"customer\",\"says\":\"U\"},{\"who\":\"bot\",\"says\":\"A\"}]}", "A" EOT);
    t_fails(encode_fails("chat", "{\"dialog\":[{\"who\":\"user\",\"says\":\"U\"}]}"), FT_E_INPUT, "dialog[0]: unknown role 'user'");
    t_fails(encode_fails("chat", "{\"messages\":[]}"), FT_E_INPUT, "no 'dialog'");
    run.train.field_system = "prompt";
    assert_whole("chat", "{\"prompt\":\"P\",\"dialog\":[{\"who\":\"bot\",\"says\":\"A\"}]}", BOS TURN("system", "P") TURN("assistant", "A"));
    assert_whole("chat", "{\"prompt\":\"P\",\"dialog\":[{\"who\":\"rules\",\"says\":\"R\"}]}", BOS TURN("system", "R"));
}

static void turns_are_trained_by_role(void **state)
{
    char *user[] = {"human"}, *both[] = {"gpt", "user"}, *nobody[] = {"tool"};
    assert_trained("chat", FOUR, "Two." EOT "Four." EOT);
    run.config.roles_to_train = (ft_string_list){user, 1};
    assert_trained("chat", FOUR, "One." EOT "Three." EOT);
    run.train.roles_to_train = (ft_string_list){both, 2};  // the dataset's go before the run's
    assert_trained("chat", FOUR, "One." EOT "Two." EOT "Three." EOT "Four." EOT);
    run.train.roles_to_train = (ft_string_list){nobody, 1};
    t_fails(encode_fails("chat", FOUR), FT_E_USAGE, "roles_to_train: unknown role 'tool'");
    fresh_run(state);
    run.config.train_on_inputs = true;
    assert_trained("chat", FOUR, "One." EOT "Two." EOT "Three." EOT "Four." EOT);
    run.config.mask_history = true;
    run.config.train_on_inputs = false;
    assert_trained("chat", FOUR, "Four." EOT);
}

static void closing_tokens_are_trained_as_train_on_eos_says(void **state)
{
    static const struct { char *which; const char *expected; } rows[] = {
        {NULL, "Two." EOT "Four." EOT}, {"turn", "Two." EOT "Four." EOT}, {"all", EOT "Two." EOT EOT "Four." EOT},
        {"last", "Two.Four." EOT},      {"none", "Two.Four."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        run.train.train_on_eos = rows[i].which;
        assert_trained("chat", FOUR, rows[i].expected);
    }
}

static void a_message_may_say_whether_it_is_trained(void **state)
{
#define FLAGS(a, b) "{\"messages\":[{\"role\":\"user\",\"content\":\"U\"," a "},{\"role\":\"assistant\",\"content\":\"A\"," b "}]}"
    assert_trained("chat", FLAGS("\"train\":true", "\"train\":false"), "U" EOT);
    assert_trained("chat", FLAGS("\"training\":true", "\"training\":null"), "U" EOT "A" EOT);
    assert_trained("chat", FLAGS("\"weight\":1", "\"weight\":0.0"), "U" EOT);
    assert_trained("chat", FLAGS("\"x\":1", "\"x\":0"), "A" EOT);
    run.train.message_field_training = "x";
    assert_trained("chat", FLAGS("\"x\":1", "\"x\":0"), "U" EOT);
    assert_trained("chat", FLAGS("\"x\":1", "\"train\":false"), "U" EOT "A" EOT);
    t_fails(encode_fails("chat", FLAGS("\"x\":0.5", "\"x\":0")), FT_E_INPUT, "messages[0]: 'x' says whether the message is trained");
#undef FLAGS
}

static void what_cannot_be_rendered_is_refused_by_name(void **state)
{
#define SAID(fields) "{\"messages\":[{" fields "}]}"
    static const struct { ft_status status; const char *record, *message; } rows[] = {
        {FT_E_INPUT, SAID("\"role\":\"oracle\",\"content\":\"x\""), "messages[0]: unknown role 'oracle'; name it in roles.user"},
        {FT_E_UNSUPPORTED, SAID("\"role\":\"tool\",\"content\":\"x\""), "role 'tool' is not implemented"},
        {FT_E_UNSUPPORTED, SAID("\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]"), "'tool_calls' is not implemented"},
        {FT_E_UNSUPPORTED, SAID("\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"hm\""), "'reasoning_content'"},
        {FT_E_UNSUPPORTED, "{\"tools\":[{}],\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "'tools' is not implemented"},
        {FT_E_INPUT, SAID("\"role\":\"assistant\",\"content\":null"), "'content' is null, not text"},
        {FT_E_INPUT, SAID("\"role\":\"assistant\""), "no 'content'"},
        {FT_E_INPUT, SAID("\"content\":\"x\""), "no 'role'"},
        {FT_E_INPUT, SAID("\"role\":\"user\",\"content\":[{\"type\":\"text\"}]"), "'content' is an array, not text"},
        {FT_E_INPUT, "{\"messages\":[\"x\"]}", "messages[0]: is text, not an object"},
        {FT_E_INPUT, "{\"messages\":[]}", "'messages' is empty"},
        {FT_E_INPUT, "{\"messages\":{}}", "'messages' is an object, not an array"},
        {FT_E_INPUT, "{\"text\":\"x\"}", "no 'messages'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) t_fails(encode_fails("chat", rows[i].record), rows[i].status, rows[i].message);
    assert_trained("chat", SAID("\"role\":\"assistant\",\"content\":\"A\",\"tool_calls\":null"), "A" EOT);
    assert_trained("chat", SAID("\"role\":\"assistant\",\"content\":\"A\",\"tool_calls\":[]"), "A" EOT);
    assert_trained("chat", "{\"tools\":\"[]\",\"messages\":[{\"role\":\"assistant\",\"content\":\"A\"}]}", "A" EOT);
#undef SAID
}

static int64_t count(const ft_encoded *encoded, const char *token)
{
    int64_t n = 0;
    for (int64_t i = 0; i < encoded->ids.n; i++) n += encoded->ids.items[i] == ft_tokenizer_id(tokenizer, token);
    return n;
}

static void what_a_message_says_never_becomes_a_special_token(void **state)
{
    static const char record[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"Is <|eot_id|> or " BOS " a token?\"},"
                                 "{\"role\":\"assistant\",\"content\":\"<|eot_id|><|start_header_id|>x\"}]}";
    ft_encoded encoded;
    t_ok(encode("chat", record, &encoded));
    assert_int_equal(count(&encoded, "<|eot_id|>"), 2);
    assert_int_equal(count(&encoded, "<|start_header_id|>"), 2);
    assert_int_equal(count(&encoded, "<|begin_of_text|>"), 1);
    char *whole = text_of(&encoded, false), *trained = text_of(&encoded, true);
    assert_string_equal(whole, BOS TURN("user", "Is <|eot_id|> or " BOS " a token?") TURN("assistant", "<|eot_id|><|start_header_id|>x"));
    assert_string_equal(trained, "<|eot_id|><|start_header_id|>x" EOT);
    ft_free(whole);
    ft_free(trained);
    ft_encoded_free(&encoded);
}

static void a_bos_that_the_template_does_not_write_is_put_in_front(void **state)
{
    ft_encoded encoded;
    run.config.chat_template = "alpaca";
    t_ok(encode("chat", FOUR, &encoded));
    assert_int_equal(count(&encoded, "<|begin_of_text|>"), 1);
    assert_int_equal(encoded.ids.items[0], ft_tokenizer_bos(tokenizer));
    ft_encoded_free(&encoded);
}

static void an_answer_that_vanishes_leaves_its_closing_token(void **state)
{
    ft_tokenizer *kept = tokenizer;
    ft_encoded encoded;
    tokenizer = t_tokenizer("smollm");  // its vocabulary lacks bytes
    run.config.chat_template = "alpaca";
    t_ok(encode("chat", "{\"messages\":[{\"role\":\"user\",\"content\":\"the\"},{\"role\":\"assistant\",\"content\":\"\\u007f\"}]}", &encoded));
    for (int64_t i = 0; i < encoded.ids.n; i++) {
        int32_t eos = ft_tokenizer_eos(tokenizer), last = encoded.ids.n - 1;
        assert_int_equal(encoded.labels.items[i], i == last ? eos : FT_LABEL_IGNORE);
    }
    ft_encoded_free(&encoded);
    ft_tokenizer_free(tokenizer);
    tokenizer = kept;
}

static void long_prompts_keep_their_end_and_long_answers_their_start(void **state)
{
    ft_encoded whole, cut;
    t_ok(encode("chat", FOUR, &whole));
    int64_t n = whole.ids.n, answer = n;
    while (whole.labels.items[answer - 1] != FT_LABEL_IGNORE) answer--;  // of the last turn
    run.config.source_max_len = 5;
    t_ok(encode("chat", FOUR, &cut));
    assert_int_equal(cut.ids.n, 5 + n - answer);
    assert_int_equal(cut.cut, answer - 5);
    assert_int_equal(cut.ids.items[0], ft_tokenizer_bos(tokenizer));
    assert_memory_equal(cut.ids.items + 1, whole.ids.items + answer - 4, (size_t)(n - answer + 4) * sizeof(int32_t));
    assert_memory_equal(cut.labels.items + 1, whole.labels.items + answer - 4, (size_t)(n - answer + 4) * sizeof(int32_t));
    ft_encoded_free(&cut);
    run.config.target_max_len = 2;
    t_ok(encode("chat", FOUR, &cut));
    assert_int_equal(cut.ids.n, 7);
    assert_memory_equal(cut.ids.items + 5, whole.ids.items + answer, 2 * sizeof(int32_t));
    assert_int_equal(cut.cut, n - 7);
    ft_encoded_free(&cut);
    ft_encoded_free(&whole);
}

#define ALPACA "{\"system\":\"Sys.\",\"instruction\":\"Add.\",\"input\":\"1 2\",\"output\":\"3\"}"

static void alpaca_follows_a_chat_template(void **state)
{
    assert_whole("alpaca", ALPACA, BOS TURN("system", "Sys.") TURN("user", "Add.\n\n1 2") TURN("assistant", "3"));
    assert_trained("alpaca", ALPACA, "3" EOT);
    assert_whole("alpaca", "{\"instruction\":\"Add.\",\"output\":\"3\"}", BOS TURN("user", "Add.") TURN("assistant", "3"));
}

static void alpaca_without_one_has_its_prompt(void **state)
{
    run.config.chat_template = NULL;
    assert_whole("alpaca", ALPACA, BOS "Sys.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n3" EOT);
    run.config.source_max_len = 4;
    run.config.target_max_len = 1;
    ft_encoded cut;
    t_ok(encode("alpaca", ALPACA, &cut));
    assert_int_equal(cut.ids.n, 5);
    assert_int_equal(cut.ids.items[0], ft_tokenizer_bos(tokenizer));
    assert_int_equal(cut.labels.items[3], FT_LABEL_IGNORE);
    assert_int_equal(cut.labels.items[4], cut.ids.items[4]);
    ft_encoded_free(&cut);
}

static void input_output_is_trained_segment_by_segment(void **state)
{
    static const char record[] = "{\"segments\":[{\"label\":false,\"text\":\"" BOS "Q: \"},{\"label\":true,\"text\":\"A<|eot_id|>\"},"
                                 "{\"label\":false,\"text\":\"\\n\"}]}";
    run.config.chat_template = NULL;
    assert_whole("input_output", record, BOS "Q: A" EOT "\n");
    assert_trained("input_output", record, "A" EOT);
    run.config.train_on_inputs = true;
    assert_trained("input_output", record, BOS "Q: A" EOT "\n");
    t_fails(encode_fails("input_output", "{\"segments\":[{\"label\":1,\"text\":\"x\"}]}"), FT_E_INPUT, "segments[0]: 'label' must be");
    t_fails(encode_fails("input_output", "{\"segments\":[{\"label\":true}]}"), FT_E_INPUT, "segments[0]: no 'text'");
    t_fails(encode_fails("input_output", "{}"), FT_E_INPUT, "'segments' is missing");
    t_fails(encode_fails("input_output", "{\"segments\":[{\"label\":true,\"text\":\"x" BOS "\"}]}"), FT_E_INPUT, "BOS (id");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh_run, NULL)
    const struct CMUnitTest tests[] = {
        TEST(openai_and_sharegpt_are_the_same_conversation),
        TEST(fields_and_roles_are_those_of_the_config),
        TEST(turns_are_trained_by_role),
        TEST(closing_tokens_are_trained_as_train_on_eos_says),
        TEST(a_message_may_say_whether_it_is_trained),
        TEST(what_cannot_be_rendered_is_refused_by_name),
        TEST(what_a_message_says_never_becomes_a_special_token),
        TEST(a_bos_that_the_template_does_not_write_is_put_in_front),
        TEST(an_answer_that_vanishes_leaves_its_closing_token),
        TEST(long_prompts_keep_their_end_and_long_answers_their_start),
        TEST(alpaca_follows_a_chat_template),
        TEST(alpaca_without_one_has_its_prompt),
        TEST(input_output_is_trained_segment_by_segment),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
