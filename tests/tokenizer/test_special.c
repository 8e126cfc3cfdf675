// Special tokens: when their text counts, where BOS goes, which file names them.
#include "data/t_data.h"

static void assert_ids(ft_ids ids, int64_t n, const int32_t *expected)
{
    assert_int_equal(ids.n, n);
    assert_memory_equal(ids.items, expected, (size_t)n * sizeof *expected);
    ft_ids_free(&ids);
}

static void special_text_counts_only_when_asked(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    int32_t eot = ft_tokenizer_id(tokenizer, "<|eot_id|>"), tool = ft_tokenizer_id(tokenizer, "<tool>");
    assert_true(eot >= 0 && tool >= 0);
    assert_ids(t_ids(tokenizer, "<|eot_id|>", FT_TOKENIZE_SPECIAL), 1, &eot);
    ft_ids plain = t_ids(tokenizer, "<|eot_id|>", 0);
    assert_true(plain.n > 1);
    for (int64_t i = 0; i < plain.n; i++) assert_false(ft_tokenizer_is_special(tokenizer, plain.items[i]));
    ft_ids_free(&plain);
    assert_ids(t_ids(tokenizer, "<tool>", 0), 1, &tool);
    assert_false(ft_tokenizer_is_special(tokenizer, tool));
    ft_tokenizer_free(tokenizer);
}

static void bos_is_put_first_once(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    int32_t bos = ft_tokenizer_bos(tokenizer);
    assert_true(ft_tokenizer_adds_bos(tokenizer));
    assert_int_equal(bos, ft_tokenizer_id(tokenizer, "<|begin_of_text|>"));
    assert_ids(t_ids(tokenizer, "", FT_TOKENIZE_BOS), 1, &bos);
    assert_ids(t_ids(tokenizer, "<|begin_of_text|>", FT_TOKENIZE_BOS | FT_TOKENIZE_SPECIAL), 1, &bos);
    ft_ids ids = t_ids(tokenizer, "the layer", FT_TOKENIZE_BOS), rest = t_ids(tokenizer, "the layer", 0);
    assert_int_equal(ids.n, rest.n + 1);
    assert_int_equal(ids.items[0], bos);
    assert_memory_equal(ids.items + 1, rest.items, (size_t)rest.n * sizeof *rest.items);
    ft_ids_free(&ids);
    ft_ids_free(&rest);
    ft_tokenizer_free(tokenizer);
}

static void a_named_bos_without_template_is_not_added(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("smollm");
    assert_int_equal(ft_tokenizer_bos(tokenizer), 0);
    assert_false(ft_tokenizer_adds_bos(tokenizer));
    ft_ids with = t_ids(tokenizer, "the layer", FT_TOKENIZE_BOS), without = t_ids(tokenizer, "the layer", 0);
    assert_int_equal(with.n, without.n);
    ft_ids_free(&with);
    ft_ids_free(&without);
    ft_tokenizer_free(tokenizer);
}

static void copy_golden(const char *name, const char *directory)
{
    char *text, *from = ft_path_join(GOLDEN, name), *source = ft_path_join(from, "tokenizer.json");
    char *target = ft_path_join(directory, "tokenizer.json");
    size_t bytes;
    t_ok(ft_make_directories(directory));
    t_ok(ft_file_read(source, 1 << 24, &text, &bytes));
    t_ok(ft_file_write(target, text, bytes));
    ft_free(text);
    ft_free(from);
    ft_free(source);
    ft_free(target);
}

static void names_come_from_the_first_file_that_has_them(void **state)
{
    ft_tokenizer *tokenizer;
    char *directory = t_path("names");
    copy_golden("smollm", directory);
    t_write("names/config.json", "{\"eos_token_id\": [2, 1], \"bos_token_id\": 1, \"pad_token_id\": 0}");
    t_write("names/special_tokens_map.json", "{\"eos_token\": {\"content\": \"<|eot_id|>\"}}");
    t_write("names/tokenizer_config.json", "{\"pad_token\": \"<end>\", \"bos_token\": null}");
    t_ok(ft_tokenizer_open(&tokenizer, directory));
    assert_int_equal(ft_tokenizer_pad(tokenizer), 2);
    assert_int_equal(ft_tokenizer_eos(tokenizer), 1);
    assert_int_equal(ft_tokenizer_bos(tokenizer), -1);  // null is an answer
    ft_tokenizer_free(tokenizer);

    t_write("names/special_tokens_map.json", "{}");
    t_write("names/tokenizer_config.json", "{\"bos_token\": \"<end>\", \"add_bos_token\": true}");
    t_ok(ft_tokenizer_open(&tokenizer, t_path("names/tokenizer.json")));  // the file works like its directory
    assert_int_equal(ft_tokenizer_eos(tokenizer), 2);
    assert_true(ft_tokenizer_adds_bos(tokenizer));
    assert_int_equal(ft_tokenizer_bos(tokenizer), 2);
    ft_tokenizer_free(tokenizer);
}

