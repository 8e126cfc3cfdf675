// A column of a row group: its pages, one after the other, as entries of (repetition level, definition level, value).
#include <string.h>
#include <zlib.h>

#include "common/memory.h"
#include "io/parquet_internal.h"

#define HEADER_FIRST 512          // bytes read for a page header at first; statistics may make it longer
#define HEADER_MAX (16u << 20)

void ft_parquet_column_begin(ft_parquet_column *column, const ft_parquet_chunk *chunk)
{
    column->chunk = *chunk;
    column->page_left = 0;
    column->dictionary.present = column->loaded = column->ended = false;
}

void ft_parquet_column_free(ft_parquet_column *column)
{
    ft_parquet_buffer_free(&column->header);
    ft_parquet_buffer_free(&column->raw);
    ft_parquet_buffer_free(&column->page);
    ft_parquet_buffer_free(&column->dictionary.page);
    ft_parquet_buffer_free(&column->values.last);
    ft_free(column->dictionary.begin);
    column->dictionary.begin = NULL;
}

static ft_status check_header(const ft_parquet_page_header *header, int64_t left)
{
    if (header->size < 0 || header->size > FT_PARQUET_PAGE_MAX || header->compressed_size < 0 || header->compressed_size > left)
        return ft_error(FT_E_INPUT, "a page of %d bytes (%d when unpacked) where %lld are left", header->compressed_size,
                        header->size, (long long)left);
    return FT_OK;
}

// Reads the header at chunk.begin, with more and more bytes until it is whole, and moves behind it.
static ft_status read_header(ft_parquet_column *column, ft_parquet_page_header *header)
{
    ft_parquet_chunk *chunk = &column->chunk;
    for (size_t want = HEADER_FIRST; want <= HEADER_MAX; want *= 8) {
        int64_t left = chunk->end - chunk->begin;
        size_t n = (int64_t)want < left ? want : (size_t)left;
        FT_TRY(ft_parquet_buffer_reserve(&column->header, n));
        FT_TRY(ft_parquet_source_read(column->source, chunk->begin, column->header.data, n));
        ft_thrift t = {.at = column->header.data, .end = column->header.data + n};
        if (ft_parquet_page_header_read(header, &t)) {
            chunk->begin += t.at - column->header.data;
            return check_header(header, chunk->end - chunk->begin);
        }
        if (!t.cut || n < want) break;
    }
    return ft_error(FT_E_INPUT, "the page header at byte %lld cannot be read", (long long)chunk->begin);
}

static ft_status check_crc(const ft_parquet_column *column, const ft_parquet_page_header *header)
{
    if (!header->has_crc || crc32(0, column->raw.data, (uInt)column->raw.n) == header->crc) return FT_OK;
    return ft_error(FT_E_INPUT, "the page that ends at byte %lld does not match its checksum", (long long)column->chunk.begin);
}

static ft_status read_raw(ft_parquet_column *column, const ft_parquet_page_header *header)
{
    size_t n = (size_t)header->compressed_size;
    FT_TRY(ft_parquet_buffer_reserve(&column->raw, n + 1));
    FT_TRY(ft_parquet_source_read(column->source, column->chunk.begin, column->raw.data, n));
    column->raw.n = n;
    column->chunk.begin += (int64_t)n;
    return check_crc(column, header);
}

static ft_status read_dictionary(ft_parquet_column *column, const ft_parquet_page_header *header)
{
    ft_parquet_dictionary *dictionary = &column->dictionary;
    if (dictionary->present) return ft_error(FT_E_INPUT, "a second dictionary");
    if (header->encoding != FT_PARQUET_PLAIN && header->encoding != FT_PARQUET_PLAIN_DICTIONARY)
        return ft_error(FT_E_UNSUPPORTED, "a dictionary in encoding %d is not implemented", header->encoding);
    dictionary->page.n = 0;
    FT_TRY(ft_parquet_buffer_reserve(&dictionary->page, 1));
    size_t size = (size_t)header->size;
    FT_TRY(ft_parquet_decompress(column->chunk.codec, column->raw.data, column->raw.n, size, &dictionary->page));
    return ft_parquet_dictionary_index(dictionary, column->leaf, header->values);
}

// Splits levels of n bytes off the page's text at *at.
static ft_status take_levels(const uint8_t **at, const uint8_t *end, size_t n, int maximum, ft_parquet_runs *runs)
{
    if (n > (size_t)(end - *at)) return ft_error(FT_E_INPUT, "a page's levels are longer than the page");
    ft_parquet_runs_init(runs, *at, n, ft_parquet_bit_width((uint32_t)maximum));
    *at += n;
    return FT_OK;
}

