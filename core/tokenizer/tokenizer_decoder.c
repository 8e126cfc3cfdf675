// The `decoder` of tokenizer.json: ByteLevel; Metaspace; or Replace, ByteFallback, Fuse, Strip in a Sequence, in that order.
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/text.h"
#include "tokenizer/tokenizer_impl.h"

void ft_decoder_free(ft_decoder *decoder)
{
    ft_free(decoder->from);
    ft_free(decoder->to);
    ft_free(decoder->strip);
    *decoder = (ft_decoder){0};
}

static ft_status set_replace(ft_decoder *decoder, const char *from, const char *to)
{
    if (decoder->from != NULL) return ft_error(FT_E_UNSUPPORTED, "decoder Replace stands there twice");
    decoder->from = ft_strdup(from);
    decoder->to = ft_strdup(to);
    return decoder->from && decoder->to ? FT_OK : FT_E_NOMEM;
}

static ft_status add_replace(ft_decoder *decoder, const json_t *step)
{
    const char *from = ft_json_string(json_object_get(step, "pattern"), "String"), *to = ft_json_string(step, "content");
    if (from == NULL || *from == 0 || to == NULL)
        return ft_error(FT_E_UNSUPPORTED, "decoder Replace: only a String pattern is implemented");
    return set_replace(decoder, from, to);
}

static ft_status add_metaspace(ft_decoder *decoder, const json_t *step)
{
    const char *scheme = ft_json_string(step, "prepend_scheme"), *replacement = ft_json_string(step, "replacement");
    bool never = scheme ? strcmp(scheme, "never") == 0 : !ft_json_true(step, "add_prefix_space", true);
    if (replacement == NULL || strcmp(replacement, FT_METASPACE) != 0)
        return ft_error(FT_E_UNSUPPORTED, "decoder Metaspace: only the replacement U+2581 is implemented");
    decoder->drops_first_spaces = !never;
    return set_replace(decoder, FT_METASPACE, " ");
}

static ft_status add_strip(ft_decoder *decoder, const json_t *step, bool fused)
{
    const char *content = ft_json_string(step, "content");
    int64_t start = json_integer_value(json_object_get(step, "start"));
    if (content == NULL || *content == 0 || start < 0 || start > 1000 || !fused ||
        json_integer_value(json_object_get(step, "stop")) != 0)
        return ft_error(FT_E_UNSUPPORTED, "decoder Strip: only the start of the whole text is implemented");
    ft_free(decoder->strip);
    decoder->strip = ft_strdup(content);
    decoder->strip_most = (int)start;
    return decoder->strip ? FT_OK : FT_E_NOMEM;
}

static ft_status add_step(ft_decoder *decoder, const json_t *step, bool fused)
{
    const char *type = ft_json_type(step);
    if (strcmp(type, "Replace") == 0 && !fused) return add_replace(decoder, step);
    if (strcmp(type, "Metaspace") == 0 && !fused) return add_metaspace(decoder, step);
    if (strcmp(type, "Strip") == 0) return add_strip(decoder, step, fused);
    if (strcmp(type, "Fuse") == 0 || strcmp(type, "ByteLevel") == 0) return FT_OK;
    if (strcmp(type, "ByteFallback") != 0 || fused) return ft_error(FT_E_UNSUPPORTED, "decoder %s is not implemented", type);
    decoder->byte_fallback = true;
    return FT_OK;
}

// Byte-level tokens are bytes already.
static ft_status check_byte_level(const json_t *decoder)
{
    if (decoder == NULL || json_is_null(decoder) || strcmp(ft_json_type(decoder), "ByteLevel") == 0) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "decoder %s is not implemented for byte-level tokens", ft_json_type(decoder));
}

ft_status ft_tokenizer_read_decoder(ft_tokenizer *tokenizer, const json_t *decoder)
{
    if (!tokenizer->bpe.characters) return check_byte_level(decoder);
    if (decoder == NULL || json_is_null(decoder)) return FT_OK;
    if (strcmp(ft_json_type(decoder), "Sequence") != 0) return add_step(&tokenizer->decoder, decoder, false);
    size_t i;
    json_t *step;
    bool fused = false;
    json_array_foreach(json_object_get(decoder, "decoders"), i, step) {
        FT_TRY(add_step(&tokenizer->decoder, step, fused));
        fused |= strcmp(ft_json_type(step), "Fuse") == 0;
    }
    return FT_OK;
}

// The byte that "<0xE2>" stands for, -1 for other tokens.
static int fallback_byte(const char *token, size_t bytes)
{
    char digits[3] = {0}, *end;
    if (bytes != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>') return -1;
    memcpy(digits, token + 3, 2);
    long byte = strtol(digits, &end, 16);
    return end == digits + 2 && digits[0] != '+' && digits[0] != '-' && digits[0] != ' ' ? (int)byte : -1;
}

static ft_status decode_token(const ft_decoder *decoder, const char *token, size_t bytes, ft_text *out)
{
    int byte = decoder->byte_fallback ? fallback_byte(token, bytes) : -1;
    if (byte >= 0) return ft_text_add(out, &(char){(char)byte}, 1);
    const char *end = token + bytes, *found;
    while (decoder->from && (found = memmem(token, (size_t)(end - token), decoder->from, strlen(decoder->from))) != NULL) {
        FT_TRY(ft_text_add(out, token, (size_t)(found - token)));
        FT_TRY(ft_text_add(out, decoder->to, strlen(decoder->to)));
        token = found + strlen(decoder->from);
    }
    return ft_text_add(out, token, (size_t)(end - token));
}

static ft_status show_token(ft_tokenizer *tokenizer, int32_t id, const char *token, size_t bytes, ft_text *scratch)
{
    scratch->length = 0;
    FT_TRY(decode_token(&tokenizer->decoder, token, bytes, scratch));
    return ft_vocab_put(&tokenizer->shown, id, scratch->data, scratch->length);
}

// A `normalized` added token decodes from what it was normalized to, as in the reference.
ft_status ft_tokenizer_fill_shown(ft_tokenizer *tokenizer)
{
    ft_text scratch = {0};
    ft_status status = FT_OK;
    if (!tokenizer->bpe.characters) return FT_OK;
    for (int32_t id = 0; id < tokenizer->vocab.n && status == FT_OK; id++) {
        size_t bytes;
        const char *token = ft_vocab_bytes(&tokenizer->vocab, id, &bytes);
        if (token != NULL) status = show_token(tokenizer, id, token, bytes, &scratch);
    }
    for (int i = 0; i < tokenizer->added.n && status == FT_OK; i++) {
        const ft_added_token *token = &tokenizer->added.items[i];
        if (token->normalized) status = show_token(tokenizer, token->id, token->text, token->bytes, &scratch);
    }
    ft_text_free(&scratch);
    return status;
}
