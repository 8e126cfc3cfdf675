#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hub_cache.h"
#include "io/model_shards.h"
#include "io/safetensors_header.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ft_tensor_info *const *)a)->name, (*(const ft_tensor_info *const *)b)->name);
}

// A snapshot of the hub's cache may hold everything but the weights.
static ft_status missing_weights(const char *directory, const char *name, ft_status status)
{
    char *repository = ft_hub_repository_id(directory);
    if (repository == NULL) return status;
    status = ft_error(FT_E_NOT_FOUND, "%s: the weights are not in the cache (no %s in %s): `ft-single download %s` fetches them", repository, name,
                      directory, repository);
    ft_free(repository);
    return status;
}

static ft_status open_shard(ft_model_files *model, const char *name)
{
    char *path = ft_path_join(model->directory, name);
    FT_ALLOC_CHECK(path);
    ft_safetensors *file = &model->files[model->n_files];
    ft_status status = ft_safetensors_open(file, path);
    ft_free(path);
    if (status == FT_E_NOT_FOUND) return missing_weights(model->directory, name, status);
    if (status != FT_OK) return status;
    for (int i = 0; i < file->n_tensors; i++) file->tensors[i].file = model->n_files;
    model->n_files++;
    return FT_OK;
}

// Fills `sorted` and the totals from the open shards.
static ft_status sort_tensors(ft_model_files *model)
{
    int n = 0;
    for (int i = 0; i < model->n_files; i++) n += model->files[i].n_tensors;
    model->sorted = FT_NEW_ARRAY(const ft_tensor_info *, n);
    FT_ALLOC_CHECK(model->sorted);
    for (int i = 0; i < model->n_files; i++) {
        for (int k = 0; k < model->files[i].n_tensors; k++) {
            const ft_tensor_info *tensor = &model->files[i].tensors[k];
            model->sorted[model->n_tensors++] = tensor;
            model->total_bytes += tensor->bytes;
        }
    }
    qsort(model->sorted, (size_t)n, sizeof *model->sorted, by_name);
    for (int i = 1; i < n; i++) {
        const ft_tensor_info *a = model->sorted[i - 1], *b = model->sorted[i];
        if (strcmp(a->name, b->name) == 0)
            return ft_error(FT_E_INPUT, "%s: tensor \"%.160s\" is in %s too", model->files[b->file].path, b->name,
                            ft_path_base(model->files[a->file].path));
    }
    return FT_OK;
}