static ft_status take_levels_v1(const uint8_t **at, const uint8_t *end, int encoding, int maximum, ft_parquet_runs *runs)
{
    uint32_t n;
    if (maximum == 0) return FT_OK;
    if (encoding == FT_PARQUET_BIT_PACKED)
        return ft_error(FT_E_UNSUPPORTED, "levels in encoding BIT_PACKED are not implemented");
    if (encoding != FT_PARQUET_RLE) return ft_error(FT_E_INPUT, "levels in encoding %d", encoding);
    if (end - *at < 4) return ft_error(FT_E_INPUT, "a page ends within its levels");
    memcpy(&n, *at, 4);
    *at += 4;
    return take_levels(at, end, n, maximum, runs);
}

static ft_status begin_values(ft_parquet_column *column, const ft_parquet_page_header *header, const uint8_t *at)
{
    const uint8_t *end = column->page.data + column->page.n;
    return ft_parquet_values_init(&column->values, column->leaf, header->encoding, at, (size_t)(end - at), &column->dictionary);
}

static ft_status begin_v1(ft_parquet_column *column, const ft_parquet_page_header *header)
{
    FT_TRY(ft_parquet_decompress(column->chunk.codec, column->raw.data, column->raw.n, (size_t)header->size, &column->page));
    const uint8_t *at = column->page.data, *end = at + column->page.n;
    FT_TRY(take_levels_v1(&at, end, header->rep_encoding, column->leaf->max_rep, &column->rep_runs));
    FT_TRY(take_levels_v1(&at, end, header->def_encoding, column->leaf->max_def, &column->def_runs));
    return begin_values(column, header, at);
}

// The levels stay as they are in `raw`; only the values are unpacked, if they are packed.
static ft_status begin_v2(ft_parquet_column *column, const ft_parquet_page_header *header)
{
    const uint8_t *at = column->raw.data, *end = at + column->raw.n;
    if (header->rep_bytes < 0 || header->def_bytes < 0) return ft_error(FT_E_INPUT, "a page with levels of negative length");
    FT_TRY(take_levels(&at, end, (size_t)header->rep_bytes, column->leaf->max_rep, &column->rep_runs));
    FT_TRY(take_levels(&at, end, (size_t)header->def_bytes, column->leaf->max_def, &column->def_runs));
    size_t levels = (size_t)(at - column->raw.data);
    if (levels > (size_t)header->size) return ft_error(FT_E_INPUT, "a page's levels are longer than the page");
    int codec = header->compressed ? column->chunk.codec : 0;
    FT_TRY(ft_parquet_decompress(codec, at, (size_t)(end - at), (size_t)header->size - levels, &column->page));
    return begin_values(column, header, column->page.data);
}

static ft_status begin_data(ft_parquet_column *column, const ft_parquet_page_header *header)
{
    if (header->values < 0 || header->values > column->chunk.values)
        return ft_error(FT_E_INPUT, "a page of %d values where %lld are left", header->values, (long long)column->chunk.values);
    column->chunk.values -= header->values;
    column->page_left = header->values;
    column->page.n = 0;
    FT_TRY(ft_parquet_buffer_reserve(&column->page, 1));
    return header->type == FT_PARQUET_PAGE_DATA ? begin_v1(column, header) : begin_v2(column, header);
}

static ft_status next_page(ft_parquet_column *column)
{
    ft_parquet_page_header header;
    if (column->chunk.begin == column->chunk.end)
        return ft_error(FT_E_INPUT, "its pages end %lld values early", (long long)column->chunk.values);
    FT_TRY(read_header(column, &header));
    FT_TRY(read_raw(column, &header));
    switch (header.type) {
    case FT_PARQUET_PAGE_DATA:
    case FT_PARQUET_PAGE_DATA_V2: return begin_data(column, &header);
    case FT_PARQUET_PAGE_DICTIONARY: return read_dictionary(column, &header);
    case FT_PARQUET_PAGE_INDEX: return FT_OK;
    default: return ft_error(FT_E_INPUT, "a page of type %d", header.type);
    }
}

static ft_status next_level(ft_parquet_runs *runs, int maximum, int *level)
{
    uint32_t value = 0;
    if (maximum > 0 && !ft_parquet_runs_next(runs, &value)) return ft_error(FT_E_INPUT, "a page ends within its levels");
    if (value > (uint32_t)maximum) return ft_error(FT_E_INPUT, "level %u where %d is the highest", value, maximum);
    *level = (int)value;
    return FT_OK;
}

ft_status ft_parquet_column_peek(ft_parquet_column *column)
{
    if (column->loaded) return FT_OK;
    while (column->page_left == 0 && column->chunk.values > 0) FT_TRY(next_page(column));
    column->loaded = true;
    column->rep = column->def = 0;
    column->ended = column->page_left == 0;
    if (column->ended) return FT_OK;
    column->page_left--;
    FT_TRY(next_level(&column->rep_runs, column->leaf->max_rep, &column->rep));
    return next_level(&column->def_runs, column->leaf->max_def, &column->def);
}
