// Ids are those of Hugging Face's tokenizers (tests/data/golden/make_tokenizers.py), and detokenizing gives the text back.
#include "data/t_data.h"

static json_t *cases, *more_cases;

static int load_cases(void **state)
{
    cases = t_json_lines(GOLDEN "cases.jsonl");
    more_cases = t_json_lines(GOLDEN "cases_more.jsonl");
    return json_array_size(cases) < 200 || json_array_size(more_cases) < 100;
}

static int free_cases(void **state)
{
    json_decref(cases);
    json_decref(more_cases);
    return 0;
}

static void assert_ids(const ft_ids *got, const json_t *expected, const char *text)
{
    for (size_t i = 0; i < json_array_size(expected) && i < (size_t)got->n; i++) {
        if (got->items[i] != json_integer_value(json_array_get(expected, i))) fail_msg("token %zu of '%s' differs", i, text);
    }
    if (got->n != (int64_t)json_array_size(expected))
        fail_msg("'%s' has %d tokens, not %zu", text, (int)got->n, json_array_size(expected));
}

static void assert_restored(const ft_tokenizer *tokenizer, const ft_ids *ids, const json_t *text)
{
    char *restored;
    size_t bytes;
    t_ok(ft_detokenize(tokenizer, ids->items, ids->n, false, &restored, &bytes));
    if (bytes != json_string_length(text)) fail_msg("'%s' came back as '%s'", json_string_value(text), restored);
    assert_memory_equal(restored, json_string_value(text), bytes);
    ft_free(restored);
}

static void check_tokenizer(const char *name, const char *key, unsigned flags, bool restores)
{
    ft_tokenizer *tokenizer = t_tokenizer(name);
    size_t i;
    json_t *item;
    ft_ids ids = {0};
    json_array_foreach(cases, i, item) {
        const json_t *text = json_object_get(item, "text");
        ids.n = 0;
        t_ok(ft_tokenize(tokenizer, json_string_value(text), json_string_length(text), flags, &ids));
        assert_ids(&ids, json_object_get(item, key), json_string_value(text));
        if (restores) assert_restored(tokenizer, &ids, text);
    }
    ft_ids_free(&ids);
    ft_tokenizer_free(tokenizer);
}

static void llama3_kind_gives_the_reference_ids(void **state)
{
    check_tokenizer("llama3", "llama3", FT_TOKENIZE_SPECIAL, true);
    check_tokenizer("llama3", "llama3_plain", 0, true);
}

static void smollm_kind_gives_the_reference_ids(void **state)
{
    check_tokenizer("smollm", "smollm", FT_TOKENIZE_SPECIAL, false);
    check_tokenizer("smollm", "smollm_plain", 0, false);
}

static void unknown_bytes_give_the_reference_ids(void **state)
{
    check_tokenizer("unknown", "unknown", FT_TOKENIZE_SPECIAL, false);
    check_tokenizer("unknown", "unknown_plain", 0, false);
}

// What the reference decodes the ids to, where it is text: it puts U+FFFD for bytes that are not.
static void assert_decoded(const ft_tokenizer *tokenizer, const ft_ids *ids, const json_t *expected)
{
    if (strstr(json_string_value(expected), "\uFFFD") == NULL) assert_restored(tokenizer, ids, expected);
}

static void check_more(const char *name)
{
    ft_tokenizer *tokenizer = t_tokenizer(name);
    size_t i;
    json_t *item;
    json_array_foreach(more_cases, i, item) {
        const json_t *text = json_object_get(item, "text");
        for (int plain = 0; plain < 2; plain++) {
            char key[64];
            ft_ids ids = {0};
            snprintf(key, sizeof key, "%s%s", name, plain ? "_plain" : "");
            t_ok(ft_tokenize(tokenizer, json_string_value(text), json_string_length(text), plain ? 0 : FT_TOKENIZE_SPECIAL, &ids));
            assert_ids(&ids, json_object_get(item, key), json_string_value(text));
            snprintf(key, sizeof key, "%s_decoded", name);
            if (!plain) assert_decoded(tokenizer, &ids, json_object_get(item, key));
            ft_ids_free(&ids);
        }
    }
    ft_tokenizer_free(tokenizer);
}

static void qwen_kind_gives_the_reference_ids_and_text(void **state)
{
    check_more("qwen");
}

static void sentencepiece_kinds_give_the_reference_ids_and_text(void **state)
{
    check_more("spm");
    check_more("spm_first");
    check_more("spm_split");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama3_kind_gives_the_reference_ids),
        cmocka_unit_test(smollm_kind_gives_the_reference_ids),
        cmocka_unit_test(unknown_bytes_give_the_reference_ids),
        cmocka_unit_test(qwen_kind_gives_the_reference_ids_and_text),
        cmocka_unit_test(sentencepiece_kinds_give_the_reference_ids_and_text),
    };
    return cmocka_run_group_tests(tests, load_cases, free_cases);
}