// A shard is a file of the directory itself; an index must not lead elsewhere.
static ft_status check_shard_name(const char *index, const char *name)
{
    if (name == NULL || name[0] == 0 || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return ft_error(FT_E_INPUT, "%s: weight_map has \"%.160s\" where a file name belongs", index, name == NULL ? "" : name);
    return FT_OK;
}

static ft_status open_shards(ft_model_files *model, const char *index, json_t *map)
{
    const char *tensor;
    json_t *shard;
    size_t n = 0;
    const char **names = FT_NEW_ARRAY(const char *, json_object_size(map));
    FT_ALLOC_CHECK(names);
    ft_status status = FT_OK;
    json_object_foreach(map, tensor, shard) {
        names[n] = json_string_value(shard);
        FT_TRY_GOTO(status, out, check_shard_name(index, names[n++]));
    }
    qsort(names, n, sizeof *names, by_text);
    model->files = FT_NEW_ARRAY(ft_safetensors, n);
    status = model->files == NULL ? FT_E_NOMEM : FT_OK;
    for (size_t i = 0; i < n && status == FT_OK; i++) {
        if (i == 0 || strcmp(names[i - 1], names[i]) != 0) status = open_shard(model, names[i]);
    }
out:
    ft_free(names);
    return status;
}

// Every tensor of the index is in the shard it names, and no shard has one that the index lacks.
static ft_status check_index(const ft_model_files *model, const char *index, json_t *map)
{
    const char *name;
    json_t *shard;
    json_object_foreach(map, name, shard) {
        const ft_tensor_info *tensor = ft_model_files_find(model, name);
        const char *holder = tensor == NULL ? NULL : ft_path_base(model->files[tensor->file].path);
        if (holder == NULL || strcmp(holder, json_string_value(shard)) != 0)
            return ft_error(FT_E_INPUT, "%s: tensor \"%.160s\" should be in %s but is in %s", index, name,
                            json_string_value(shard), holder == NULL ? "no shard" : holder);
    }
    for (int i = 0; i < model->n_tensors; i++) {
        const ft_tensor_info *tensor = model->sorted[i];
        if (json_object_get(map, tensor->name) == NULL)
            return ft_error(FT_E_INPUT, "%s: tensor \"%.160s\" is not in %s", model->files[tensor->file].path, tensor->name,
                            FT_MODEL_INDEX);
    }
    return FT_OK;
}

static ft_status open_indexed(ft_model_files *model, const char *index)
{
    char *text;
    size_t bytes;
    json_error_t error;
    FT_TRY(ft_file_read(index, FT_SAFETENSORS_MAX_HEADER, &text, &bytes));
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    json_t *map = json_object_get(root, "weight_map");
    ft_status status = FT_OK;
    if (root == NULL) status = ft_error(FT_E_INPUT, "%s: line %d: %s", index, error.line, error.text);
    else if (!json_is_object(map) || json_object_size(map) == 0) status = ft_error(FT_E_INPUT, "%s: no weight_map", index);
    if (status == FT_OK) status = open_shards(model, index, map);
    if (status == FT_OK) status = sort_tensors(model);
    if (status == FT_OK) status = check_index(model, index, map);
    json_decref(root);
    ft_free(text);
    return status;
}

static ft_status open_single(ft_model_files *model)
{
    model->files = FT_NEW(ft_safetensors);
    FT_ALLOC_CHECK(model->files);
    FT_TRY(open_shard(model, FT_MODEL_SINGLE));
    return sort_tensors(model);
}

// As transformers does: the single file wins over an index.
static ft_status open_either(ft_model_files *model, const char *single, const char *index)
{
    if (single == NULL || index == NULL) return FT_E_NOMEM;
    if (ft_path_exists(single)) return open_single(model);
    if (ft_path_exists(index)) return open_indexed(model, index);
    ft_status status = ft_error(FT_E_NOT_FOUND, "%s: neither %s nor %s is there", model->directory, FT_MODEL_SINGLE, FT_MODEL_INDEX);
    return missing_weights(model->directory, FT_MODEL_SINGLE, status);
}

ft_status ft_model_files_open(ft_model_files *model, const char *directory)
{
    *model = (ft_model_files){.directory = ft_strdup(directory)};
    FT_ALLOC_CHECK(model->directory);
    char *single = ft_path_join(directory, FT_MODEL_SINGLE), *index = ft_path_join(directory, FT_MODEL_INDEX);
    ft_status status = open_either(model, single, index);
    ft_free(single);
    ft_free(index);
    if (status != FT_OK) ft_model_files_close(model);
    return status;
}

void ft_model_files_close(ft_model_files *model)
{
    for (int i = 0; i < model->n_files; i++) ft_safetensors_close(&model->files[i]);
    ft_free(model->files);
    ft_free(model->sorted);
    ft_free(model->directory);
    *model = (ft_model_files){0};
}

const ft_tensor_info *ft_model_files_find(const ft_model_files *model, const char *name)
{
    ft_tensor_info wanted = {.name = (char *)name};
    const ft_tensor_info *key = &wanted;
    const ft_tensor_info **found = bsearch(&key, model->sorted, (size_t)model->n_tensors, sizeof *model->sorted, by_name);
    return found == NULL ? NULL : *found;
}

ft_status ft_model_files_read(const ft_model_files *model, const ft_tensor_info *tensor, int64_t begin, int64_t n, void *dst)
{
    FT_ASSERT(tensor->file >= 0 && tensor->file < model->n_files);
    return ft_safetensors_read(&model->files[tensor->file], tensor, begin, n, dst);
}
