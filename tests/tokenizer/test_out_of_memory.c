// Whichever allocation fails, opening a tokenizer and using it fail with FT_E_NOMEM and give back what they took
// (AddressSanitizer's leak check sees the rest).
#include "data/t_data.h"

static const char *opened;

static ft_status open_and_tokenize(void)
{
    static const char text[] = " the layer e\u0323\u0301 \u65E5\u65E5 <s>";
    ft_tokenizer *tokenizer;
    ft_ids ids = {0};
    ft_ends ends = {0};
    char *decoded = NULL;
    size_t bytes;
    ft_status status = ft_tokenizer_open(&tokenizer, opened);
    if (status == FT_OK) status = ft_tokenize_ends(tokenizer, text, strlen(text), FT_TOKENIZE_BOS, &ids, &ends);
    if (status == FT_OK) status = ft_detokenize(tokenizer, ids.items, ids.n, true, &decoded, &bytes);
    if (status == FT_OK) ft_free(decoded);
    ft_ids_free(&ids);
    ft_ends_free(&ends);
    ft_tokenizer_free(tokenizer);
    return status;
}

static void each_failing_allocation_is_reported(void **state)
{
    static const char *const names[] = {GOLDEN "spm", GOLDEN "spm_first", GOLDEN "spm_split", GOLDEN "qwen"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        opened = names[i];
        assert_true(t_fail_each(open_and_tokenize) >= 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_failing_allocation_is_reported)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
