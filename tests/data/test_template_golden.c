// Conversations are rendered, tokenized and masked as transformers does it (tests/golden/templates/make_templates.py). With
// FT_TEMPLATE_MASKS=FILE and FT_TEMPLATE_TOKENIZERS=DIR the masks of that file are compared too, which the script makes with the
// families' real tokenizers.
#include "data/t_data.h"

#include "common/log.h"
#include "data/encode.h"

#define TEMPLATES "tests/golden/templates/"

static json_t *read_json(const char *path)
{
    char *text;
    size_t bytes;
    json_error_t error;
    t_ok(ft_file_read(path, 1 << 26, &text, &bytes));
    json_t *json = json_loadb(text, bytes, JSON_ALLOW_NUL, &error);
    assert_non_null(json);
    ft_free(text);
    return json;
}

static ft_tokenizer *open_tokenizer(const char *root, const char *name)
{
    char path[1024];
    ft_tokenizer *tokenizer;
    snprintf(path, sizeof path, "%s/%s", root, name);
    t_ok(ft_tokenizer_open(&tokenizer, path));
    return tokenizer;
}

static const char *tokenizer_of(const char *name)
{
    if (strncmp(name, "llama3", 6) == 0) return "llama3";
    return strncmp(name, "mistral", 7) == 0 || strcmp(name, "alpaca") == 0 ? "mistral" : "chatml";
}

// Messages of a conversation; at most 8.
static int read_messages(const json_t *conversation, ft_chat_message messages[8])
{
    size_t i;
    json_t *item;
    json_array_foreach(conversation, i, item) {
        const char *role = json_string_value(json_object_get(item, "role"));
        const json_t *text = json_object_get(item, "content");
        ft_speaker speaker = role[0] == 's' ? FT_SPEAKER_SYSTEM : role[0] == 'u' ? FT_SPEAKER_USER : FT_SPEAKER_ASSISTANT;
        assert_true(i < 8);
        messages[i] = (ft_chat_message){speaker, json_string_value(text), json_string_length(text)};
    }
    return (int)json_array_size(conversation);
}

static void assert_pieces(const ft_chat_text *chat)
{
    size_t at = 0;
    for (int i = 0; i < chat->n; i++) {
        assert_int_equal(chat->pieces[i].begin, at);
        assert_true(chat->pieces[i].end > at);
        assert_int_equal(chat->pieces[i].kind == FT_PIECE_SCAFFOLD, chat->pieces[i].message < 0);
        at = chat->pieces[i].end;
    }
    assert_int_equal(at, chat->text.length);
}

static void assert_text(const ft_chat_text *chat, const json_t *expected, const char *name, size_t i)
{
    bool same = chat->text.length == json_string_length(expected) &&
                memcmp(chat->text.data, json_string_value(expected), chat->text.length) == 0;
    if (!same) fail_msg("%s, conversation %zu: \"%s\", expected \"%s\"", name, i, chat->text.data, json_string_value(expected));
    assert_pieces(chat);
}

static void assert_prompt(const ft_chat_template *row, const ft_tokenizer *tokenizer, const ft_chat_message *messages, int n,
                          const ft_chat_text *chat, const char *suffix)
{
    ft_chat_text prompt;
    t_ok(ft_chat_render(row, tokenizer, messages, n, true, &prompt));
    assert_int_equal(prompt.text.length, chat->text.length + strlen(suffix));
    assert_memory_equal(prompt.text.data, chat->text.data, chat->text.length);
    assert_string_equal(prompt.text.data + chat->text.length, suffix);
    assert_pieces(&prompt);
    ft_chat_text_free(&prompt);
}

static int check_template(const json_t *golden, const char *name, const json_t *texts)
{
    const json_t *conversations = json_object_get(golden, "conversations"), *expected;
    const char *suffix = json_string_value(json_object_get(json_object_get(golden, "prompts"), name));
    ft_tokenizer *tokenizer = open_tokenizer(TEMPLATES, tokenizer_of(name));
    const ft_chat_template *row;
    const char *reason;
    size_t i;
    int rendered = 0;
    t_ok(ft_chat_template_choose(name, tokenizer, NULL, &row, &reason));
    json_array_foreach(texts, i, expected) {
        ft_chat_message messages[8];
        ft_chat_text chat;
        int n = read_messages(json_array_get(conversations, i), messages);
        ft_status status = ft_chat_render(row, tokenizer, messages, n, false, &chat);
        assert_int_equal(status, json_is_null(expected) ? FT_E_INPUT : FT_OK);
        if (status == FT_OK) assert_text(&chat, expected, name, i);
        if (status == FT_OK) assert_prompt(row, tokenizer, messages, n, &chat, suffix);
        rendered += status == FT_OK;
        ft_chat_text_free(&chat);
    }
    ft_tokenizer_free(tokenizer);
    return rendered;
}

