// Reading tokenizer.json. Parts, in the order text meets them: added_tokens, normalizer, pre_tokenizer, model, post_processor,
// decoder. `truncation` and `padding` are settings of a call, which transformers overrides on every call, and are not used.
#include <string.h>

#include "common/memory.h"
#include "data/tokenizer_impl.h"

const char *ft_json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
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

static const char *type_of(const json_t *object)
{
    const char *type = ft_json_text(object, "type");
    return type ? type : "(no type)";
}

static ft_status read_added_token(ft_tokenizer *tokenizer, const json_t *entry)
{
    const char *content = ft_json_text(entry, "content");
    const json_t *id = json_object_get(entry, "id");
    if (content == NULL || !json_is_integer(id))
        return ft_error(FT_E_INPUT, "added_tokens: an entry has no 'id' and 'content'");
    if (*content == 0) return FT_OK;  // matches nothing
    char what[128];
    snprintf(what, sizeof what, "added token '%.80s'", content);
    FT_TRY(ft_json_refuse(entry, "single_word", what));
    FT_TRY(ft_json_refuse(entry, "lstrip", what));
    FT_TRY(ft_json_refuse(entry, "rstrip", what));
    FT_TRY(ft_vocab_put(&tokenizer->vocab, json_integer_value(id), content, strlen(content)));
    int32_t token = (int32_t)json_integer_value(id);
    tokenizer->vocab.tokens[token].special = ft_json_true(entry, "special", false);
    return ft_added_tokens_add(&tokenizer->added, &tokenizer->vocab, token, ft_json_true(entry, "normalized", false));
}

static ft_status read_added_tokens(ft_tokenizer *tokenizer, const json_t *list)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) FT_TRY(read_added_token(tokenizer, entry));
    ft_added_tokens_sort(&tokenizer->added, &tokenizer->vocab);
    return FT_OK;
}

static ft_status check_normalizer(const json_t *normalizer)
{
    if (normalizer == NULL || json_is_null(normalizer)) return FT_OK;
    const json_t *parts = json_object_get(normalizer, "normalizers");
    if (json_is_array(parts) && json_array_size(parts) == 0) return FT_OK;
    if (json_is_array(parts)) normalizer = json_array_get(parts, 0);
    return ft_error(FT_E_UNSUPPORTED, "normalizer %s is not implemented", type_of(normalizer));
}

static ft_status check_decoder(const json_t *decoder)
{
    if (decoder == NULL || json_is_null(decoder) || strcmp(type_of(decoder), "ByteLevel") == 0) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "decoder %s is not implemented", type_of(decoder));
}

static ft_status read_template_token(ft_tokenizer *tokenizer, const json_t *template, const char *name)
{
    const json_t *special = json_object_get(json_object_get(template, "special_tokens"), name);
    const json_t *ids = json_object_get(special, "ids");
    if (json_array_size(ids) != 1) return ft_error(FT_E_UNSUPPORTED, "post_processor: '%.80s' is not one token", name);
    json_int_t id = json_integer_value(json_array_get(ids, 0));
    if (id < 0 || id >= tokenizer->vocab.n)
        return ft_error(FT_E_INPUT, "post_processor: '%.80s' is not in the vocabulary", name);
    tokenizer->bos = (int32_t)id;
    tokenizer->adds_bos = true;
    return FT_OK;
}

// Implemented: [BOS] text [one closing token]. The closing token is not added here: who wants EOS asks for it.
static ft_status read_template(ft_tokenizer *tokenizer, const json_t *template)
{
    const json_t *single = json_object_get(template, "single");
    bool seen_text = false;
    int before = 0, after = 0;
    size_t i;
    json_t *piece;
    json_array_foreach(single, i, piece) {
        const char *special = ft_json_text(json_object_get(piece, "SpecialToken"), "id");
        if (special == NULL) seen_text = true;
        else if (seen_text) after++;
        else if (before++ == 0) FT_TRY(read_template_token(tokenizer, template, special));
    }
    if (!seen_text || before > 1 || after > 1) {
        return ft_error(FT_E_UNSUPPORTED,
                        "post_processor TemplateProcessing with %d tokens before and %d after the text is not implemented",
                        before, after);
    }
    return FT_OK;
}

static ft_status read_post_processor(ft_tokenizer *tokenizer, const json_t *processor)
{
    if (processor == NULL || json_is_null(processor)) return FT_OK;
    const char *type = type_of(processor);
    if (strcmp(type, "ByteLevel") == 0) return FT_OK;  // moves offsets, not ids
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(tokenizer, processor);
    if (strcmp(type, "Sequence") != 0) return ft_error(FT_E_UNSUPPORTED, "post_processor %s is not implemented", type);
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(processor, "processors"), i, part) FT_TRY(read_post_processor(tokenizer, part));
    return FT_OK;
}

static ft_status read_parts(ft_tokenizer *tokenizer, const json_t *root)
{
    if (!json_is_object(json_object_get(root, "model"))) return ft_error(FT_E_INPUT, "not a tokenizer: it has no 'model'");
    FT_TRY(check_normalizer(json_object_get(root, "normalizer")));
    FT_TRY(ft_tokenizer_read_pretokenizer(tokenizer, json_object_get(root, "pre_tokenizer")));
    FT_TRY(ft_tokenizer_read_model(tokenizer, json_object_get(root, "model")));
    FT_TRY(read_added_tokens(tokenizer, json_object_get(root, "added_tokens")));
    FT_TRY(check_decoder(json_object_get(root, "decoder")));
    return read_post_processor(tokenizer, json_object_get(root, "post_processor"));
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
