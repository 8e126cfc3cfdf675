#include <string.h>

#include "common/codec.h"
#include "common/file.h"
#include "common/memory.h"
#include "train/adapter_file.h"

#define PIECE 65536  // elements converted at once
#define MAX_HEADER ((size_t)128 << 20)

typedef struct {
    ft_safetensors_writer *writer;
    ft_checkpoint_manifest *manifest;
    ft_hasher *whole;
    int file;              // index in the manifest
    int64_t at;            // bytes of the file so far
    ft_dtype dtype;
    void *piece;           // converted elements; NULL for F32
} output;

static void entry_name(char name[FT_ADAPTER_KEY + 32], const char *prefix, const ft_shape *shape, const ft_adapter_tensor *tensor)
{
    char key[FT_ADAPTER_KEY];
    ft_adapter_tensor_name(shape, tensor, key);
    size_t length = strlen(prefix);
    FT_ASSERT(length < 32);
    memcpy(name, prefix, length);
    strcpy(name + length, key);
}

static ft_status declare(output *o, const ft_adapter_layout *adapter, const ft_shape *shape, const ft_adapter_array *array)
{
    char name[FT_ADAPTER_KEY + 32];
    for (int64_t t = 0; t < adapter->n_tensors; t++) {
        const ft_adapter_tensor *tensor = &adapter->tensor[t];
        entry_name(name, array->prefix, shape, tensor);
        FT_TRY(ft_safetensors_declare(o->writer, name, o->dtype, 2, (int64_t[]){tensor->rows, tensor->cols}));
    }
    return FT_OK;
}

// The header was composed by the writer: its bytes are taken from the file, for the hash of the whole.
static ft_status begin(output *o, const char *path)
{
    char *header;
    size_t bytes;
    FT_TRY(ft_safetensors_begin(o->writer));
    FT_TRY(ft_file_read(path, MAX_HEADER, &header, &bytes));
    ft_hasher_add(o->whole, header, bytes);
    o->at = (int64_t)bytes;
    ft_free(header);
    return FT_OK;
}

static ft_status write_piece(output *o, ft_hasher *part, const float *values, int64_t n)
{
    const void *data = values;
    if (o->dtype != FT_DTYPE_F32) {
        FT_TRY(ft_convert_from_f32(o->piece, values, o->dtype, (size_t)n));
        data = o->piece;
    }
    int64_t bytes = n * (int64_t)ft_dtype_bytes(o->dtype);
    ft_hasher_add(part, data, (size_t)bytes);
    ft_hasher_add(o->whole, data, (size_t)bytes);
    o->at += bytes;
    return ft_safetensors_write(o->writer, data, bytes);
}

static ft_status write_values(output *o, const float *values, int64_t n, ft_hash128 *hash)
{
    ft_hasher *part;
    FT_TRY(ft_hasher_new(&part));
    ft_status status = FT_OK;
    for (int64_t done = 0; done < n && status == FT_OK; done += PIECE)
        status = write_piece(o, part, values + done, n - done < PIECE ? n - done : PIECE);
    *hash = ft_hasher_finish(part);
    ft_hasher_free(part);
    return status;
}

static ft_status write_array(output *o, const ft_adapter_layout *adapter, const ft_shape *shape, const ft_adapter_array *array)
{
    char name[FT_ADAPTER_KEY + 32];
    for (int64_t t = 0; t < adapter->n_tensors; t++) {
        const ft_adapter_tensor *tensor = &adapter->tensor[t];
        entry_name(name, array->prefix, shape, tensor);
        ft_checkpoint_manifest_entry entry = {.parameter = name, .dtype = o->dtype, .rank = 2, .shape = {tensor->rows, tensor->cols},
                                   .end = {tensor->rows, tensor->cols}, .file = o->file, .offset = o->at};
        FT_TRY(write_values(o, array->values + tensor->offset, tensor->rows * tensor->cols, &entry.hash));
        entry.length = o->at - entry.offset;
        FT_TRY(ft_checkpoint_manifest_add_entry(o->manifest, &entry));
    }
    return FT_OK;
}

static ft_status write_file(output *o, const char *path, const ft_adapter_layout *adapter, const ft_shape *shape,
                            const ft_adapter_array *arrays, int n_arrays)
{
    if (o->dtype != FT_DTYPE_F32) FT_ALLOC_CHECK(o->piece = ft_malloc(PIECE * ft_dtype_bytes(o->dtype)));
    FT_TRY(ft_hasher_new(&o->whole));
    FT_TRY(ft_safetensors_create(&o->writer, path));
    FT_TRY(ft_safetensors_metadata_add(o->writer, "format", "pt"));
    for (int i = 0; i < n_arrays; i++) FT_TRY(declare(o, adapter, shape, &arrays[i]));
    FT_TRY(begin(o, path));
    for (int i = 0; i < n_arrays; i++) FT_TRY(write_array(o, adapter, shape, &arrays[i]));
    o->manifest->files[o->file].bytes = o->at;
    o->manifest->files[o->file].hash = ft_hasher_finish(o->whole);
    return ft_safetensors_finish(o->writer, true);
}

ft_status ft_adapter_write(const char *directory, const char *name, const ft_adapter_layout *adapter, const ft_shape *shape,
                           const ft_adapter_array *arrays, int n_arrays, ft_dtype dtype, ft_checkpoint_manifest *manifest)
{
    char *path = ft_path_join(directory, name);
    FT_ALLOC_CHECK(path);
    output o = {.manifest = manifest, .dtype = dtype, .file = (int)manifest->n_files};
    ft_status status = ft_checkpoint_manifest_add_file(manifest, name, 0, (ft_hash128){0});
    if (status == FT_OK) status = write_file(&o, path, adapter, shape, arrays, n_arrays);
    ft_safetensors_discard(o.writer);
    ft_hasher_free(o.whole);
    ft_free(o.piece);
    ft_free(path);
    return status;
}
