// The `post_processor` of tokenizer.json: which token it puts in front of a text.
#include <string.h>

#include "tokenizer/tokenizer_impl.h"

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
        const char *special = ft_json_string(json_object_get(piece, "SpecialToken"), "id");
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

ft_status ft_tokenizer_read_post_processor(ft_tokenizer *tokenizer, const json_t *processor)
{
    if (processor == NULL || json_is_null(processor)) return FT_OK;
    const char *type = ft_json_type(processor);
    if (strcmp(type, "ByteLevel") == 0) return FT_OK;  // moves offsets, not ids
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(tokenizer, processor);
    if (strcmp(type, "Sequence") != 0) return ft_error(FT_E_UNSUPPORTED, "post_processor %s is not implemented", type);
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(processor, "processors"), i, part) FT_TRY(ft_tokenizer_read_post_processor(tokenizer, part));
    return FT_OK;
}
