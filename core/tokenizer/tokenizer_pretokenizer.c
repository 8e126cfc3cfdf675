// The `pre_tokenizer` of tokenizer.json. Either Split by a regular expression, Digits, ByteLevel, or a Sequence of them that ends
// in ByteLevel: each becomes a regular-expression stage, and ByteLevel's alphabet itself is in the vocabulary's bytes. Or
// Metaspace, or nothing: the vocabulary is one of characters.
#include <string.h>

#include "tokenizer/tokenizer_impl.h"

static ft_status add_split(ft_tokenizer *tokenizer, const json_t *split)
{
    const char *pattern = ft_json_string(json_object_get(split, "pattern"), "Regex");
    const char *behavior = ft_json_string(split, "behavior");
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
    return ft_pretokenizer_add(&tokenizer->pretokenizer, FT_PATTERN_GPT2);
}

// The stages of a byte-level pre-tokenizer.
static ft_status add_stage(ft_tokenizer *tokenizer, const json_t *stage, bool last)
{
    const char *type = ft_json_type(stage);
    if (last) return add_byte_level(tokenizer, stage);
    if (strcmp(type, "Split") == 0) return add_split(tokenizer, stage);
    if (strcmp(type, "Digits") == 0) return add_digits(tokenizer, stage);
    return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer %s before ByteLevel is not implemented", type);
}

// Where a Replace changed the start of a text, the reference no longer takes it for the start; only Replace by U+2581, which needs
// no prefix, is safe from that.
static ft_status check_first(const ft_normalizer *normalizer)
{
    for (int i = 0; i < normalizer->n; i++) {
        const ft_normalize_step *step = &normalizer->steps[i];
        if (step->kind != FT_NORMALIZE_REPLACE || strncmp(step->to, FT_METASPACE, FT_METASPACE_BYTES) == 0) continue;
        return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer Metaspace: prepend_scheme 'first' after normalizer Replace by '%.40s' is "
                        "not implemented", step->to);
    }
    return FT_OK;
}

// Old files say add_prefix_space where new ones name a scheme.
static ft_status read_metaspace(ft_tokenizer *tokenizer, const json_t *stage)
{
    const char *replacement = ft_json_string(stage, "replacement"), *scheme = ft_json_string(stage, "prepend_scheme");
    if (replacement == NULL || strcmp(replacement, FT_METASPACE) != 0)
        return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer Metaspace: only the replacement U+2581 is implemented");
    if (scheme == NULL) scheme = ft_json_true(stage, "add_prefix_space", true) ? "always" : "never";
    if (strcmp(scheme, "always") == 0) tokenizer->metaspace = FT_METASPACE_ALWAYS;
    else if (strcmp(scheme, "first") == 0) tokenizer->metaspace = FT_METASPACE_FIRST;
    else if (strcmp(scheme, "never") == 0) tokenizer->metaspace = FT_METASPACE_NEVER;
    else return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer Metaspace: prepend_scheme '%s' is not implemented", scheme);
    tokenizer->metaspace_splits = ft_json_true(stage, "split", true);
    return tokenizer->metaspace == FT_METASPACE_FIRST ? check_first(&tokenizer->normalizer) : FT_OK;
}

static ft_status read_stages(ft_tokenizer *tokenizer, const json_t *const *stages, size_t n)
{
    const char *last = ft_json_type(stages[n - 1]);
    if (strcmp(last, "Metaspace") == 0 && n == 1) {
        tokenizer->bpe.characters = true;
        return read_metaspace(tokenizer, stages[0]);
    }
    if (strcmp(last, "ByteLevel") != 0) {
        return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer ends in %s: only ByteLevel, or Metaspace alone, is implemented", last);
    }
    for (size_t i = 0; i < n; i++) FT_TRY(add_stage(tokenizer, stages[i], i + 1 == n));
    return FT_OK;
}

ft_status ft_tokenizer_read_pretokenizer(ft_tokenizer *tokenizer, const json_t *pre_tokenizer)
{
    const json_t *stages[FT_PRETOKENIZE_STAGES] = {pre_tokenizer};
    if (pre_tokenizer == NULL || json_is_null(pre_tokenizer)) {
        tokenizer->bpe.characters = true;  // a piece of text is one word
        return FT_OK;
    }
    if (strcmp(ft_json_type(pre_tokenizer), "Sequence") != 0) return read_stages(tokenizer, stages, 1);
    const json_t *list = json_object_get(pre_tokenizer, "pretokenizers");
    size_t n = json_array_size(list);
    if (n == 0) return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer Sequence is empty");
    if (n > FT_PRETOKENIZE_STAGES) {
        return ft_error(FT_E_UNSUPPORTED, "pre_tokenizer has more than %d stages", FT_PRETOKENIZE_STAGES);
    }
    for (size_t i = 0; i < n; i++) stages[i] = json_array_get(list, i);
    return read_stages(tokenizer, stages, n);
}
