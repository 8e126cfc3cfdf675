// Numbers and texts of GGUF metadata.
#include <string.h>

#include "common/codec.h"
#include "io/gguf_internal.h"

static const struct {
    int bytes;
    bool whole, is_signed;
} types[FT_GGUF_TYPE_COUNT] = {
    [FT_GGUF_U8] = {1, true, false},    [FT_GGUF_I8] = {1, true, true},    [FT_GGUF_U16] = {2, true, false},
    [FT_GGUF_I16] = {2, true, true},    [FT_GGUF_U32] = {4, true, false},  [FT_GGUF_I32] = {4, true, true},
    [FT_GGUF_F32] = {4, false, false},  [FT_GGUF_BOOL] = {1, false, false}, [FT_GGUF_TEXT] = {0, false, false},
    [FT_GGUF_ARRAY] = {0, false, false}, [FT_GGUF_U64] = {8, true, false}, [FT_GGUF_I64] = {8, true, true},
    [FT_GGUF_F64] = {8, false, false},
};

int ft_gguf_type_bytes(ft_gguf_type type) { return types[type].bytes; }

bool ft_gguf_is_integer(const ft_gguf_value *value) { return types[value->type].whole; }

bool ft_gguf_is_real(const ft_gguf_value *value) { return value->type == FT_GGUF_F32 || value->type == FT_GGUF_F64; }

static int64_t truncated(double real)
{
    if (real >= 0x1p63) return INT64_MAX;
    if (real <= -0x1p63) return INT64_MIN;
    return real == real ? (int64_t)real : 0;
}

int64_t ft_gguf_integer(const ft_gguf_value *value, uint64_t i)
{
    int bytes = types[value->type].bytes;
    FT_ASSERT(i < value->count && bytes > 0);
    if (ft_gguf_is_real(value)) return truncated(ft_gguf_real(value, i));
    uint64_t raw = ft_gguf_load(value->data + i * (size_t)bytes, bytes);
    if (types[value->type].is_signed) {
        int unused = 64 - 8 * bytes;
        return (int64_t)(raw << unused) >> unused;
    }
    return raw > INT64_MAX ? INT64_MAX : (int64_t)raw;
}

double ft_gguf_real(const ft_gguf_value *value, uint64_t i)
{
    FT_ASSERT(i < value->count);
    if (value->type == FT_GGUF_F32) return (double)ft_bits_to_f32((uint32_t)ft_gguf_load(value->data + 4 * i, 4));
    if (value->type != FT_GGUF_F64) return (double)ft_gguf_integer(value, i);
    double real;
    uint64_t raw = ft_gguf_load(value->data + 8 * i, 8);
    memcpy(&real, &raw, sizeof real);
    return real;
}

ft_gguf_text ft_gguf_next_text(const unsigned char **at)
{
    ft_gguf_text text = {(const char *)*at + 8, (size_t)ft_gguf_load(*at, 8)};
    *at += 8 + text.bytes;
    return text;
}

bool ft_gguf_text_is(ft_gguf_text text, const char *word)
{
    return text.bytes == strlen(word) && memcmp(text.data, word, text.bytes) == 0;
}
