// The `normalizer` of tokenizer.json: NFC, Prepend, Replace of a string, and Sequences of them.
#include <string.h>

#include "tokenizer/tokenizer_impl.h"

static ft_status add_replace(ft_normalizer *normalizer, const json_t *step)
{
    const char *from = ft_json_string(json_object_get(step, "pattern"), "String"), *to = ft_json_string(step, "content");
    if (from == NULL) return ft_error(FT_E_UNSUPPORTED, "normalizer Replace: only a String pattern is implemented");
    if (to == NULL) return ft_error(FT_E_INPUT, "normalizer Replace has no 'content'");
    return ft_normalizer_add(normalizer, FT_NORMALIZE_REPLACE, from, to);
}

static ft_status add_prepend(ft_normalizer *normalizer, const json_t *step)
{
    const char *text = ft_json_string(step, "prepend");
    if (text == NULL) return ft_error(FT_E_INPUT, "normalizer Prepend has no 'prepend'");
    return ft_normalizer_add(normalizer, FT_NORMALIZE_PREPEND, NULL, text);
}

static ft_status add_step(ft_normalizer *normalizer, const json_t *step)
{
    const char *type = ft_json_type(step);
    if (strcmp(type, "NFC") == 0) return ft_normalizer_add(normalizer, FT_NORMALIZE_NFC, NULL, NULL);
    if (strcmp(type, "Prepend") == 0) return add_prepend(normalizer, step);
    if (strcmp(type, "Replace") == 0) return add_replace(normalizer, step);
    return ft_error(FT_E_UNSUPPORTED, "normalizer %s is not implemented", type);
}

ft_status ft_tokenizer_read_normalizer(ft_tokenizer *tokenizer, const json_t *normalizer)
{
    if (normalizer == NULL || json_is_null(normalizer)) return FT_OK;
    if (strcmp(ft_json_type(normalizer), "Sequence") != 0) return add_step(&tokenizer->normalizer, normalizer);
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(normalizer, "normalizers"), i, step) FT_TRY(add_step(&tokenizer->normalizer, step));
    return FT_OK;
}
