// The header of a GGUF file: bytes to values and tensors, without a file. The part that meets hostile input.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "io/gguf_internal.h"

// Far above what any model has, low enough that the tables stay small beside the file.
#define MAX_VALUES 65536
#define MAX_TENSORS (1 << 20)
#define MAX_ALIGNMENT (1 << 20)
#define MIN_VALUE_BYTES 13   // empty key, type, one byte
#define MIN_TENSOR_BYTES 24  // empty name, rank 0, encoding, offset

typedef struct {
    ft_gguf *file;
    size_t at;
} cursor;

static ft_status ends_early(const cursor *c, const char *what)
{
    return ft_error(FT_E_INPUT, "%s: ends at byte %zu inside %s; download it again", c->file->path, c->file->bytes, what);
}

static ft_status take(cursor *c, size_t n, const char *what, const unsigned char **bytes)
{
    if (n > c->file->bytes - c->at) return ends_early(c, what);
    *bytes = c->file->data + c->at;
    c->at += n;
    return FT_OK;
}

static ft_status take_u32(cursor *c, const char *what, uint32_t *value)
{
    const unsigned char *bytes = NULL;
    FT_TRY(take(c, 4, what, &bytes));
    *value = (uint32_t)ft_gguf_load(bytes, 4);
    return FT_OK;
}

static ft_status take_u64(cursor *c, const char *what, uint64_t *value)
{
    const unsigned char *bytes = NULL;
    FT_TRY(take(c, 8, what, &bytes));
    *value = ft_gguf_load(bytes, 8);
    return FT_OK;
}

static ft_status take_text(cursor *c, const char *what, ft_gguf_text *text)
{
    uint64_t length = 0;
    const unsigned char *bytes = NULL;
    FT_TRY(take_u64(c, what, &length));
    if (length > c->file->bytes - c->at) return ends_early(c, what);
    FT_TRY(take(c, (size_t)length, what, &bytes));
    *text = (ft_gguf_text){(const char *)bytes, (size_t)length};
    return FT_OK;
}

// Keys and names are put into messages and compared as words.
static ft_status check_name(const cursor *c, ft_gguf_text name, const char *what)
{
    if (name.bytes == 0 || name.bytes > 255)
        return ft_error(FT_E_INPUT, "%s: %s of %zu bytes at byte %zu", c->file->path, what, name.bytes, c->at);
    for (size_t i = 0; i < name.bytes; i++) {
        if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
            return ft_error(FT_E_INPUT, "%s: %s with a control character at byte %zu", c->file->path, what, c->at);
    }
    return FT_OK;
}

static ft_status take_elements(cursor *c, ft_gguf_value *value)
{
    const unsigned char *bytes;
    ft_gguf_text text;
    int size = ft_gguf_type_bytes(value->type);
    value->data = c->file->data + c->at;
    if (size > 0) {
        if (value->count > (c->file->bytes - c->at) / (size_t)size) return ends_early(c, "a metadata value");
        return take(c, (size_t)value->count * (size_t)size, "a metadata value", &bytes);
    }
    for (uint64_t i = 0; i < value->count; i++) FT_TRY(take_text(c, "a metadata text", &text));
    return FT_OK;
}

static ft_status bad_type(const cursor *c, const ft_gguf_value *value, uint32_t type)
{
    return ft_error(FT_E_INPUT, "%s: %.*s: value type %" PRIu32 " does not exist", c->file->path, (int)value->key.bytes,
                    value->key.data, type);
}

static ft_status take_value(cursor *c, ft_gguf_value *value)
{
    uint32_t type;
    FT_TRY(take_text(c, "a metadata key", &value->key));
    FT_TRY(check_name(c, value->key, "a metadata key"));
    FT_TRY(take_u32(c, "a metadata type", &type));
    value->count = 1;
    value->is_array = type == FT_GGUF_ARRAY;
    if (value->is_array) {
        FT_TRY(take_u32(c, "an array type", &type));
        FT_TRY(take_u64(c, "an array length", &value->count));
        if (type == FT_GGUF_ARRAY)
            return ft_error(FT_E_UNSUPPORTED, "%s: %.*s: an array of arrays is not supported", c->file->path,
                            (int)value->key.bytes, value->key.data);
    }
    if (type >= FT_GGUF_TYPE_COUNT) return bad_type(c, value, type);
    value->type = (ft_gguf_type)type;
    return take_elements(c, value);
}

#define TENSOR_ERROR(status, c, t, format, ...) \
    ft_error(status, "%s: tensor %.*s: " format, (c)->file->path, (int)(t)->name.bytes, (t)->name.data, __VA_ARGS__)

