// The `pre_tokenizer` of tokenizer.json: Split by a regular expression, Digits, ByteLevel, or a Sequence of them that ends in
// ByteLevel. Each becomes regular-expression stages; ByteLevel's alphabet itself is in the vocabulary's bytes.
#include <string.h>

#include "data/tokenizer_impl.h"

// pre_tokenizers/byte_level.rs of Hugging Face's tokenizers; GPT-2's encoder.py.
#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static ft_status add_split(ft_tokenizer *tokenizer, const json_t *split)
{
    const char *pattern = ft_json_text(json_object_get(split, "pattern"), "Regex");
    const char *behavior = ft_json_text(split, "behavior");
    if (pattern == NULL) return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer Split: only a Regex pattern is implemented");
    if (behavior == NULL || strcmp(behavior, "Isolated") != 0) {
        return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer Split: behavior '%s' is not implemented, only Isolated",
                        behavior ? behavior : "");
    }
    return ft_pretokenizer_add(&tokenizer->pretokenizer, pattern);  // `invert` swaps matches and gaps: all are isolated alike
}

// Rust's char::is_numeric is \p{N}.
static ft_status add_digits(ft_tokenizer *tokenizer, const json_t *digits)
{
    return ft_pretokenizer_add(&tokenizer->pretokenizer,
                               ft_json_true(digits, "individual_digits", false) ? "\\p{N}" : "\\p{N}+");
}

static ft_status add_byte_level(ft_tokenizer *tokenizer, const json_t *byte_level)
{
    if (ft_json_true(byte_level, "add_prefix_space", true)) {
        return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer ByteLevel: 'add_prefix_space' is not implemented");
    }
    if (!ft_json_true(byte_level, "use_regex", true)) return FT_OK;
    return ft_pretokenizer_add(&tokenizer->pretokenizer, GPT2_PATTERN);
}

static ft_status add_stage(ft_tokenizer *tokenizer, const json_t *stage, bool last)
{
    const char *type = ft_json_text(stage, "type");
    if (type == NULL) type = "(no type)";
    if (last && strcmp(type, "ByteLevel") != 0) {
        return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer ends in %s: only byte-level tokenizers are implemented", type);
    }
    if (last) return add_byte_level(tokenizer, stage);
    if (strcmp(type, "Split") == 0) return add_split(tokenizer, stage);
    if (strcmp(type, "Digits") == 0) return add_digits(tokenizer, stage);
    return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer %s is not implemented", type);
}

ft_status ft_tokenizer_read_pretokenizer(ft_tokenizer *tokenizer, const json_t *pre_tokenizer)
{
    const char *type = ft_json_text(pre_tokenizer, "type");
    if (type == NULL) return ft_error(FT_E_UNSUPPORTED, "no pre_tokenizer: only byte-level tokenizers are implemented");
    if (strcmp(type, "Sequence") != 0) return add_stage(tokenizer, pre_tokenizer, true);
    const json_t *stages = json_object_get(pre_tokenizer, "pretokenizers");
    size_t i;
    json_t *stage;
    json_array_foreach(stages, i, stage) FT_TRY(add_stage(tokenizer, stage, i + 1 == json_array_size(stages)));
    if (json_array_size(stages) == 0) return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer Sequence is empty");
    return FT_OK;
}
