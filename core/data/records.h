// Streaming records out of a file: a reader says where the next record's text lies, this finds the lines, parses in parallel
// and visits in order. Files named .gz or .zst are unpacked on the way (byte_stream.h). Memory is bounded by FT_RECORDS_BUFFER
// or the longest record, whichever is larger.
#ifndef FT_DATA_RECORDS_H
#define FT_DATA_RECORDS_H

#include "data/dataset.h"

#define FT_RECORDS_BUFFER (8u << 20)   // bytes of text held at once
#define FT_RECORD_MAX (1u << 30)       // bytes of one record

// Text at hand. `at` and `line` move forward as records are found; `state` is the reader's, 0 at the start of the file.
typedef struct {
    const char *text;
    size_t n, at;
    int64_t line;   // of text[at], from 1
    bool last;      // the file ends at n
    int state;
} ft_record_scan;

typedef struct {
    size_t begin, end;  // in scan->text
    int64_t line;
} ft_record_span;

typedef enum { FT_RECORD_FOUND, FT_RECORD_MORE, FT_RECORD_END } ft_record_result;

// Finds the next record and moves the scan past it. MORE: it is cut off by the end of the text (never if `last`); the scan then
// stands at its start. Errors carry the line, not the file.
typedef ft_status (*ft_record_next)(ft_record_scan *scan, ft_record_span *span, ft_record_result *result);

ft_status ft_records_read(const char *path, ft_record_next next, ft_record_visit visit, void *context);

// First byte of the file, unpacked, that is neither white space nor a byte order mark; 0 if there is none in the first 4 KiB.
ft_status ft_records_first_byte(const char *path, char *byte);
// Whether the name ends in the extension, in either case, with or without .gz or .zst behind it.
bool ft_records_extension(const char *path, const char *extension);

#endif
