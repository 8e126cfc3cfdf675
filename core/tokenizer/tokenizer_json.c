// Reading tokenizer.json. Parts, in the order text meets them: added_tokens, normalizer, pre_tokenizer, model, post_processor,
// decoder. `truncation` and `padding` are settings of a call, which transformers overrides on every call, and are not used.
#include <string.h>

#include "tokenizer/tokenizer_impl.h"

const char *ft_json_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

const char *ft_json_type(const json_t *object)
{
    const char *type = ft_json_string(object, "type");
    return type ? type : "(no type)";
}

bool ft_json_true(const json_t *object, const char *key, bool absent)
{
    const json_t *value = json_object_get(object, key);
    return value == NULL || json_is_null(value) ? absent : json_is_true(value);
}

ft_status ft_json_refuse(const json_t *object, const char *key, const char *what)
{
    const json_t *value = json_object_get(object, key);
    bool idle = value == NULL || json_is_null(value) || json_is_false(value) ||
                (json_is_number(value) && json_number_value(value) == 0) ||
                (json_is_string(value) && json_string_length(value) == 0);
    return idle ? FT_OK : ft_error(FT_E_UNSUPPORTED, "%s: '%s' is not implemented", what, key);
}

static ft_status read_parts(ft_tokenizer *tokenizer, const json_t *root)
{
    if (!json_is_object(json_object_get(root, "model"))) return ft_error(FT_E_INPUT, "not a tokenizer: it has no 'model'");
    FT_TRY(ft_tokenizer_read_normalizer(tokenizer, json_object_get(root, "normalizer")));
    FT_TRY(ft_tokenizer_read_pretokenizer(tokenizer, json_object_get(root, "pre_tokenizer")));
    FT_TRY(ft_tokenizer_read_model(tokenizer, json_object_get(root, "model")));
    FT_TRY(ft_tokenizer_read_added(tokenizer, json_object_get(root, "added_tokens")));
    FT_TRY(ft_tokenizer_read_decoder(tokenizer, json_object_get(root, "decoder")));
    FT_TRY(ft_tokenizer_read_post_processor(tokenizer, json_object_get(root, "post_processor")));
    return ft_tokenizer_fill_shown(tokenizer);
}

ft_status ft_tokenizer_parse(ft_tokenizer *tokenizer, const char *text, size_t bytes)
{
    json_error_t error;
    json_t *root = json_loadb(text, bytes, JSON_ALLOW_NUL, &error);
    if (root == NULL) return ft_error(FT_E_INPUT, "line %d is not JSON: %s", error.line, error.text);
    ft_status status = read_parts(tokenizer, root);
    json_decref(root);
    return status;
}
