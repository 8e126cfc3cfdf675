// tokenizer.json. A tokenizer that is accepted tokenizes a text that meets every part of it, and gives ids of its own.
#include "tokenizer/tokenizer.h"
#include "fuzz/fuzz.h"

static const char text[] = " Hello  world\xC2\xA0" "12345's\n\n\te\xCC\x81 \xE2\x96\x81 <s></s>\xF0\x9F\x98\x80\xFF\xE4\xB8\xAD<|x|> aaaaaaaa";

static void use(const ft_tokenizer *tokenizer)
{
    ft_ids ids = {0};
    ft_ends ends = {0};
    char *back = NULL;
    size_t bytes;
    if (ft_tokenize_ends(tokenizer, text, sizeof text - 1, FT_TOKENIZE_BOS | FT_TOKENIZE_SPECIAL, &ids, &ends) == FT_OK) {
        FUZZ_CHECK(ends.n == ids.n);
        for (int64_t i = 0; i < ids.n; i++) {
            FUZZ_CHECK(ids.items[i] >= 0);
            FUZZ_CHECK(ends.items[i] >= (i > 0 ? ends.items[i - 1] : 0) && ends.items[i] <= (int64_t)sizeof text - 1);
            ft_token_bytes(tokenizer, ids.items[i], &bytes);
        }
        if (ft_detokenize(tokenizer, ids.items, ids.n, true, &back, &bytes) == FT_OK) FUZZ_CHECK(back[bytes] == 0);
    }
    free(back);
    ft_ids_free(&ids);
    ft_ends_free(&ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ft_tokenizer *tokenizer;
    if (ft_tokenizer_open(&tokenizer, fuzz_file(data, size)) != FT_OK) return 0;
    use(tokenizer);
    ft_tokenizer_free(tokenizer);
    return 0;
}
