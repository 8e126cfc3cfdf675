// Parquet files: bytes -> rows, as JSON objects. Our own small reader of what data sets use.
//
// Format (Apache Parquet format specification: parquet.thrift, Encodings.md, LogicalTypes.md, Compression.md):
//
//   "PAR1"  column chunks, one per column and row group  footer  u32 footer bytes (little endian)  "PAR1"
//
// The footer is one thrift struct in the compact protocol, FileMetaData: the schema as a tree flattened depth first, and row
// groups with the place, codec and number of values of each column chunk. A chunk is a run of pages, each behind a thrift
// PageHeader: first the dictionary, if there is one, then data pages. A data page holds repetition levels, definition levels
// and the values that are not null:
//
//   v1   compress( u32 n, n bytes of levels [if the column may repeat]  u32 n, n bytes of levels [if it may be null]  values )
//   v2   levels, levels (bytes in the header), compress( values )
//
// Levels tell where lists begin and how deep a value is defined; rows are put together from them as in the Dremel paper
// (Melnik et al. 2010), see parquet_assemble.c.
//
// Read: types BOOLEAN, INT32, INT64, FLOAT, DOUBLE, BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY; encodings PLAIN, PLAIN_DICTIONARY,
// RLE_DICTIONARY, RLE, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY, BYTE_STREAM_SPLIT; codecs UNCOMPRESSED,
// SNAPPY, GZIP, ZSTD; page checksums; any nesting. As JSON:
//   text, enum, json, bytes   string; bytes that are not UTF-8 are an error
//   integers, dates, times    integer (dates and times as stored: days, milliseconds, ...)
//   FLOAT, DOUBLE             real; NaN and infinities, which JSON has not, are null
//   list (3 or 2 levels)      array; a bare repeated field is one, too
//   map                       array of {"key":, "value":}
//   group                     object
//   null, absent              null
// Refused by name (FT_E_UNSUPPORTED): INT96, decimals, float16, UUIDs, intervals, BSON, variants, geometry; BIT_PACKED levels;
// codecs LZO, BROTLI, LZ4, LZ4_RAW; encrypted files; chunks in other files.
//
// Everything else that is wrong is FT_E_INPUT "FILE: row group N, column C: what". Memory: one page and one dictionary of each
// column, and the footer. No declared size is believed before it is checked against the file or grown into.
#ifndef FT_IO_PARQUET_H
#define FT_IO_PARQUET_H

#include <jansson.h>

#include "common/status.h"

#define FT_PARQUET_FOOTER_MAX (64 << 20)      // bytes
#define FT_PARQUET_PAGE_MAX (1 << 30)         // bytes of a page, compressed or not
#define FT_PARQUET_COLUMNS_MAX 16384          // schema elements
#define FT_PARQUET_DEPTH_MAX 32               // of nesting
#define FT_PARQUET_ROW_VALUES_MAX (1 << 24)   // values and nulls of one row
#define FT_PARQUET_ROW_BYTES_MAX (256 << 20)  // text of one row

typedef struct ft_parquet ft_parquet;

// One file, one thread. FT_E_INPUT if it cannot be opened or its footer is not one; FT_E_UNSUPPORTED as above. *file is NULL
// after a failure.
ft_status ft_parquet_open(ft_parquet **file, const char *path);
// The same over n bytes in memory, which stay the caller's and outlive the file. `name` stands for the path in messages.
ft_status ft_parquet_open_memory(ft_parquet **file, const void *bytes, size_t n, const char *name);
void ft_parquet_close(ft_parquet *file);  // accepts NULL

int64_t ft_parquet_rows(const ft_parquet *file);  // as the footer says, all row groups
// The next row, a new reference; NULL after the last. After an error the file can only be closed.
ft_status ft_parquet_next(ft_parquet *file, json_t **row);

#endif
