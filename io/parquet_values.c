// The values of a page, one at a time, in each encoding (Encodings.md).
#include <string.h>

#include "common/memory.h"
#include "io/parquet_internal.h"

static ft_status ended(void)
{
    return ft_error(FT_E_INPUT, "a page ends before its values, or they are not in its encoding");
}

static ft_status wrong_encoding(const char *name)
{
    return ft_error(FT_E_INPUT, "encoding %s does not go with the column's type", name);
}

static uint32_t little32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

// A value of PLAIN encoding at *at, which moves past it. BOOLEAN is not laid out in bytes and handled elsewhere.
static bool take_plain(const ft_parquet_node *leaf, const uint8_t **at, const uint8_t *end, ft_parquet_value *value)
{
    size_t left = (size_t)(end - *at), n = (size_t)leaf->width;
    if (leaf->type == FT_PARQUET_BYTE_ARRAY) {
        if (left < 4) return false;
        n = little32(*at);
        *at += 4;
        left -= 4;
    }
    if (n > left) return false;
    *value = (ft_parquet_value){*at, n};
    *at += n;
    return true;
}

ft_status ft_parquet_dictionary_index(ft_parquet_dictionary *dictionary, const ft_parquet_node *leaf, int32_t n)
{
    const uint8_t *begin = dictionary->page.data, *at = begin, *end = begin + dictionary->page.n;
    size_t least = leaf->type == FT_PARQUET_BYTE_ARRAY ? 4 : (size_t)leaf->width;
    if (leaf->type == FT_PARQUET_BOOLEAN) return wrong_encoding("PLAIN_DICTIONARY");
    if (n < 0 || (size_t)n > dictionary->page.n / least)
        return ft_error(FT_E_INPUT, "a dictionary of %d values in %zu bytes", n, dictionary->page.n);
    ft_free(dictionary->begin);
    dictionary->begin = FT_NEW_ARRAY(uint32_t, n);
    FT_ALLOC_CHECK(dictionary->begin);
    for (int32_t i = 0; i < n; i++) {
        ft_parquet_value value;
        dictionary->begin[i] = (uint32_t)(at - begin);
        if (!take_plain(leaf, &at, end, &value)) return ft_error(FT_E_INPUT, "the dictionary ends within value %d of %d", i, n);
    }
    dictionary->n = (uint32_t)n;
    dictionary->present = true;
    return FT_OK;
}

// Bits of an index, then runs. A page without values may have no bytes at all.
static ft_status init_dictionary(ft_parquet_values *v, const uint8_t *bytes, size_t n)
{
    if (!v->dictionary->present) return ft_error(FT_E_INPUT, "a page of dictionary indices, but no dictionary");
    if (n > 0 && bytes[0] > 32) return ft_error(FT_E_INPUT, "dictionary indices of %d bits", bytes[0]);
    if (n > 0) ft_parquet_runs_init(&v->runs, bytes + 1, n - 1, bytes[0]);
    else ft_parquet_runs_init(&v->runs, bytes, 0, 0);
    return FT_OK;
}

static ft_status init_boolean_runs(ft_parquet_values *v, const uint8_t *bytes, size_t n)
{
    if (v->leaf->type != FT_PARQUET_BOOLEAN) return wrong_encoding("RLE");
    if (n == 0) return FT_OK;
    if (n < 4 || little32(bytes) > n - 4) return ended();
    ft_parquet_runs_init(&v->runs, bytes + 4, little32(bytes), 1);
    return FT_OK;
}

static ft_status init_delta(ft_parquet_values *v, const uint8_t *bytes, size_t n)
{
    if (v->leaf->type != FT_PARQUET_INT32 && v->leaf->type != FT_PARQUET_INT64) return wrong_encoding("DELTA_BINARY_PACKED");
    return n == 0 || ft_parquet_delta_init(&v->delta, bytes, n) ? FT_OK : ended();
}

// Lengths as DELTA_BINARY_PACKED, then all bytes.
static ft_status init_lengths(ft_parquet_values *v, const uint8_t *bytes, size_t n)
{
    bool bytes_type = v->leaf->type == FT_PARQUET_BYTE_ARRAY || v->leaf->type == FT_PARQUET_FIXED;
    if (!bytes_type) return wrong_encoding("DELTA_LENGTH_BYTE_ARRAY");
    if (n == 0) return FT_OK;
    if (!ft_parquet_delta_init(&v->delta, bytes, n)) return ended();
    v->at = ft_parquet_delta_end(&v->delta);
    return v->at ? FT_OK : ended();
}

// Lengths of what is shared with the value before, then the rest as DELTA_LENGTH_BYTE_ARRAY.
static ft_status init_prefixes(ft_parquet_values *v, const uint8_t *bytes, size_t n)
{
    v->last.n = 0;
    if (n == 0) return init_lengths(v, bytes, n);
    if (!ft_parquet_delta_init(&v->prefixes, bytes, n)) return ended();
    const uint8_t *rest = ft_parquet_delta_end(&v->prefixes);
    return rest ? init_lengths(v, rest, (size_t)(bytes + n - rest)) : ended();
}

