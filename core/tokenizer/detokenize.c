// Ids -> text.
#include <string.h>

#include "common/memory.h"
#include "common/text.h"
#include "tokenizer/tokenizer_impl.h"

const char *ft_token_bytes(const ft_tokenizer *tokenizer, int32_t id, size_t *bytes)
{
    return ft_vocab_bytes(tokenizer->bpe.characters ? &tokenizer->shown : &tokenizer->vocab, id, bytes);
}

// A first token under Metaspace: what is left of it without U+2581.
static ft_status add_without_spaces(const ft_tokenizer *tokenizer, int32_t id, ft_text *out)
{
    size_t bytes;
    const char *token = ft_vocab_bytes(&tokenizer->vocab, id, &bytes), *end = token + bytes;
    while (token < end) {
        const char *space = memmem(token, (size_t)(end - token), FT_METASPACE, FT_METASPACE_BYTES);
        FT_TRY(ft_text_add(out, token, (size_t)((space ? space : end) - token)));
        token = space ? space + FT_METASPACE_BYTES : end;
    }
    return FT_OK;
}

static ft_status add_tokens(const ft_tokenizer *tokenizer, const int32_t *ids, int64_t n, bool skip_special, ft_text *out)
{
    bool first = tokenizer->decoder.drops_first_spaces;
    for (int64_t i = 0; i < n; i++) {
        size_t bytes;
        const char *token = ft_token_bytes(tokenizer, ids[i], &bytes);
        if (token == NULL || (skip_special && ft_tokenizer_is_special(tokenizer, ids[i]))) continue;
        FT_TRY(first ? add_without_spaces(tokenizer, ids[i], out) : ft_text_add(out, token, bytes));
        first = false;
    }
    return FT_OK;
}

static void strip_start(const ft_decoder *decoder, ft_text *out)
{
    size_t n = decoder->strip ? strlen(decoder->strip) : 0, at = 0;
    for (int i = 0; i < decoder->strip_most && at + n <= out->length; i++) {
        if (memcmp(out->data + at, decoder->strip, n) != 0) break;
        at += n;
    }
    if (at == 0) return;
    out->length -= at;
    memmove(out->data, out->data + at, out->length + 1);
}

ft_status ft_detokenize(const ft_tokenizer *tokenizer, const int32_t *ids, int64_t n, bool skip_special, char **text,
                        size_t *bytes)
{
    ft_text out = {0};
    ft_status status = add_tokens(tokenizer, ids, n, skip_special, &out);
    if (status != FT_OK) {
        ft_text_free(&out);
        return status;
    }
    strip_start(&tokenizer->decoder, &out);
    *bytes = out.length;
    *text = out.data != NULL ? out.data : ft_strdup("");
    return *text != NULL ? FT_OK : FT_E_NOMEM;
}
