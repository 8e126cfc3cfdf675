// An imported tokenizer gives the ids of the tokenizer the GGUF was made from (tests/golden/gguf/make_gguf.py).
#include "import_support.h"

#include "tokenizer/tokenizer.h"

static void check_text(const ft_tokenizer *tokenizer, const json_t *entry)
{
    const json_t *text = json_object_get(entry, "text"), *want = json_object_get(entry, "ids");
    ft_ids ids = {0};
    assert_ok(ft_tokenize(tokenizer, json_string_value(text), json_string_length(text), FT_TOKENIZE_BOS | FT_TOKENIZE_SPECIAL, &ids));
    bool same = (size_t)ids.n == json_array_size(want);
    for (int64_t i = 0; same && i < ids.n; i++) same = ids.items[i] == json_integer_value(json_array_get(want, (size_t)i));
    if (!same) fail_msg("other ids for \"%s\"", json_string_value(text));
    ft_ids_free(&ids);
}

static void check_ids(const char *name, const char *bos, const char *eos)
{
    char *path = ft_format(GOLDEN "%s.json", name);
    json_t *golden = load_json(path), *texts = json_object_get(golden, "texts"), *entry;
    ft_tokenizer *tokenizer;
    size_t i;
    import_golden(name, FT_DTYPE_BF16);
    assert_ok(ft_tokenizer_open(&tokenizer, here.model));
    assert_int_equal(ft_tokenizer_vocab(tokenizer), json_integer_value(json_object_get(golden, "tokens")));
    assert_int_equal(ft_tokenizer_bos(tokenizer), ft_tokenizer_id(tokenizer, bos));
    assert_int_equal(ft_tokenizer_eos(tokenizer), ft_tokenizer_id(tokenizer, eos));
    assert_true(json_array_size(texts) > 5);
    json_array_foreach(texts, i, entry) check_text(tokenizer, entry);
    ft_tokenizer_free(tokenizer);
    json_decref(golden);
    ft_free(path);
}

static void llama_bpe_gives_the_same_ids(void **state)
{
    check_ids("llama", "<|begin|>", "<|end|>");
}

static void smollm_gives_the_same_ids(void **state)
{
    check_ids("smollm", "<|begin|>", "<|end|>");
}

static void qwen2_gives_the_same_ids(void **state)
{
    check_ids("qwen2", "<|begin|>", "<|end|>");
}

static void sentencepiece_gives_the_same_ids(void **state)
{
    check_ids("spm", "<s>", "</s>");
}

static json_t *member(json_t *root, const char *a, const char *b)
{
    return json_object_get(json_object_get(root, a), b);
}

static void qwen2_normalizes_splits_single_digits_and_drops_filler(void **state)
{
    import_golden("qwen2", FT_DTYPE_BF16);
    json_t *root = load_json("tokenizer.json"), *split = json_array_get(member(root, "pre_tokenizer", "pretokenizers"), 0);
    assert_string_equal(json_string_value(member(root, "normalizer", "type")), "NFC");
    assert_non_null(strstr(json_string_value(member(split, "pattern", "Regex")), "|\\p{N}| "));
    assert_null(json_object_get(member(root, "model", "vocab"), "[PAD319]"));
    assert_int_equal(json_object_size(member(root, "model", "vocab")), 294);
    assert_true(json_is_false(member(root, "model", "ignore_merges")));
    json_decref(root);
}

// As transformers' generate_merges makes them.
static void sentencepiece_scores_become_the_same_merges(void **state)
{
    json_t *golden = load_json(GOLDEN "spm.json");
    import_golden("spm", FT_DTYPE_BF16);
    json_t *root = load_json("tokenizer.json");
    assert_true(json_equal(member(root, "model", "merges"), json_object_get(golden, "merges")));
    assert_int_equal(json_object_size(member(root, "model", "vocab")), json_integer_value(json_object_get(golden, "tokens")));
    assert_true(json_is_true(member(root, "model", "byte_fallback")) && json_is_true(member(root, "model", "fuse_unk")));
    assert_string_equal(json_string_value(member(root, "model", "unk_token")), "<unk>");
    assert_int_equal(json_array_size(json_object_get(root, "added_tokens")), 4);
    assert_int_equal(json_array_size(member(root, "normalizer", "normalizers")), 2);
    assert_int_equal(json_array_size(member(root, "post_processor", "single")), 2);
    json_decref(root);
    json_decref(golden);
}

static void names_and_template_stand_in_the_config(void **state)
{
    import_golden("llama", FT_DTYPE_BF16);
    json_t *config = load_json("tokenizer_config.json"), *generation = load_json("generation_config.json");
    assert_string_equal(json_string_value(json_object_get(config, "bos_token")), "<|begin|>");
    assert_string_equal(json_string_value(json_object_get(config, "eos_token")), "<|end|>");
    assert_string_equal(json_string_value(json_object_get(config, "pad_token")), "<|pad|>");
    assert_true(json_is_true(json_object_get(config, "add_bos_token")));
    assert_string_equal(json_string_value(json_object_get(config, "chat_template")),
                        "{% for m in messages %}<|begin|>{{ m['content'] }}<|end|>\n{% endfor %}");
    assert_int_equal(json_integer_value(json_object_get(generation, "eos_token_id")), 291);
    json_decref(config);
    json_decref(generation);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(llama_bpe_gives_the_same_ids),
        TEST(smollm_gives_the_same_ids),
        TEST(qwen2_gives_the_same_ids),
        TEST(sentencepiece_gives_the_same_ids),
        TEST(qwen2_normalizes_splits_single_digits_and_drops_filler),
        TEST(sentencepiece_scores_become_the_same_merges),
        TEST(names_and_template_stand_in_the_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
