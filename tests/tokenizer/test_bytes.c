// Any bytes tokenize and come back; long words merge as short ones do.
#include "data/t_data.h"

#include "tokenizer/bpe.h"
#include "tokenizer/tokenizer_impl.h"

static void assert_round_trip(const ft_tokenizer *tokenizer, const char *text, size_t bytes)
{
    ft_ids ids = {0};
    char *restored;
    size_t n;
    t_ok(ft_tokenize(tokenizer, text, bytes, 0, &ids));
    t_ok(ft_detokenize(tokenizer, ids.items, ids.n, false, &restored, &n));
    assert_int_equal(n, bytes);
    assert_memory_equal(restored, text, bytes);
    ft_free(restored);
    ft_ids_free(&ids);
}

static void random_bytes_come_back(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    uint64_t seed = 3;
    char text[400];
    for (int round = 0; round < 500; round++) {
        size_t n = t_random(&seed) % sizeof text;
        for (size_t i = 0; i < n; i++) text[i] = (char)t_random(&seed);
        assert_round_trip(tokenizer, text, n);
    }
    ft_tokenizer_free(tokenizer);
}

static void malformed_utf8_is_bytes_between_text(void **state)
{
    static const char *const broken[] = {"\x80",     "\xC3",    "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                         "\xE2\x82", "\xFF\xFE"};
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    ft_ids before = t_ids(tokenizer, "the layer", 0), after = t_ids(tokenizer, " the layer", 0);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char text[64];
        snprintf(text, sizeof text, "the layer%s the layer", broken[i]);
        assert_round_trip(tokenizer, text, strlen(text));
        ft_ids ids = t_ids(tokenizer, text, 0);
        assert_memory_equal(ids.items, before.items, (size_t)before.n * sizeof *before.items);
        assert_memory_equal(ids.items + ids.n - after.n, after.items, (size_t)after.n * sizeof *after.items);
        ft_ids_free(&ids);
    }
    ft_ids_free(&before);
    ft_ids_free(&after);
    ft_tokenizer_free(tokenizer);
}

// The definition, in the plainest code: find the lowest rank, leftmost; merge; again.
static void merge_by_definition(const ft_bpe *bpe, ft_ids *word)
{
    for (;;) {
        const ft_merge *best = NULL;
        int64_t at = 0;
        for (int64_t i = 0; i + 1 < word->n; i++) {
            const ft_merge *merge = ft_merge_find(bpe, word->items[i], word->items[i + 1]);
            if (merge == NULL || (best != NULL && merge->rank >= best->rank)) continue;
            best = merge;
            at = i;
        }
        if (best == NULL) return;
        word->items[at] = best->id;
        memmove(word->items + at + 1, word->items + at + 2, (size_t)(word->n - at - 2) * sizeof *word->items);
        word->n--;
    }
}

static void words_of_every_length_merge_by_the_definition(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    const ft_bpe *bpe = &tokenizer->bpe;
    ft_bpe_work work;
    uint64_t seed = 11;
    t_ok(ft_bpe_work_init(&work));
    for (int length = 1; length < 400; length += 1 + length / 40) {
        char word[400];
        for (int i = 0; i < length; i++) word[i] = "etaoinshr "[t_random(&seed) % 10];
        ft_ids got = {0}, expected = {0};
        if (bpe->ignore_merges && ft_vocab_find(bpe->vocab, word, (size_t)length) >= 0) continue;
        t_ok(ft_bpe_encode(bpe, &work, word, (size_t)length, &got));
        for (int i = 0; i < length; i++) t_ok(ft_ids_add(&expected, &bpe->byte_id[(uint8_t)word[i]], 1));
        merge_by_definition(bpe, &expected);
        assert_int_equal(got.n, expected.n);
        assert_memory_equal(got.items, expected.items, (size_t)got.n * sizeof *got.items);
        ft_ids_free(&got);
        ft_ids_free(&expected);
    }
    ft_bpe_work_free(&work);
    ft_tokenizer_free(tokenizer);
}

static void a_megabyte_without_a_space_is_one_word(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    size_t n = 1 << 20;
    char *text = ft_malloc(n);
    memset(text, 'e', n);
    assert_round_trip(tokenizer, text, n);
    ft_free(text);
    ft_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(malformed_utf8_is_bytes_between_text),
        cmocka_unit_test(words_of_every_length_merge_by_the_definition),
        cmocka_unit_test(a_megabyte_without_a_space_is_one_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