static void every_template_renders_what_transformers_renders(void **state)
{
    json_t *golden = read_json(TEMPLATES "texts.json");
    const char *name;
    json_t *texts;
    int rows = 0;
    json_object_foreach(json_object_get(golden, "templates"), name, texts) {
        assert_true(json_array_size(texts) > 80);
        int rendered = check_template(golden, name, texts);
        assert_true(rendered > 60);
        print_message("%-16s %d texts, %zu refused\n", name, rendered, json_array_size(texts) - (size_t)rendered);
        rows++;
    }
    for (int i = 0; ft_chat_templates[i] != NULL; i++) rows--;
    assert_int_equal(rows, 0);
    json_decref(golden);
}

// A run over conversations with one template and the options of a case.
typedef struct {
    t_run run;
    char *roles[4];
    ft_encoder encoder;
} chat_run;

static void set_options(chat_run *r, const json_t *mask)
{
    const json_t *roles = json_object_get(mask, "roles"), *role;
    size_t i;
    json_array_foreach(roles, i, role) r->roles[i] = (char *)json_string_value(role);
    r->run.config.roles_to_train = (ft_string_list){r->roles, (int)json_array_size(roles)};
    r->run.train.train_on_eos = (char *)json_string_value(json_object_get(mask, "eos"));
}

static void assert_labels(const ft_encoded *encoded, const json_t *item, const json_t *mask)
{
    const json_t *spans = json_object_get(mask, "spans");
    size_t span = 0;
    for (int64_t i = 0; i < encoded->ids.n; i++) {
        while (span < json_array_size(spans) && json_integer_value(json_array_get(json_array_get(spans, span), 1)) <= i) span++;
        bool trained = span < json_array_size(spans) && json_integer_value(json_array_get(json_array_get(spans, span), 0)) <= i;
        if (encoded->labels.items[i] == (trained ? encoded->ids.items[i] : FT_LABEL_IGNORE)) continue;
        char *text = json_dumps(item, JSON_COMPACT), *options = json_dumps(mask, JSON_COMPACT);
        fail_msg("token %lld is labelled %d: %s in %.600s", (long long)i, encoded->labels.items[i], options, text);
    }
}

static void assert_mask(const json_t *item, const json_t *mask, const ft_tokenizer *tokenizer)
{
    chat_run r;
    ft_encoded encoded = {0};
    const json_t *ids = json_object_get(item, "ids"), *id;
    size_t i;
    t_run_init(&r.run, "chat.jsonl");
    r.run.config.chat_template = (char *)json_string_value(json_object_get(item, "template"));
    set_options(&r, mask);
    t_ok(ft_encoder_init(&r.encoder, ft_record_format_find("chat_template"), &r.run.train, &r.run.config, tokenizer));
    json_t *record = json_pack("{s:O}", "messages", json_object_get(item, "conversation"));
    t_ok(ft_encode_record(&r.encoder, record, &encoded));
    assert_int_equal(encoded.ids.n, json_array_size(ids));
    json_array_foreach(ids, i, id) assert_int_equal(encoded.ids.items[i], json_integer_value(id));
    assert_labels(&encoded, item, mask);
    json_decref(record);
    ft_encoded_free(&encoded);
}

static void check_masks(const char *path, const char *root)
{
    json_t *cases = read_json(path), *item, *mask;
    size_t i, k;
    const char *opened = "";
    ft_tokenizer *tokenizer = NULL;
    assert_true(json_array_size(cases) > 50);
    json_array_foreach(cases, i, item) {
        const char *name = json_string_value(json_object_get(item, "tokenizer"));
        if (strcmp(name, opened) != 0) {
            ft_tokenizer_free(tokenizer);
            tokenizer = open_tokenizer(root, opened = name);
        }
        json_array_foreach(json_object_get(item, "masks"), k, mask) assert_mask(item, mask, tokenizer);
    }
    ft_tokenizer_free(tokenizer);
    json_decref(cases);
}

static void ids_and_trained_tokens_are_those_of_transformers(void **state)
{
    check_masks(TEMPLATES "masks.json", TEMPLATES);
}

static void real_tokenizers_give_the_same(void **state)
{
    const char *masks = getenv("FT_TEMPLATE_MASKS"), *root = getenv("FT_TEMPLATE_TOKENIZERS");
    if (masks == NULL || root == NULL) skip();
    check_masks(masks, root);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_template_renders_what_transformers_renders),
        cmocka_unit_test(ids_and_trained_tokens_are_those_of_transformers),
        cmocka_unit_test(real_tokenizers_give_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
