// The header is padded with spaces to a multiple of 8, so that the data start is aligned for any element type; no padding stands
// between tensors, which the format forbids.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"
#include "io/safetensors_header.h"

struct ft_safetensors_writer {
    char *path;
    int fd;
    json_t *header, *metadata;   // the latter inside the former; keys keep the order of insertion
    int64_t data_bytes, written;
    bool begun, finished;
};

ft_status ft_safetensors_create(ft_safetensors_writer **created, const char *path)
{
    *created = NULL;
    ft_safetensors_writer *writer = FT_NEW(ft_safetensors_writer);
    FT_ALLOC_CHECK(writer);
    writer->fd = -1;
    writer->header = json_object();
    writer->path = ft_strdup(path);
    ft_status status = writer->path == NULL ? FT_E_NOMEM : FT_OK;
    if (status == FT_OK && writer->header == NULL) status = ft_error(FT_E_NOMEM, "out of memory: header of %s", path);
    if (status == FT_OK) {
        writer->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (writer->fd < 0) status = ft_error_errno(FT_E_IO, errno, "%s: cannot be created", path);
    }
    if (status == FT_OK) *created = writer;
    else ft_safetensors_discard(writer);
    return status;
}

static ft_status no_entry(const ft_safetensors_writer *writer, const char *name)
{
    return ft_error(FT_E_INPUT, "%s: \"%.160s\" cannot stand in the header: not UTF-8, or memory has run out", writer->path,
                    name);
}

ft_status ft_safetensors_metadata_add(ft_safetensors_writer *writer, const char *key, const char *value)
{
    FT_ASSERT(!writer->begun, "%s: metadata after begin", writer->path);
    if (writer->metadata == NULL) {
        writer->metadata = json_object();
        if (json_object_set_new(writer->header, FT_SAFETENSORS_METADATA, writer->metadata) != 0) {
            writer->metadata = NULL;
            return no_entry(writer, FT_SAFETENSORS_METADATA);
        }
    }
    return json_object_set_new(writer->metadata, key, json_string(value)) == 0 ? FT_OK : no_entry(writer, key);
}

static ft_status tensor_bytes(const ft_safetensors_writer *writer, const char *name, ft_dtype dtype, int rank,
                              const int64_t *shape, int64_t *bytes)
{
    bool overflow = false;
    *bytes = (int64_t)ft_dtype_bytes(dtype);
    if (*bytes == 0 || rank < 0 || rank > FT_TENSOR_MAX_RANK)
        return ft_error(FT_E_INPUT, "%s: tensor \"%.160s\" has no element type or %d dimensions", writer->path, name, rank);
    for (int i = 0; i < rank; i++) overflow = overflow || shape[i] < 0 || __builtin_mul_overflow(*bytes, shape[i], bytes);
    return overflow ? ft_error(FT_E_INPUT, "%s: tensor \"%.160s\" has an impossible shape", writer->path, name) : FT_OK;
}

ft_status ft_safetensors_declare(ft_safetensors_writer *writer, const char *name, ft_dtype dtype, int rank, const int64_t *shape)
{
    int64_t bytes, end;
    FT_ASSERT(!writer->begun, "%s: %s declared after begin", writer->path, name);
    FT_TRY(tensor_bytes(writer, name, dtype, rank, shape, &bytes));
    if (strcmp(name, FT_SAFETENSORS_METADATA) == 0 || json_object_get(writer->header, name) != NULL)
        return ft_error(FT_E_INPUT, "%s: tensor \"%.160s\" is declared twice or has a reserved name", writer->path, name);
    if (__builtin_add_overflow(writer->data_bytes, bytes, &end))
        return ft_error(FT_E_INPUT, "%s: tensor \"%.160s\" makes the file larger than 2^63 bytes", writer->path, name);
    json_t *extents = json_array();
    for (int i = 0; i < rank; i++) json_array_append_new(extents, json_integer(shape[i]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", ft_dtype_name(dtype), "shape", extents, "data_offsets",
                              (json_int_t)writer->data_bytes, (json_int_t)end);
    bool whole = json_array_size(extents) == (size_t)rank;
    if (json_object_set_new(writer->header, name, entry) != 0 || !whole) return no_entry(writer, name);
    writer->data_bytes = end;
    return FT_OK;
}

static ft_status write_exact(const ft_safetensors_writer *writer, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = write(writer->fd, at, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ft_error_errno(FT_E_IO, n == 0 ? ENOSPC : errno, "%s: write of %zu bytes", writer->path, bytes);
        at += n;
        bytes -= (size_t)n;
    }
    return FT_OK;
}

static ft_status write_header(const ft_safetensors_writer *writer, const char *json)
{
    size_t length = strlen(json), padded = (length + 7) / 8 * 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)(padded >> 8 * i);
    if (padded > FT_SAFETENSORS_MAX_HEADER)
        return ft_error(FT_E_INPUT, "%s: the header has %zu bytes, above the format's limit", writer->path, padded);
    FT_TRY(write_exact(writer, prefix, 8));
    FT_TRY(write_exact(writer, json, length));
    return write_exact(writer, "        ", padded - length);
}

ft_status ft_safetensors_begin(ft_safetensors_writer *writer)
{
    FT_ASSERT(!writer->begun, "%s: begun twice", writer->path);
    char *json = json_dumps(writer->header, JSON_COMPACT);
    if (json == NULL) return ft_error(FT_E_NOMEM, "out of memory: header of %s", writer->path);
    ft_status status = write_header(writer, json);
    free(json);
    writer->begun = status == FT_OK;
    return status;
}

ft_status ft_safetensors_write(ft_safetensors_writer *writer, const void *data, int64_t bytes)
{
    FT_ASSERT(writer->begun && bytes >= 0, "%s: data before begin", writer->path);
    if (bytes > writer->data_bytes - writer->written)
        return ft_error(FT_E_INTERNAL, "%s: more data than the %" PRId64 " bytes declared", writer->path, writer->data_bytes);
    FT_TRY(write_exact(writer, data, (size_t)bytes));
    writer->written += bytes;
    return FT_OK;
}

ft_status ft_safetensors_finish(ft_safetensors_writer *writer, bool sync)
{
    FT_ASSERT(writer->begun && !writer->finished, "%s: finished before begin or twice", writer->path);
    if (writer->written != writer->data_bytes)
        return ft_error(FT_E_INTERNAL, "%s: %" PRId64 " bytes written of %" PRId64 " declared", writer->path, writer->written,
                        writer->data_bytes);
    if (sync && fsync(writer->fd) != 0) return ft_error_errno(FT_E_IO, errno, "%s: fsync", writer->path);
    int code = close(writer->fd) == 0 ? 0 : errno;
    writer->fd = -1;
    if (code != 0) return ft_error_errno(FT_E_IO, code, "%s: close", writer->path);
    writer->finished = true;
    return FT_OK;
}

void ft_safetensors_discard(ft_safetensors_writer *writer)
{
    if (writer == NULL) return;
    bool created = writer->fd >= 0 || writer->begun;
    if (writer->fd >= 0) close(writer->fd);
    if (created && !writer->finished) unlink(writer->path);
    json_decref(writer->header);
    ft_free(writer->path);
    ft_free(writer);
}