static ft_status take_shape(cursor *c, ft_gguf_tensor *tensor)
{
    uint32_t rank;
    uint64_t extent;
    FT_TRY(take_u32(c, "a tensor's rank", &rank));
    if (rank == 0 || rank > FT_GGUF_MAX_RANK)
        return TENSOR_ERROR(FT_E_INPUT, c, tensor, "%" PRIu32 " dimensions; 1 to %d are possible", rank, FT_GGUF_MAX_RANK);
    tensor->rank = (int)rank;
    tensor->elements = 1;
    for (int i = 0; i < tensor->rank; i++) {
        FT_TRY(take_u64(c, "a tensor's shape", &extent));
        if (extent == 0 || extent > INT64_MAX || __builtin_mul_overflow(tensor->elements, (int64_t)extent, &tensor->elements))
            return TENSOR_ERROR(FT_E_INPUT, c, tensor, "dimension %d of %" PRIu64 " is impossible", i, extent);
        tensor->shape[i] = (int64_t)extent;
    }
    return FT_OK;
}

static ft_status take_encoding(cursor *c, ft_gguf_tensor *tensor)
{
    uint32_t type;
    FT_TRY(take_u32(c, "a tensor's encoding", &type));
    tensor->encoding = ft_gguf_encoding_of(type);
    if (tensor->encoding == NULL)
        return TENSOR_ERROR(FT_E_UNSUPPORTED, c, tensor, "encoding %" PRIu32 " is not known", type);
    if (tensor->shape[0] % tensor->encoding->block != 0)
        return TENSOR_ERROR(FT_E_INPUT, c, tensor, "rows of %" PRId64 " values are no multiple of %s's block of %d",
                            tensor->shape[0], tensor->encoding->name, tensor->encoding->block);
    if (__builtin_mul_overflow(tensor->elements / tensor->encoding->block, (int64_t)tensor->encoding->bytes, &tensor->bytes))
        return TENSOR_ERROR(FT_E_INPUT, c, tensor, "%s", "more than 2^63 bytes");
    return FT_OK;
}

// Offsets still count from the data part, whose place is known only after the last entry.
static ft_status take_tensor(cursor *c, ft_gguf_tensor *tensor, int64_t expected)
{
    uint64_t offset;
    FT_TRY(take_text(c, "a tensor's name", &tensor->name));
    FT_TRY(check_name(c, tensor->name, "a tensor's name"));
    FT_TRY(take_shape(c, tensor));
    FT_TRY(take_encoding(c, tensor));
    FT_TRY(take_u64(c, "a tensor's offset", &offset));
    if (offset != (uint64_t)expected)
        return TENSOR_ERROR(FT_E_INPUT, c, tensor, "begins at data offset %" PRIu64 ", but the tensors before it end at %" PRId64,
                            offset, expected);
    tensor->offset = expected;
    return FT_OK;
}

