// The source of a base store: config.json, tensor files, and the check that they describe the same model.
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

#define CONFIG_BYTES_MAX ((size_t)16 << 20)

const char *ft_base_format_name(ft_base_format format)
{
    return format == FT_BASE_FP8 ? "fp8" : "bf16";
}

// Names that only quantized checkpoints have (compressed-tensors, DeepSeek, AutoGPTQ, AWQ, bitsandbytes). Reading the codes
// without them would give a different model, so they are refused by name.
static bool is_quantized_leftover(const char *name)
{
    static const char *const suffixes[] = {".weight_scale", ".weight_scale_inv", ".input_scale",   ".weight_packed",
                                           ".qweight",      ".qzeros",           ".scales",        ".g_idx",
                                           ".absmax",       ".quant_map",        ".weight_format", ".SCB"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t n = strlen(suffixes[i]);
        if (length > n && strcmp(name + length - n, suffixes[i]) == 0) return true;
    }
    return false;
}

static const char *file_of(const ft_store_source *source, const ft_tensor_info *tensor)
{
    return source->files.files[tensor->file].path;
}

static ft_status check_names(const ft_store_source *source)
{
    for (int i = 0; i < source->files.n_tensors; i++) {
        const ft_tensor_info *tensor = source->files.sorted[i];
        if (is_quantized_leftover(tensor->name))
            return ft_error(FT_E_UNSUPPORTED, "%s: tensor %s: quantized checkpoints are not supported: use the bf16 one",
                            file_of(source, tensor), tensor->name);
    }
    return FT_OK;
}

// "[4096, 1024]"; vectors have one dimension.
static void shape_text(ft_text *text, int rank, const int64_t *shape)
{
    ft_text_add(text, "[", 1);
    for (int i = 0; i < rank; i++) ft_text_printf(text, "%s%lld", i > 0 ? ", " : "", (long long)shape[i]);
    ft_text_add(text, "]", 1);
}

static ft_status shape_error(const ft_store_source *source, const char *name, const ft_tensor_info *found, int rank,
                             const int64_t *expected)
{
    ft_text want = {0}, have = {0};
    shape_text(&want, rank, expected);
    if (found != NULL) shape_text(&have, found->rank, found->shape);
    ft_status status;
    if (want.data == NULL || (found != NULL && have.data == NULL))
        status = FT_E_NOMEM;
    else if (found == NULL)
        status = ft_error(FT_E_INPUT, "%s: tensor %s %s is missing", source->directory, name, want.data);
    else
        status = ft_error(FT_E_INPUT, "%s: tensor %s is %s, config.json says %s", file_of(source, found), name, have.data,
                          want.data);
    ft_text_free(&want);
    ft_text_free(&have);
    return status;
}

static bool shape_matches(const ft_tensor_info *found, int rank, const int64_t *expected)
{
    if (found->rank != rank) return false;
    for (int i = 0; i < rank; i++)
        if (found->shape[i] != expected[i]) return false;
    return true;
}

static ft_status check_role(const ft_store_source *source, ft_role role, int64_t layer)
{
    char name[FT_TENSOR_NAME];
    if (role == FT_ROLE_HEAD && source->shape.tied) return FT_OK;
    if (!ft_shape_tensor_name(&source->shape, role, layer, name)) return FT_OK;
    int64_t matrix[2];
    ft_shape_role(&source->shape, role, &matrix[0], &matrix[1]);
    bool vector = !ft_role_is_matrix(role);
    const int64_t *expected = vector ? matrix + 1 : matrix;
    const ft_tensor_info *found = ft_model_files_find(&source->files, name);
    if (found == NULL || !shape_matches(found, vector ? 1 : 2, expected))
        return shape_error(source, name, found, vector ? 1 : 2, expected);
    if (found->dtype != FT_DTYPE_BF16 && found->dtype != FT_DTYPE_F16 && found->dtype != FT_DTYPE_F32)
        return ft_error(FT_E_UNSUPPORTED, "%s: tensor %s is %s: weights must be BF16, F16 or F32", file_of(source, found), name,
                        ft_dtype_name(found->dtype));
    return FT_OK;
}

static ft_status check_tensors(const ft_store_source *source)
{
    FT_TRY(check_names(source));
    for (int64_t layer = 0; layer < source->shape.layers; layer++)
        for (ft_role role = 0; role < FT_ROLE_LAYER_COUNT; role++) FT_TRY(check_role(source, role, layer));
    for (ft_role role = FT_ROLE_LAYER_COUNT; role < FT_ROLE_COUNT; role++) FT_TRY(check_role(source, role, -1));
    return FT_OK;
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

static ft_dtype source_dtype(void *context, ft_role role, int64_t layer)
{
    return ft_store_source_tensor(context, role, layer)->dtype;
}

static ft_status read_config(ft_store_source *source)
{
    size_t bytes;
    char *path = ft_path_join(source->directory, "config.json");
    FT_ALLOC_CHECK(path);
    ft_status status = ft_file_read(path, CONFIG_BYTES_MAX, &source->config, &bytes);
    if (status == FT_E_NOT_FOUND)
        status = ft_error(FT_E_INPUT, "%s has no config.json: give the directory of a model", source->directory);
    if (status == FT_OK) status = ft_shape_parse(&source->shape, source->config, path);
    ft_free(path);
    return status;
}

static ft_status open_parts(ft_store_source *source, const char *directory, ft_base_format format)
{
    char absolute[PATH_MAX];
    if (realpath(directory, absolute) == NULL) return ft_error_errno(FT_E_INPUT, errno, "model directory %s", directory);
    source->directory = ft_strdup(absolute);
    FT_ALLOC_CHECK(source->directory);
    FT_TRY(read_config(source));
    FT_TRY(ft_model_files_open(&source->files, source->directory));
    FT_TRY(check_tensors(source));
    return ft_layout_make(&source->layout, &source->shape, format, source_dtype, source);
}

ft_status ft_store_source_open(ft_store_source *source, const char *directory, ft_base_format format)
{
    *source = (ft_store_source){0};
    ft_status status = open_parts(source, directory, format);
    if (status != FT_OK) ft_store_source_close(source);
    return status;
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

// Blocks spread over a file's data, so that two models of one geometry (a base and its fine-tunes) are told apart without
// reading them whole.
#define SAMPLES 32
#define SAMPLE_BYTES 4096
static ft_status hash_samples(const ft_safetensors *file, ft_hash128 *sum)
{
    char block[SAMPLE_BYTES];
    int64_t begin = 8 + file->header_bytes, room = file->file_bytes - begin - SAMPLE_BYTES;
    for (int64_t i = 0; i < SAMPLES; i++) {
        int64_t offset = begin + (room > 0 ? room * i / (SAMPLES - 1) : 0);
        ssize_t n = pread(file->fd, block, sizeof block, offset);
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
        FT_TRY(hash_samples(&files->files[i], &sum));
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
