// Reading thrift's compact protocol (the Apache Thrift specification thrift-compact-protocol.md). A cursor over bytes: once it
// is `bad`, every read returns zero and every loop over fields ends, so the caller checks once, at the end.
#ifndef FT_IO_PARQUET_THRIFT_H
#define FT_IO_PARQUET_THRIFT_H

#include "common/status.h"

typedef struct {
    const uint8_t *at, *end;
    bool bad;  // not thrift, or not of the type asked for
    bool cut;  // and the reason is that the bytes ended
} ft_thrift;

enum {
    FT_THRIFT_TRUE = 1,
    FT_THRIFT_FALSE = 2,
    FT_THRIFT_I8 = 3,
    FT_THRIFT_I16 = 4,
    FT_THRIFT_I32 = 5,
    FT_THRIFT_I64 = 6,
    FT_THRIFT_DOUBLE = 7,
    FT_THRIFT_BINARY = 8,
    FT_THRIFT_LIST = 9,
    FT_THRIFT_SET = 10,
    FT_THRIFT_MAP = 11,
    FT_THRIFT_STRUCT = 12,
    FT_THRIFT_UUID = 13,
};

// A field of a struct; {0} before the first.
typedef struct {
    int id, type;
} ft_thrift_field;

typedef struct {
    const uint8_t *data;
    size_t n;
} ft_thrift_bytes;

// Moves to the next field; false at the end of the struct or if bad. The caller reads or skips the field's value.
bool ft_thrift_next(ft_thrift *t, ft_thrift_field *field);
void ft_thrift_skip(ft_thrift *t, const ft_thrift_field *field);

// Values. A field of another type makes the cursor bad.
int64_t ft_thrift_int(ft_thrift *t, const ft_thrift_field *field);
int32_t ft_thrift_i32(ft_thrift *t, const ft_thrift_field *field);  // bad if it does not fit
bool ft_thrift_bool(ft_thrift *t, const ft_thrift_field *field);
ft_thrift_bytes ft_thrift_binary(ft_thrift *t, const ft_thrift_field *field);  // points into the cursor's bytes
bool ft_thrift_struct(ft_thrift *t, const ft_thrift_field *field);             // false and bad if it is none
// Number of elements of a list of structs, at most as many as bytes are left.
size_t ft_thrift_structs(ft_thrift *t, const ft_thrift_field *field);
// Skips one element of a list of structs.
void ft_thrift_skip_struct(ft_thrift *t);

#endif
