// The `added_tokens` of tokenizer.json.
#include <string.h>

#include "tokenizer/tokenizer_impl.h"

// The text of a `normalized` token is what the normalizer makes of it.
static ft_status add_normalized(ft_tokenizer *tokenizer, ft_added_token token)
{
    ft_normalize_work work = {0};
    ft_piece piece, whole = {.text = token.text, .bytes = token.bytes};
    ft_status status = ft_normalize(&tokenizer->normalizer, &work, &whole, false, &piece);
    token.text = (char *)piece.text;
    token.bytes = piece.bytes;
    if (status == FT_OK && token.bytes > 0) status = ft_added_tokens_add(&tokenizer->added, token);
    ft_normalize_work_free(&work);
    return status;
}

ft_status ft_tokenizer_add_token(ft_tokenizer *tokenizer, int64_t id, const char *text, bool special, ft_added_token flags)
{
    ft_added_token token = flags;
    FT_TRY(ft_vocab_put(&tokenizer->vocab, id, text, strlen(text)));
    token.id = (int32_t)id;
    token.text = (char *)text;
    token.bytes = strlen(text);
    tokenizer->vocab.tokens[id].special = special;
    return token.normalized ? add_normalized(tokenizer, token) : ft_added_tokens_add(&tokenizer->added, token);
}

ft_status ft_tokenizer_read_added(ft_tokenizer *tokenizer, const json_t *list)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) {
        const char *content = ft_json_string(entry, "content");
        const json_t *id = json_object_get(entry, "id");
        if (content == NULL || !json_is_integer(id))
            return ft_error(FT_E_INPUT, "added_tokens: an entry has no 'id' and 'content'");
        if (*content == 0) continue;  // matches nothing
        const ft_added_token flags = {.normalized = ft_json_true(entry, "normalized", false),
                                      .lstrip = ft_json_true(entry, "lstrip", false),
                                      .rstrip = ft_json_true(entry, "rstrip", false),
                                      .single_word = ft_json_true(entry, "single_word", false)};
        FT_TRY(ft_tokenizer_add_token(tokenizer, json_integer_value(id), content, ft_json_true(entry, "special", false), flags));
    }
    ft_added_tokens_sort(&tokenizer->added);
    return FT_OK;
}
