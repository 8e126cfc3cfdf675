#include "io/parquet_thrift.h"

#define DEPTH_MAX 64  // of nested values that are skipped

static void skip_value(ft_thrift *t, int type, int depth);

static void fail(ft_thrift *t, bool cut)
{
    if (!t->bad) t->cut = cut;
    t->bad = true;
}

static uint8_t byte(ft_thrift *t)
{
    if (t->bad) return 0;
    if (t->at == t->end) {
        fail(t, true);
        return 0;
    }
    return *t->at++;
}

static uint64_t varint(ft_thrift *t)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t b = byte(t);
        value |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) return t->bad ? 0 : value;
    }
    fail(t, false);
    return 0;
}

static int64_t zigzag(ft_thrift *t)
{
    uint64_t value = varint(t);
    return (int64_t)(value >> 1 ^ (~(value & 1) + 1));
}

static void advance(ft_thrift *t, uint64_t n)
{
    if (t->bad) return;
    if (n > (uint64_t)(t->end - t->at)) fail(t, true);
    else t->at += n;
}

bool ft_thrift_next(ft_thrift *t, ft_thrift_field *field)
{
    uint8_t head = byte(t);
    if (t->bad || head == 0) return false;
    field->type = head & 15;
    int64_t id = head >> 4 ? field->id + (head >> 4) : zigzag(t);
    if (id < INT16_MIN || id > INT16_MAX || field->type == 0 || field->type > FT_THRIFT_UUID) fail(t, false);
    field->id = (int)id;
    return !t->bad;
}

// Elements of a list or set and their type. Every element takes a byte at least.
static uint64_t list_head(ft_thrift *t, int *type)
{
    uint8_t head = byte(t);
    uint64_t n = head >> 4 == 15 ? varint(t) : head >> 4;
    *type = head & 15;
    if (!t->bad && n > (uint64_t)(t->end - t->at)) fail(t, true);
    return t->bad ? 0 : n;
}

static void skip_list(ft_thrift *t, int depth)
{
    int type;
    uint64_t n = list_head(t, &type);
    if (type == FT_THRIFT_TRUE || type == FT_THRIFT_FALSE) type = FT_THRIFT_I8;  // in a list a boolean is a byte
    for (; n > 0 && !t->bad; n--) skip_value(t, type, depth);
}

static void skip_map(ft_thrift *t, int depth)
{
    uint64_t n = varint(t);
    uint8_t types = n ? byte(t) : 0;
    for (; n > 0 && !t->bad; n--) {
        const uint8_t *before = t->at;
        skip_value(t, types >> 4, depth);
        skip_value(t, types & 15, depth);
        if (t->at == before) fail(t, false);
    }
}

static void skip_fields(ft_thrift *t, int depth)
{
    ft_thrift_field field = {0};
    while (ft_thrift_next(t, &field)) skip_value(t, field.type, depth);
}

static void skip_value(ft_thrift *t, int type, int depth)
{
    if (depth == DEPTH_MAX) fail(t, false);
    if (t->bad) return;
    switch (type) {
    case FT_THRIFT_TRUE:
    case FT_THRIFT_FALSE: break;
    case FT_THRIFT_I8: advance(t, 1); break;
    case FT_THRIFT_I16:
    case FT_THRIFT_I32:
    case FT_THRIFT_I64: varint(t); break;
    case FT_THRIFT_DOUBLE: advance(t, 8); break;
    case FT_THRIFT_BINARY: advance(t, varint(t)); break;
    case FT_THRIFT_LIST:
    case FT_THRIFT_SET: skip_list(t, depth + 1); break;
    case FT_THRIFT_MAP: skip_map(t, depth + 1); break;
    case FT_THRIFT_STRUCT: skip_fields(t, depth + 1); break;
    case FT_THRIFT_UUID: advance(t, 16); break;
    default: fail(t, false);
    }
}

void ft_thrift_skip(ft_thrift *t, const ft_thrift_field *field)
{
    skip_value(t, field->type, 0);
}

void ft_thrift_skip_struct(ft_thrift *t)
{
    skip_value(t, FT_THRIFT_STRUCT, 0);
}

int64_t ft_thrift_int(ft_thrift *t, const ft_thrift_field *field)
{
    if (field->type == FT_THRIFT_I8) return (int8_t)byte(t);
    if (field->type >= FT_THRIFT_I16 && field->type <= FT_THRIFT_I64) return zigzag(t);
    fail(t, false);
    return 0;
}

int32_t ft_thrift_i32(ft_thrift *t, const ft_thrift_field *field)
{
    int64_t value = ft_thrift_int(t, field);
    if (value >= INT32_MIN && value <= INT32_MAX) return (int32_t)value;
    fail(t, false);
    return 0;
}

bool ft_thrift_bool(ft_thrift *t, const ft_thrift_field *field)
{
    if (field->type != FT_THRIFT_TRUE && field->type != FT_THRIFT_FALSE) fail(t, false);
    return field->type == FT_THRIFT_TRUE;
}

ft_thrift_bytes ft_thrift_binary(ft_thrift *t, const ft_thrift_field *field)
{
    if (field->type != FT_THRIFT_BINARY) fail(t, false);
    uint64_t n = varint(t);
    const uint8_t *data = t->at;
    advance(t, n);
    return t->bad ? (ft_thrift_bytes){0} : (ft_thrift_bytes){data, (size_t)n};
}

bool ft_thrift_struct(ft_thrift *t, const ft_thrift_field *field)
{
    if (field->type != FT_THRIFT_STRUCT) fail(t, false);
    return !t->bad;
}

size_t ft_thrift_structs(ft_thrift *t, const ft_thrift_field *field)
{
    int type;
    if (field->type != FT_THRIFT_LIST) fail(t, false);
    uint64_t n = list_head(t, &type);
    if (n > 0 && type != FT_THRIFT_STRUCT) fail(t, false);
    return t->bad ? 0 : (size_t)n;
}