static int compare(ft_gguf_text a, ft_gguf_text b)
{
    int order = memcmp(a.data, b.data, a.bytes < b.bytes ? a.bytes : b.bytes);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int by_key(const void *a, const void *b)
{
    return compare(((const ft_gguf_value *)a)->key, ((const ft_gguf_value *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return compare(((const ft_gguf_tensor *)a)->name, ((const ft_gguf_tensor *)b)->name);
}

static ft_status twice(const ft_gguf *file, const char *what, ft_gguf_text name)
{
    return ft_error(FT_E_INPUT, "%s: %s %.*s is there twice", file->path, what, (int)name.bytes, name.data);
}

static ft_status read_values(cursor *c, uint64_t n)
{
    ft_gguf *file = c->file;
    if (n > MAX_VALUES || n > (file->bytes - c->at) / MIN_VALUE_BYTES)
        return ft_error(FT_E_INPUT, "%s: claims %" PRIu64 " metadata entries in %zu bytes", file->path, n, file->bytes);
    if (n == 0) return FT_OK;
    FT_ALLOC_CHECK(file->values = FT_NEW_ARRAY(ft_gguf_value, n));
    for (file->n_values = 0; file->n_values < (int)n; file->n_values++) FT_TRY(take_value(c, &file->values[file->n_values]));
    qsort(file->values, n, sizeof *file->values, by_key);
    for (uint64_t i = 1; i < n; i++) {
        if (compare(file->values[i - 1].key, file->values[i].key) == 0) return twice(file, "metadata key", file->values[i].key);
    }
    return FT_OK;
}

static ft_status read_alignment(const ft_gguf *file, int64_t *alignment)
{
    const ft_gguf_value *value = ft_gguf_find(file, "general.alignment");
    *alignment = 32;
    if (value == NULL) return FT_OK;
    *alignment = !value->is_array && ft_gguf_is_integer(value) ? ft_gguf_integer(value, 0) : 0;
    if (*alignment > 0 && *alignment <= MAX_ALIGNMENT && (*alignment & (*alignment - 1)) == 0) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: general.alignment must be a power of two up to %d", file->path, MAX_ALIGNMENT);
}

// Checks that the data is there, and makes the offsets count from the start of the file.
static ft_status place_tensors(const cursor *c, int64_t begin)
{
    ft_gguf *file = c->file;
    for (int i = 0; i < file->n_tensors; i++) {
        ft_gguf_tensor *tensor = &file->tensors[i];
        int64_t end;
        tensor->offset += begin;
        if (__builtin_add_overflow(tensor->offset, tensor->bytes, &end) || end > (int64_t)file->bytes)
            return TENSOR_ERROR(FT_E_INPUT, c, tensor, "leaves the %zu bytes of the file; download it again", file->bytes);
    }
    return FT_OK;
}

static ft_status read_tensors(cursor *c, uint64_t n)
{
    ft_gguf *file = c->file;
    int64_t alignment, end = 0;
    FT_TRY(read_alignment(file, &alignment));
    if (n > MAX_TENSORS || n > (file->bytes - c->at) / MIN_TENSOR_BYTES)
        return ft_error(FT_E_INPUT, "%s: claims %" PRIu64 " tensors in %zu bytes", file->path, n, file->bytes);
    if (n == 0) return FT_OK;
    FT_ALLOC_CHECK(file->tensors = FT_NEW_ARRAY(ft_gguf_tensor, n));
    for (file->n_tensors = 0; file->n_tensors < (int)n; file->n_tensors++) {
        ft_gguf_tensor *tensor = &file->tensors[file->n_tensors];
        FT_TRY(take_tensor(c, tensor, end));
        if (tensor->bytes > (int64_t)file->bytes - end)  // also keeps `end` below twice the file
            return TENSOR_ERROR(FT_E_INPUT, c, tensor, "leaves the %zu bytes of the file; download it again", file->bytes);
        end = (end + tensor->bytes + alignment - 1) / alignment * alignment;
    }
    FT_TRY(place_tensors(c, ((int64_t)c->at + alignment - 1) / alignment * alignment));
    qsort(file->tensors, n, sizeof *file->tensors, by_name);
    for (uint64_t i = 1; i < n; i++) {
        if (compare(file->tensors[i - 1].name, file->tensors[i].name) == 0) return twice(file, "tensor", file->tensors[i].name);
    }
    return FT_OK;
}

static ft_status check_version(cursor *c)
{
    const ft_gguf *file = c->file;
    uint32_t version;
    const unsigned char *magic = NULL;
    FT_TRY(take(c, 4, "the magic number", &magic));
    if (memcmp(magic, "GGUF", 4) != 0) return ft_error(FT_E_INPUT, "%s: is not a GGUF file", file->path);
    FT_TRY(take_u32(c, "the version", &version));
    if (version != 0 && (version & 0xffff) == 0)
        return ft_error(FT_E_UNSUPPORTED, "%s: is big endian; convert it with gguf-convert-endian", file->path);
    if (version == 2 || version == 3) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: is GGUF version %" PRIu32 "; versions 2 and 3 are supported", file->path, version);
}

static ft_status parse(ft_gguf *file)
{
    cursor c = {.file = file};
    uint64_t n_tensors, n_values;
    if (file->bytes > INT64_MAX / 4) return ft_error(FT_E_INPUT, "%s: impossibly large", file->path);
    FT_TRY(check_version(&c));
    FT_TRY(take_u64(&c, "the number of tensors", &n_tensors));
    FT_TRY(take_u64(&c, "the number of metadata entries", &n_values));
    FT_TRY(read_values(&c, n_values));
    return read_tensors(&c, n_tensors);
}

ft_status ft_gguf_parse(ft_gguf *file, const char *path, const void *data, size_t bytes)
{
    *file = (ft_gguf){.data = data, .bytes = bytes, .fd = -1, .path = ft_strdup(path)};
    FT_ALLOC_CHECK(file->path);
    return parse(file);
}

const ft_gguf_value *ft_gguf_find(const ft_gguf *file, const char *key)
{
    ft_gguf_value wanted = {.key = {key, strlen(key)}};
    if (file->n_values == 0) return NULL;
    return bsearch(&wanted, file->values, (size_t)file->n_values, sizeof wanted, by_key);
}

const ft_gguf_tensor *ft_gguf_find_tensor(const ft_gguf *file, const char *name)
{
    ft_gguf_tensor wanted = {.name = {name, strlen(name)}};
    if (file->n_tensors == 0) return NULL;
    return bsearch(&wanted, file->tensors, (size_t)file->n_tensors, sizeof wanted, by_name);
}
