// What the parts of the Parquet reader share. Data flows
//   parquet.c (file, row groups) -> parquet_assemble.c (rows) -> parquet_page.c (a column's pages) -> parquet_values.c (values)
// with parquet_schema.c and parquet_metadata.c for the footer, parquet_codec.c for compression, parquet_bits.c and
// parquet_delta.c for the encodings. Messages are built without the file's name; parquet.c puts file, row group and column
// first.
#ifndef FT_IO_PARQUET_INTERNAL_H
#define FT_IO_PARQUET_INTERNAL_H

#include "io/parquet.h"
#include "io/parquet_thrift.h"

enum {  // physical types, as numbered in the file
    FT_PARQUET_BOOLEAN = 0,
    FT_PARQUET_INT32 = 1,
    FT_PARQUET_INT64 = 2,
    FT_PARQUET_INT96 = 3,
    FT_PARQUET_FLOAT = 4,
    FT_PARQUET_DOUBLE = 5,
    FT_PARQUET_BYTE_ARRAY = 6,
    FT_PARQUET_FIXED = 7,
    FT_PARQUET_GROUP = -1,  // ours: not a column
};

enum { FT_PARQUET_REQUIRED = 0, FT_PARQUET_OPTIONAL = 1, FT_PARQUET_REPEATED = 2 };

enum {  // encodings, as numbered in the file
    FT_PARQUET_PLAIN = 0,
    FT_PARQUET_PLAIN_DICTIONARY = 2,
    FT_PARQUET_RLE = 3,
    FT_PARQUET_BIT_PACKED = 4,
    FT_PARQUET_DELTA_BINARY_PACKED = 5,
    FT_PARQUET_DELTA_LENGTH_BYTE_ARRAY = 6,
    FT_PARQUET_DELTA_BYTE_ARRAY = 7,
    FT_PARQUET_RLE_DICTIONARY = 8,
    FT_PARQUET_BYTE_STREAM_SPLIT = 9,
};

// ---- schema: the tree, flattened depth first; children of i begin at i + 1, the next sibling of i is nodes[i].end

typedef struct {
    char *name;              // key in the JSON object
    char *path;              // "a.list.element" for messages: no control characters
    int type, repetition;
    int width;               // bytes of a value, 0 for BYTE_ARRAY and BOOLEAN
    bool is_unsigned;
    bool list;               // a LIST or MAP group: stands for its one repeated child
    bool unwrap;             // the repeated child of a list whose one field is the element
    int max_def, max_rep;    // levels at which this node is defined / repeats
    int end;                 // index after the last node below
    int leaf_begin, leaf_end;  // columns below, itself included
} ft_parquet_node;

typedef struct {
    ft_parquet_node *nodes;  // nodes[0] is the root
    int n;
    int *leaves;             // node of each column
    int n_leaves;
} ft_parquet_schema;

// Reads the list of SchemaElements the field stands before.
ft_status ft_parquet_schema_read(ft_parquet_schema *schema, ft_thrift *t, const ft_thrift_field *field);
void ft_parquet_schema_free(ft_parquet_schema *schema);

// ---- footer

typedef struct {
    int type, codec;
    int64_t values;          // nulls included
    int64_t begin, end;      // bytes of the file
} ft_parquet_chunk;

typedef struct {
    ft_parquet_schema schema;
    int64_t rows;
    int64_t data_end;        // where the footer begins: chunks end before
    ft_thrift groups;        // at the next row group
    size_t groups_left;
} ft_parquet_footer;

// Parses the footer; `bytes` stay alive as long as the footer, which reads row groups from them one at a time.
ft_status ft_parquet_footer_read(ft_parquet_footer *footer, const uint8_t *bytes, size_t n, int64_t data_end);
// The next row group: its chunks (one per column) and number of rows.
ft_status ft_parquet_group_read(ft_parquet_footer *footer, ft_parquet_chunk *chunks, int64_t *rows);

enum { FT_PARQUET_PAGE_DATA = 0, FT_PARQUET_PAGE_INDEX = 1, FT_PARQUET_PAGE_DICTIONARY = 2, FT_PARQUET_PAGE_DATA_V2 = 3 };

typedef struct {
    int type, encoding, def_encoding, rep_encoding;
    int32_t size, compressed_size;     // bytes behind the header
    int32_t values;                    // nulls included
    int32_t def_bytes, rep_bytes;      // v2
    bool compressed;                   // v2: the values are
    bool has_crc;
    uint32_t crc;
} ft_parquet_page_header;

// False and `cut` in *t if the bytes end within the header; other errors are reported by `bad` alone.
bool ft_parquet_page_header_read(ft_parquet_page_header *header, ft_thrift *t);

// ---- buffers and compression

typedef struct {
    uint8_t *data;
    size_t n, capacity;
} ft_parquet_buffer;

ft_status ft_parquet_buffer_reserve(ft_parquet_buffer *buffer, size_t capacity);
void ft_parquet_buffer_free(ft_parquet_buffer *buffer);

ft_status ft_parquet_codec_check(int codec);  // FT_E_UNSUPPORTED with its name
// Appends exactly `size` bytes to *out, out of n compressed ones; anything else is FT_E_INPUT. Memory grows with what comes out.
ft_status ft_parquet_decompress(int codec, const uint8_t *bytes, size_t n, size_t size, ft_parquet_buffer *out);

