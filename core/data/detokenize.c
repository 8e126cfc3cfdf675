#include "common/text.h"
#include "common/memory.h"
#include "data/tokenizer.h"

ft_status ft_detokenize(const ft_tokenizer *tokenizer, const int32_t *ids, int64_t n, bool skip_special, char **text,
                        size_t *bytes)
{
    ft_text out = {0};
    for (int64_t i = 0; i < n; i++) {
        size_t length;
        const char *token = ft_token_bytes(tokenizer, ids[i], &length);
        if (token == NULL || (skip_special && ft_tokenizer_is_special(tokenizer, ids[i]))) continue;
        ft_status status = ft_text_add(&out, token, length);
        if (status != FT_OK) {
            ft_text_free(&out);
            return status;
        }
    }
    *bytes = out.length;
    *text = out.data != NULL ? out.data : ft_strdup("");
    return *text != NULL ? FT_OK : FT_E_NOMEM;
}
