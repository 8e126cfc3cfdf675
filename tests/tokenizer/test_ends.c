// Each id says where its text ends in the text that was given.
#include "data/t_data.h"

static json_t *cases;

static int load_cases(void **state)
{
    cases = t_json_lines(GOLDEN "cases.jsonl");
    return json_array_size(cases) < 200;
}

static int free_cases(void **state)
{
    json_decref(cases);
    return 0;
}

static void assert_in_order(const ft_ids *ids, const ft_ends *ends, size_t bytes)
{
    assert_int_equal(ids->n, ends->n);
    for (int64_t i = 0; i < ends->n; i++) assert_true(ends->items[i] >= (i > 0 ? ends->items[i - 1] : 0));
    if (ends->n > 0) assert_true(ends->items[ends->n - 1] <= (int64_t)bytes);
}

static void for_each_text(const char *name, unsigned flags,
                          void (*check)(const ft_tokenizer *, const char *, size_t, const ft_ids *, const ft_ends *))
{
    ft_tokenizer *tokenizer = t_tokenizer(name);
    size_t i;
    json_t *item;
    json_array_foreach(cases, i, item) {
        const json_t *text = json_object_get(item, "text");
        ft_ids ids = {0}, plain = {0};
        ft_ends ends = {0};
        t_ok(ft_tokenize_ends(tokenizer, json_string_value(text), json_string_length(text), flags, &ids, &ends));
        t_ok(ft_tokenize(tokenizer, json_string_value(text), json_string_length(text), flags, &plain));
        assert_int_equal(ids.n, plain.n);
        if (ids.n > 0) assert_memory_equal(ids.items, plain.items, (size_t)ids.n * sizeof *ids.items);
        assert_in_order(&ids, &ends, json_string_length(text));
        check(tokenizer, json_string_value(text), json_string_length(text), &ids, &ends);
        ft_ids_free(&ids);
        ft_ids_free(&plain);
        ft_ends_free(&ends);
    }
    ft_tokenizer_free(tokenizer);
}

static void assert_spelled_by_bytes(const ft_tokenizer *tokenizer, const char *text, size_t bytes, const ft_ids *ids,
                                    const ft_ends *ends)
{
    int64_t begin = 0;
    for (int64_t i = 0; i < ids->n; begin = ends->items[i++]) {
        size_t n;
        const char *token = ft_token_bytes(tokenizer, ids->items[i], &n);
        assert_int_equal(ends->items[i] - begin, n);
        assert_memory_equal(text + begin, token, n);
    }
    assert_int_equal(begin, bytes);
}

static void a_token_is_the_bytes_up_to_its_end(void **state)
{
    for_each_text("llama3", FT_TOKENIZE_SPECIAL, assert_spelled_by_bytes);
    for_each_text("llama3", 0, assert_spelled_by_bytes);
}

static void assert_found_in_its_span(const ft_tokenizer *tokenizer, const char *text, size_t bytes, const ft_ids *ids,
                                     const ft_ends *ends)
{
    int64_t begin = 0;
    for (int64_t i = 0; i < ids->n; begin = ends->items[i++]) {
        size_t n;
        const char *token = ft_token_bytes(tokenizer, ids->items[i], &n);
        if (ends->items[i] - begin == (int64_t)n) continue;  // an unknown token, or bytes that vanished in it
        if (ids->items[i] == ft_tokenizer_id(tokenizer, "<|endoftext|>")) continue;
        assert_true(ends->items[i] - begin > (int64_t)n);
        size_t found = 0;
        for (int64_t at = begin; at < ends->items[i] && found < n; at++) found += text[at] == token[found];
        assert_int_equal(found, n);
    }
}

static void bytes_without_a_token_fall_to_their_neighbour(void **state)
{
    for_each_text("smollm", FT_TOKENIZE_SPECIAL, assert_found_in_its_span);
    for_each_text("unknown", FT_TOKENIZE_SPECIAL, assert_found_in_its_span);
}

static void bos_ends_at_zero_unless_the_text_has_it(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    const char *const texts[] = {"the layer", "<|begin_of_text|>the layer"};
    for (int64_t i = 0; i < 2; i++) {
        ft_ids ids = {0};
        ft_ends ends = {0};
        t_ok(ft_tokenize_ends(tokenizer, texts[i], strlen(texts[i]), FT_TOKENIZE_BOS | FT_TOKENIZE_SPECIAL, &ids, &ends));
        assert_in_order(&ids, &ends, strlen(texts[i]));
        assert_int_equal(ids.items[0], ft_tokenizer_bos(tokenizer));
        assert_int_equal(ends.items[0], i == 0 ? 0 : 17);
        assert_int_equal(ends.items[ends.n - 1], strlen(texts[i]));
        ft_ids_free(&ids);
        ft_ends_free(&ends);
    }
    ft_tokenizer_free(tokenizer);
}

static void assert_ends(const ft_tokenizer *tokenizer, const char *text, const int64_t *expected, int64_t n)
{
    ft_ids ids = {0};
    ft_ends ends = {0};
    t_ok(ft_tokenize_ends(tokenizer, text, strlen(text), FT_TOKENIZE_SPECIAL, &ids, &ends));
    assert_in_order(&ids, &ends, strlen(text));
    assert_int_equal(ends.n, n);
    for (int64_t i = 0; i < n; i++) assert_int_equal(ends.items[i], expected[i]);
    ft_ids_free(&ids);
    ft_ends_free(&ends);
}

// Every byte of the text belongs to a token where every unit has one.
static void assert_covered(const ft_tokenizer *tokenizer, const char *text, size_t bytes, const ft_ids *ids, const ft_ends *ends)
{
    if (ends->n > 0) assert_int_equal(ends->items[ends->n - 1], bytes);
}

static void ends_are_counted_in_the_text_before_it_was_normalized(void **state)
{
    ft_tokenizer *spm = t_tokenizer("spm"), *qwen = t_tokenizer("qwen");
    assert_ends(spm, "layer", (const int64_t[]){5}, 1);                      // the added token; nothing is left to prefix
    assert_ends(spm, "the the", (const int64_t[]){3, 7}, 2);                 // "▁the", "▁the"
    assert_ends(spm, "a </s>", (const int64_t[]){1, 2, 6}, 3);               // "▁a", "▁", "</s>"
    assert_ends(spm, " <|eot_id|>a", (const int64_t[]){11, 12}, 2);          // takes the space before it; "▁a"
    assert_ends(spm, "\u65E5", (const int64_t[]){0, 1, 2, 3}, 4);            // "▁" and three bytes
    assert_ends(qwen, "e\u0301<|eot_id|>", (const int64_t[]){3, 13}, 2);     // composed to one token
    assert_ends(qwen, "re\u0301seau", (const int64_t[]){8}, 1);
    for_each_text("spm", FT_TOKENIZE_SPECIAL, assert_covered);
    for_each_text("qwen", FT_TOKENIZE_SPECIAL, assert_covered);
    ft_tokenizer_free(spm);
    ft_tokenizer_free(qwen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_the_bytes_up_to_its_end),
        cmocka_unit_test(bytes_without_a_token_fall_to_their_neighbour),
        cmocka_unit_test(bos_ends_at_zero_unless_the_text_has_it),
        cmocka_unit_test(ends_are_counted_in_the_text_before_it_was_normalized),
    };
    return cmocka_run_group_tests(tests, load_cases, free_cases);
}
