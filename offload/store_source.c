// The source of a base store: config.json, tensor files, the layout they give and the id of the store.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "offload/store_internal.h"

const char *ft_base_format_name(ft_base_format format)
{
    return format == FT_BASE_FP8 ? "fp8" : "bf16";
}

const ft_tensor_info *ft_store_source_tensor(const ft_store_source *source, ft_role role, int64_t layer)
{
    char name[FT_TENSOR_NAME];
    bool has = ft_shape_tensor_name(&source->shape, role, layer, name);
    const ft_tensor_info *tensor = has ? ft_model_files_find(&source->files, name) : NULL;
    FT_ASSERT(tensor != NULL, "role %d of layer %lld was checked before", (int)role, (long long)layer);
    return tensor;
}

const ft_safetensors *ft_store_source_file(const ft_store_source *source, const char *name)
{
    for (int i = 0; i < source->files.n_files; i++)
        if (strcmp(ft_path_base(source->files.files[i].path), name) == 0) return &source->files.files[i];
    return NULL;
}

// What the store keeps of a source tensor: record.h.
static ft_form source_form(void *context, ft_role role, int64_t layer)
{
    const ft_store_source *source = context;
    ft_dtype dtype = ft_store_source_tensor(source, role, layer)->dtype;
    bool quantized = source->shape.quantization.method != NULL;
    if (ft_role_is_linear(role) && !quantized) return ft_base_form(source->layout.format);
    return (ft_form){dtype, dtype == FT_DTYPE_F8_E4M3 ? source->shape.quantization.kind : FT_SCALE_NONE};
}

// In messages a file is NAME/FILE.
static ft_status name_files(ft_model_files *files, const char *name)
{
    for (int i = 0; i < files->n_files; i++) {
        char *path = ft_path_join(name, ft_path_base(files->files[i].path));
        FT_ALLOC_CHECK(path);
        ft_free(files->files[i].path);
        files->files[i].path = path;
    }
    return FT_OK;
}

static ft_status open_parts(ft_store_source *source, const char *directory, const char *name, ft_base_format format)
{
    char absolute[PATH_MAX];
    if (realpath(directory, absolute) == NULL) return ft_error_errno(FT_E_INPUT, errno, "model directory %s", directory);
    source->directory = ft_strdup(name != NULL ? name : absolute);
    FT_ALLOC_CHECK(source->directory);
    FT_TRY(ft_shape_read_text(&source->shape, absolute, &source->config));
    FT_TRY(ft_base_format_check(&source->shape, format, source->directory));
    FT_TRY(ft_model_files_open(&source->files, absolute));
    if (name != NULL) FT_TRY(name_files(&source->files, name));
    FT_TRY(ft_store_source_check(source));
    return ft_layout_make(&source->layout, &source->shape, format, source_form, source);
}

ft_status ft_store_source_open_as(ft_store_source *source, const char *directory, const char *name, ft_base_format format)
{
    *source = (ft_store_source){0};
    ft_status status = open_parts(source, directory, name, format);
    if (status != FT_OK) ft_store_source_close(source);
    return status;
}

ft_status ft_store_source_open(ft_store_source *source, const char *directory, ft_base_format format)
{
    return ft_store_source_open_as(source, directory, NULL, format);
}

void ft_store_source_close(ft_store_source *source)
{
    ft_layout_free(&source->layout);
    ft_model_files_close(&source->files);
    ft_free(source->config);
    ft_free(source->directory);
    *source = (ft_store_source){0};
}

static void hash_line(ft_hasher *hasher, const ft_tensor_info *tensor)
{
    char line[256];
    ft_hasher_add(hasher, tensor->name, strlen(tensor->name) + 1);
    int n = snprintf(line, sizeof line, "%s", ft_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank && n < (int)sizeof line; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, " %lld", (long long)tensor->shape[i]);
    ft_hasher_add(hasher, line, strlen(line) + 1);
}

int64_t ft_store_sample_offset(int64_t header_bytes, int64_t file_bytes, int sample)
{
    int64_t begin = 8 + header_bytes, room = file_bytes - begin - FT_STORE_SAMPLE_BYTES;
    return begin + (room > 0 ? room * sample / (FT_STORE_SAMPLES - 1) : 0);
}

ft_status ft_store_hash_samples(const ft_safetensors *file, ft_hash128 *sum)
{
    char block[FT_STORE_SAMPLE_BYTES];
    for (int i = 0; i < FT_STORE_SAMPLES; i++) {
        ssize_t n = pread(file->fd, block, sizeof block, ft_store_sample_offset(file->header_bytes, file->file_bytes, i));
        if (n < 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be read", file->path);
        ft_hash128 hash = ft_hash128_of(block, (size_t)n);
        sum->high += hash.high * (uint64_t)(2 * i + 1);
        sum->low += hash.low * (uint64_t)(2 * i + 1);
    }
    return FT_OK;
}

// The files' hashes enter as a sum: the order in which an index lists its shards is of no consequence.
static ft_status hash_files(const ft_model_files *files, ft_hasher *hasher)
{
    ft_hash128 sum = {0};
    for (int i = 0; i < files->n_files; i++) {
        sum.high += files->files[i].header_hash.high;
        sum.low += files->files[i].header_hash.low;
        FT_TRY(ft_store_hash_samples(&files->files[i], &sum));
    }
    ft_hasher_add(hasher, &sum, sizeof sum);
    return FT_OK;
}

ft_status ft_store_source_id(const ft_store_source *source, ft_base_format format, char id[FT_HASH_TEXT])
{
    ft_hasher *hasher;
    FT_TRY(ft_hasher_new(&hasher));
    char head[64];
    snprintf(head, sizeof head, "ft-store %d %s", FT_STORE_LAYOUT_VERSION, ft_base_format_name(format));
    ft_hasher_add(hasher, head, strlen(head) + 1);
    for (int i = 0; i < source->files.n_tensors; i++) hash_line(hasher, source->files.sorted[i]);
    ft_status status = hash_files(&source->files, hasher);
    ft_hash128_text(ft_hasher_finish(hasher), id);
    ft_hasher_free(hasher);
    return status;
}

ft_status ft_store_id(const char *model_directory, ft_base_format format, char id[FT_HASH_TEXT])
{
    ft_store_source source;
    FT_TRY(ft_store_source_open(&source, model_directory, format));
    ft_status status = ft_store_source_id(&source, format, id);
    ft_store_source_close(&source);
    return status;
}