// ---- encodings

// Runs of equal numbers and groups of packed ones (Encodings.md, "RLE / Bit-Packing Hybrid").
typedef struct {
    const uint8_t *at, *end;
    const uint8_t *packed;   // of the present run; NULL: all are `value`
    uint64_t index, left;    // within the run
    unsigned width;          // bits, 0..32
    uint32_t value;
} ft_parquet_runs;

void ft_parquet_runs_init(ft_parquet_runs *runs, const uint8_t *bytes, size_t n, unsigned width);
bool ft_parquet_runs_next(ft_parquet_runs *runs, uint32_t *value);  // false: the bytes have ended or are not runs
unsigned ft_parquet_bit_width(uint32_t maximum);
// `width` (0..64) bits from bit `at` of bytes, least significant first; false if they lie outside.
bool ft_parquet_bits(const uint8_t *bytes, size_t n, uint64_t at, unsigned width, uint64_t *value);

// DELTA_BINARY_PACKED.
typedef struct {
    const uint8_t *at, *end;       // after what was read
    uint64_t left;                 // values
    uint64_t last, min_delta;      // arithmetic is modulo 2^64
    uint64_t mini_values;          // in a miniblock
    uint64_t minis, mini;          // miniblocks in a block; the next one
    const uint8_t *widths, *bits;  // of the block; of the miniblock
    size_t bits_bytes;
    uint64_t in_mini, mini_left;
    unsigned width;
    bool first;                    // the first value stands in the header
} ft_parquet_delta;

bool ft_parquet_delta_init(ft_parquet_delta *delta, const uint8_t *bytes, size_t n);
bool ft_parquet_delta_next(ft_parquet_delta *delta, int64_t *value);
// Where the bytes behind the last value begin, NULL if that is outside. The delta itself does not move.
const uint8_t *ft_parquet_delta_end(const ft_parquet_delta *delta);

// ---- values of a page

typedef struct {
    ft_parquet_buffer page;
    uint32_t *begin;        // BYTE_ARRAY: where each value's length stands
    uint32_t n;
    bool present;
} ft_parquet_dictionary;

typedef struct {
    const uint8_t *data;    // little endian; points into the page, the dictionary or the decoder
    size_t n;
} ft_parquet_value;

typedef struct {
    const ft_parquet_node *leaf;
    const ft_parquet_dictionary *dictionary;
    int encoding;
    const uint8_t *at, *end;
    uint64_t index;              // BOOLEAN and BYTE_STREAM_SPLIT: the next value
    ft_parquet_runs runs;
    ft_parquet_delta delta, prefixes;
    ft_parquet_buffer last;      // DELTA_BYTE_ARRAY: the value before
    uint8_t scratch[16];
} ft_parquet_values;

// `values->last` keeps its memory from page to page.
ft_status ft_parquet_values_init(ft_parquet_values *values, const ft_parquet_node *leaf, int encoding, const uint8_t *bytes,
                                 size_t n, const ft_parquet_dictionary *dictionary);
ft_status ft_parquet_values_next(ft_parquet_values *values, ft_parquet_value *value);
// Indexes dictionary->page, which holds n values in PLAIN encoding.
ft_status ft_parquet_dictionary_index(ft_parquet_dictionary *dictionary, const ft_parquet_node *leaf, int32_t n);

// ---- a column of a row group

typedef struct {
    int fd;                  // -1: bytes
    const uint8_t *bytes;
    int64_t size;
} ft_parquet_source;

ft_status ft_parquet_source_read(const ft_parquet_source *source, int64_t at, void *bytes, size_t n);

typedef struct {
    const ft_parquet_source *source;
    const ft_parquet_node *leaf;
    ft_parquet_chunk chunk;      // begin: the next page; values: of pages not yet begun
    ft_parquet_buffer header, raw, page;
    ft_parquet_dictionary dictionary;
    ft_parquet_values values;
    ft_parquet_runs rep_runs, def_runs;
    int64_t page_left;           // entries of the page not yet looked at
    bool loaded, ended;          // an entry is at hand; the chunk is over
    int rep, def;                // of the entry at hand
} ft_parquet_column;

void ft_parquet_column_begin(ft_parquet_column *column, const ft_parquet_chunk *chunk);
void ft_parquet_column_free(ft_parquet_column *column);
// Looks at the next entry (a value or a null): column->rep, ->def, or ->ended (then rep is 0 and def is 0).
ft_status ft_parquet_column_peek(ft_parquet_column *column);
// Takes the entry at hand. Its value may be read (ft_parquet_values_next) once, if def == leaf->max_def, before the next peek.
static inline void ft_parquet_column_take(ft_parquet_column *column)
{
    column->loaded = false;
}

// ---- rows

typedef struct {
    const ft_parquet_schema *schema;
    ft_parquet_column *columns;
    int64_t row_values, row_bytes;  // of the present row
    int failed;                     // column an error is about
} ft_parquet_rows_state;

// Puts the next row together. FT_E_INPUT if the columns do not agree.
ft_status ft_parquet_assemble(ft_parquet_rows_state *state, json_t **row);

#endif
