// What a tokenizer.json asks for and is not implemented is refused by name; what is broken is reported.
#include "data/t_data.h"

static json_t *golden(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN "%s/tokenizer.json", name);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    return root;
}

// Sets the member at `where` ("model.dropout", a number is an index) to the JSON `value` and opens the result.
static ft_status open_changed(const char *name, const char *where, const char *value)
{
    json_t *root = golden(name), *at = root;
    char path[256], *save, *key;
    snprintf(path, sizeof path, "%s", where);
    key = strtok_r(path, ".", &save);
    for (char *next; (next = strtok_r(NULL, ".", &save)) != NULL; key = next) {
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
        assert_non_null(at);
    }
    json_t *changed = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_non_null(changed);
    if (json_is_array(at)) json_array_set_new(at, (size_t)atoi(key), changed);
    else json_object_set_new(at, key, changed);
    assert_int_equal(json_dump_file(root, t_path("tokenizer.json"), 0), 0);
    json_decref(root);
    ft_tokenizer *tokenizer = NULL;
    ft_status status = ft_tokenizer_open(&tokenizer, t_directory);
    assert_true((status == FT_OK) == (tokenizer != NULL));
    ft_tokenizer_free(tokenizer);
    return status;
}

static void components_are_refused_by_name(void **state)
{
    static const struct { const char *where, *value, *message; } rows[] = {
        {"normalizer", "{\"type\":\"NFKC\"}", "normalizer NFKC"},
        {"normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}",
         "normalizer Lowercase"},
        {"normalizer", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},\"content\":\"\"}", "only a String pattern"},
        {"model.type", "\"Unigram\"", "model Unigram"},
        {"model.dropout", "0.1", "'dropout'"},
        {"model.byte_fallback", "true", "'byte_fallback'"},
        {"model.continuing_subword_prefix", "\"##\"", "'continuing_subword_prefix'"},
        {"model.end_of_word_suffix", "\"</w>\"", "'end_of_word_suffix'"},
        {"pre_tokenizer", "{\"type\":\"Whitespace\"}", "ends in Whitespace"},
        {"pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"_\"}", "only the replacement U+2581"},
        {"pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"last\"}",
         "prepend_scheme 'last'"},
        {"pre_tokenizer.pretokenizers.1", "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\"}", "ends in Metaspace"},
        {"pre_tokenizer.pretokenizers.0.type", "\"Whitespace\"", "pre_tokenizer Whitespace"},
        {"pre_tokenizer.pretokenizers.0.behavior", "\"Removed\"", "behavior 'Removed'"},
        {"pre_tokenizer.pretokenizers.0.pattern", "{\"String\":\" \"}", "only a Regex"},
        {"pre_tokenizer.pretokenizers.0.pattern.Regex", "\"\\\\h+\"", "uses '\\h'"},
        {"pre_tokenizer.pretokenizers.0.pattern.Regex", "\"a*\"", "may match nothing"},
        {"pre_tokenizer.pretokenizers.1.add_prefix_space", "true", "'add_prefix_space'"},
        {"decoder", "{\"type\":\"Metaspace\"}", "decoder Metaspace"},
        {"post_processor", "{\"type\":\"BertProcessing\"}", "post_processor BertProcessing"},
        {"post_processor.processors.1.single",
         "[{\"SpecialToken\":{\"id\":\"<|begin_of_text|>\"}},{\"SpecialToken\":{\"id\":\"<|eot_id|>\"}},"
         "{\"Sequence\":{\"id\":\"A\"}}]",
         "2 tokens before"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t_fails(open_changed("llama3", rows[i].where, rows[i].value), FT_E_UNSUPPORTED, rows[i].message);
        assert_non_null(strstr(ft_error_message(), "tokenizer.json: "));
    }
}

static void a_prefix_at_a_start_that_was_replaced_is_refused(void **state)
{
    t_fails(open_changed("spm_first", "normalizer", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"b\"}"),
            FT_E_UNSUPPORTED, "after normalizer Replace by 'b'");
    t_ok(open_changed("spm_first", "normalizer",
                      "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}"));
}

static void harmless_settings_are_accepted(void **state)
{
    t_ok(open_changed("llama3", "normalizer", "{\"type\":\"Sequence\",\"normalizers\":[]}"));
    t_ok(open_changed("llama3", "normalizer", "{\"type\":\"NFC\"}"));
    t_ok(open_changed("llama3", "added_tokens.0.lstrip", "true"));
    t_ok(open_changed("llama3", "truncation", "{\"max_length\":512}"));
    t_ok(open_changed("llama3", "model.dropout", "0.0"));
    t_ok(open_changed("llama3", "model.continuing_subword_prefix", "\"\""));
    t_ok(open_changed("llama3", "pre_tokenizer.pretokenizers.0.invert", "true"));
    t_ok(open_changed("smollm", "post_processor", "null"));
    t_ok(open_changed("smollm", "decoder", "null"));
}

static void broken_files_are_reported(void **state)
{
    ft_tokenizer *tokenizer;
    t_fails(open_changed("llama3", "model.vocab", "{}"), FT_E_INPUT, "'vocab' is missing or empty");
    t_fails(open_changed("llama3", "model.vocab.a", "\"x\""), FT_E_INPUT, "id of token 'a' is not a number");
    t_fails(open_changed("llama3", "model.vocab.a", "-1"), FT_E_INPUT, "'a' has id -1");
    t_fails(open_changed("llama3", "model.vocab.a", "99999999"), FT_E_INPUT, "has id 99999999");
    t_fails(open_changed("llama3", "model.merges.0", "\"one\""), FT_E_INPUT, "merge 0 is not a pair");
    t_fails(open_changed("llama3", "model.merges.3", "[\"zzz\",\"q\"]"), FT_E_INPUT, "merge 3 needs the token 'zzz'");
    t_fails(open_changed("smollm", "model.unk_token", "\"<unk>\""), FT_E_INPUT, "unk_token '<unk>'");
    t_fails(open_changed("smollm", "model", "7"), FT_E_INPUT, "no 'model'");
    t_write("tokenizer.json", "{\"model\":\n\n[}");
    t_fails(ft_tokenizer_open(&tokenizer, t_directory), FT_E_INPUT, "line 3 is not JSON");
    t_fails(ft_tokenizer_open(&tokenizer, t_path("nothing-here")), FT_E_NOT_FOUND, "no such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_are_refused_by_name),
        cmocka_unit_test(a_prefix_at_a_start_that_was_replaced_is_refused),
        cmocka_unit_test(harmless_settings_are_accepted),
        cmocka_unit_test(broken_files_are_reported),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