static void wrong_names_are_reported(void **state)
{
    ft_tokenizer *tokenizer;
    char *directory = t_path("wrong");
    copy_golden("smollm", directory);
    t_write("wrong/tokenizer_config.json", "{\"eos_token\": \"</s>\"}");
    t_fails(ft_tokenizer_open(&tokenizer, directory), FT_E_INPUT,
            "tokenizer_config.json: eos_token '</s>' is not in the vocabulary");
    t_write("wrong/tokenizer_config.json", "{\"add_bos_token\": true}");
    t_fails(ft_tokenizer_open(&tokenizer, directory), FT_E_INPUT, "no bos_token is named");
    t_write("wrong/tokenizer_config.json", "{");
    t_fails(ft_tokenizer_open(&tokenizer, directory), FT_E_INPUT, "tokenizer_config.json:1: not JSON");
}

static void the_config_may_name_other_tokens(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    int32_t eot = ft_tokenizer_id(tokenizer, "<|eot_id|>");
    assert_int_equal(ft_tokenizer_pad(tokenizer), ft_tokenizer_eos(tokenizer));  // none is named
    t_ok(ft_tokenizer_set_special(tokenizer, "eos", "<|eot_id|>"));
    t_ok(ft_tokenizer_set_special(tokenizer, "pad", "<|start_header_id|>"));
    t_ok(ft_tokenizer_set_special(tokenizer, "bos", "<tool>"));
    assert_int_equal(ft_tokenizer_eos(tokenizer), eot);
    assert_int_equal(ft_tokenizer_pad(tokenizer), ft_tokenizer_id(tokenizer, "<|start_header_id|>"));
    ft_ids ids = t_ids(tokenizer, "", FT_TOKENIZE_BOS);
    assert_int_equal(ids.items[0], ft_tokenizer_id(tokenizer, "<tool>"));
    ft_ids_free(&ids);
    t_fails(ft_tokenizer_set_special(tokenizer, "eos", "</s>"), FT_E_INPUT, "eos_token '</s>' is not in the vocabulary");
    ft_tokenizer_free(tokenizer);
}

static void tokens_are_found_by_name_and_skipped_when_special(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    ft_ids ids = t_ids(tokenizer, "the<|eot_id|> layer", FT_TOKENIZE_SPECIAL | FT_TOKENIZE_BOS);
    char *text;
    size_t bytes;
    t_ok(ft_detokenize(tokenizer, ids.items, ids.n, true, &text, &bytes));
    assert_string_equal(text, "the layer");
    ft_free(text);
    ft_ids_free(&ids);
    int32_t id = ft_tokenizer_id(tokenizer, "Ġunreachable");
    const char *raw = ft_token_bytes(tokenizer, id, &bytes);
    assert_int_equal(bytes, 12);
    assert_memory_equal(raw, " unreachable", 12);
    assert_int_equal(ft_tokenizer_id(tokenizer, "no such token"), -1);
    assert_null(ft_token_bytes(tokenizer, ft_tokenizer_vocab(tokenizer), &bytes));
    assert_null(ft_token_bytes(tokenizer, -1, &bytes));
    ft_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_text_counts_only_when_asked),
        cmocka_unit_test(bos_is_put_first_once),
        cmocka_unit_test(a_named_bos_without_template_is_not_added),
        cmocka_unit_test(names_come_from_the_first_file_that_has_them),
        cmocka_unit_test(wrong_names_are_reported),
        cmocka_unit_test(the_config_may_name_other_tokens),
        cmocka_unit_test(tokens_are_found_by_name_and_skipped_when_special),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