ft_status ft_parquet_values_init(ft_parquet_values *values, const ft_parquet_node *leaf, int encoding, const uint8_t *bytes,
                                 size_t n, const ft_parquet_dictionary *dictionary)
{
    ft_parquet_buffer last = values->last;
    if (encoding == FT_PARQUET_PLAIN_DICTIONARY) encoding = FT_PARQUET_RLE_DICTIONARY;  // the older name
    *values = (ft_parquet_values){
        .leaf = leaf, .dictionary = dictionary, .encoding = encoding, .at = bytes, .end = bytes + n, .last = last};
    switch (encoding) {
    case FT_PARQUET_PLAIN: return FT_OK;
    case FT_PARQUET_RLE_DICTIONARY: return init_dictionary(values, bytes, n);
    case FT_PARQUET_RLE: return init_boolean_runs(values, bytes, n);
    case FT_PARQUET_DELTA_BINARY_PACKED: return init_delta(values, bytes, n);
    case FT_PARQUET_DELTA_LENGTH_BYTE_ARRAY: return init_lengths(values, bytes, n);
    case FT_PARQUET_DELTA_BYTE_ARRAY: return init_prefixes(values, bytes, n);
    case FT_PARQUET_BYTE_STREAM_SPLIT:
        return leaf->width > 0 && leaf->width <= (int)sizeof values->scratch ? FT_OK : wrong_encoding("BYTE_STREAM_SPLIT");
    default: return ft_error(FT_E_UNSUPPORTED, "encoding %d is not implemented", encoding);
    }
}

static ft_status next_plain(ft_parquet_values *v, ft_parquet_value *value)
{
    uint64_t bit;
    if (v->leaf->type != FT_PARQUET_BOOLEAN) return take_plain(v->leaf, &v->at, v->end, value) ? FT_OK : ended();
    if (!ft_parquet_bits(v->at, (size_t)(v->end - v->at), v->index++, 1, &bit)) return ended();
    v->scratch[0] = (uint8_t)bit;
    *value = (ft_parquet_value){v->scratch, 1};
    return FT_OK;
}

static ft_status next_indexed(ft_parquet_values *v, ft_parquet_value *value)
{
    uint32_t index;
    const ft_parquet_dictionary *dictionary = v->dictionary;
    if (!ft_parquet_runs_next(&v->runs, &index)) return ended();
    if (index >= dictionary->n) return ft_error(FT_E_INPUT, "dictionary index %u of %u", index, dictionary->n);
    const uint8_t *at = dictionary->page.data + dictionary->begin[index];
    return take_plain(v->leaf, &at, dictionary->page.data + dictionary->page.n, value) ? FT_OK : ended();
}

static ft_status next_boolean_run(ft_parquet_values *v, ft_parquet_value *value)
{
    uint32_t bit;
    if (!ft_parquet_runs_next(&v->runs, &bit)) return ended();
    v->scratch[0] = bit & 1;
    *value = (ft_parquet_value){v->scratch, 1};
    return FT_OK;
}

static ft_status next_delta(ft_parquet_values *v, ft_parquet_value *value)
{
    int64_t number;
    if (!ft_parquet_delta_next(&v->delta, &number)) return ended();
    for (int i = 0; i < v->leaf->width; i++) v->scratch[i] = (uint8_t)((uint64_t)number >> 8 * i);
    *value = (ft_parquet_value){v->scratch, (size_t)v->leaf->width};
    return FT_OK;
}

static ft_status next_length(ft_parquet_values *v, ft_parquet_value *value)
{
    int64_t length;
    if (!ft_parquet_delta_next(&v->delta, &length)) return ended();
    if (length < 0 || length > v->end - v->at) return ended();
    *value = (ft_parquet_value){v->at, (size_t)length};
    v->at += length;
    return FT_OK;
}

static ft_status next_prefixed(ft_parquet_values *v, ft_parquet_value *value)
{
    int64_t prefix;
    ft_parquet_value rest = {0};
    ft_parquet_buffer *last = &v->last;
    if (!ft_parquet_delta_next(&v->prefixes, &prefix) || prefix < 0 || (uint64_t)prefix > last->n) return ended();
    FT_TRY(next_length(v, &rest));
    size_t n = (size_t)prefix + rest.n;
    if (n > last->capacity || last->data == NULL) FT_TRY(ft_parquet_buffer_reserve(last, 2 * n + 64));
    memcpy(last->data + prefix, rest.data, rest.n);
    last->n = n;
    *value = (ft_parquet_value){last->data, n};
    return FT_OK;
}

// First bytes of all values, then second bytes, ...
static ft_status next_split(ft_parquet_values *v, ft_parquet_value *value)
{
    size_t width = (size_t)v->leaf->width, n = (size_t)(v->end - v->at) / width;
    if (v->index >= n) return ended();
    for (size_t i = 0; i < width; i++) v->scratch[i] = v->at[i * n + v->index];
    v->index++;
    *value = (ft_parquet_value){v->scratch, width};
    return FT_OK;
}

ft_status ft_parquet_values_next(ft_parquet_values *values, ft_parquet_value *value)
{
    switch (values->encoding) {
    case FT_PARQUET_PLAIN: return next_plain(values, value);
    case FT_PARQUET_RLE_DICTIONARY: return next_indexed(values, value);
    case FT_PARQUET_RLE: return next_boolean_run(values, value);
    case FT_PARQUET_DELTA_BINARY_PACKED: return next_delta(values, value);
    case FT_PARQUET_DELTA_LENGTH_BYTE_ARRAY: return next_length(values, value);
    case FT_PARQUET_DELTA_BYTE_ARRAY: return next_prefixed(values, value);
    default: return next_split(values, value);
    }
}
