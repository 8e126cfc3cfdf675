#include <jansson.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/merge_internal.h"

#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"

// NULL for a tensor that the output does not have.
static merge_item *item_of(const merge *m, const ft_tensor_info *info)
{
    for (int64_t i = 0; i < m->n_items; i++)
        if (m->items[i].info == info) return &m->items[i];
    return NULL;
}

static ft_status check_target(const merge *m, const ft_tensor_info *info, const ft_adapter_tensor *a)
{
    int64_t out = a[1].rows, in = a->cols;
    if (info->rank != 2 || info->shape[0] != out || info->shape[1] != in)
        return ft_error(FT_E_INPUT, "%s: %.160s is not [%lld, %lld] as config.json says", m->source.files[info->file].path, info->name,
                        (long long)out, (long long)in);
    ft_dtype dtype = ft_merge_dtype(m, info);
    if (dtype != FT_DTYPE_F32 && dtype != FT_DTYPE_F16 && dtype != FT_DTYPE_BF16)
        return ft_error(FT_E_UNSUPPORTED, "%s: %.160s is %s; F32, F16, BF16 and scaled F8_E4M3 weights are merged", m->source.files[info->file].path,
                        info->name, ft_dtype_name(info->dtype));
    return FT_OK;
}

static ft_status mark_adapted(merge *m)
{
    for (int64_t t = 0; t < m->adapter.n_tensors; t += 2) {
        const ft_adapter_tensor *a = &m->adapter.tensor[t];
        char name[FT_TENSOR_NAME];
        ft_shape_tensor_name(&m->shape, ft_linear_role(a->linear), a->layer, name);
        const ft_tensor_info *info = ft_model_files_find(&m->source, name);
        if (info == NULL) return ft_error(FT_E_INPUT, "%s: has no %s, which the adapter changes", m->options->model, name);
        FT_TRY(check_target(m, info, a));
        item_of(m, info)->adapted = t;
        m->result->merged++;
    }
    return FT_OK;
}

static ft_status list_items(merge *m)
{
    FT_ALLOC_CHECK(m->items = FT_NEW_ARRAY(merge_item, m->source.n_tensors));
    for (int f = 0; f < m->source.n_files; f++)
        for (int i = 0; i < m->source.files[f].n_tensors; i++) {
            const ft_tensor_info *info = &m->source.files[f].tensors[i];
            ft_dtype dtype = ft_merge_dtype(m, info);
            if (!ft_merge_is_kept(m, info)) continue;
            merge_item *item = &m->items[m->n_items++];
            *item = (merge_item){.info = info, .dtype = dtype, .bytes = info->elements * (int64_t)ft_dtype_bytes(dtype), .adapted = -1};
            m->total_bytes += item->bytes;
            FT_TRY(ft_merge_check_scales(m, item));
        }
    m->result->tensors = m->n_items;
    return mark_adapted(m);
}

static ft_status shards_of_source(merge *m)
{
    int64_t at = 0;
    FT_ALLOC_CHECK(m->shards = FT_NEW_ARRAY(merge_shard, m->source.n_files));
    for (int f = 0; f < m->source.n_files; f++) {
        int64_t begin = at;
        while (at < m->n_items && m->items[at].info->file == f) at++;
        if (at == begin) continue;
        merge_shard *shard = &m->shards[m->n_shards++];
        *shard = (merge_shard){ft_strdup(ft_path_base(m->source.files[f].path)), begin, at};
        FT_ALLOC_CHECK(shard->name);
    }
    m->indexed = m->n_shards > 1 || strcmp(m->shards[0].name, SINGLE) != 0;
    return FT_OK;
}

// Items in order; a shard ends before the tensor that would make it too large.
static ft_status shards_of_size(merge *m, int64_t most)
{
    int64_t bytes = 0;
    FT_ALLOC_CHECK(m->shards = FT_NEW_ARRAY(merge_shard, m->n_items));
    for (int64_t i = 0; i < m->n_items; i++) {
        if (i == 0 || bytes + m->items[i].bytes > most) {
            m->shards[m->n_shards++] = (merge_shard){.begin = i};
            bytes = 0;
        }
        bytes += m->items[i].bytes;
        m->shards[m->n_shards - 1].end = i + 1;
    }
    m->indexed = m->n_shards > 1;
    for (int64_t s = 0; s < m->n_shards; s++) {
        m->shards[s].name =
            m->indexed ? ft_format("model-%05lld-of-%05lld.safetensors", (long long)s + 1, (long long)m->n_shards) : ft_strdup(SINGLE);
        FT_ALLOC_CHECK(m->shards[s].name);
    }
    return FT_OK;
}

ft_status ft_merge_plan(merge *m)
{
    FT_TRY(list_items(m));
    return m->options->shard_bytes > 0 ? shards_of_size(m, m->options->shard_bytes) : shards_of_source(m);
}

void ft_merge_plan_free(merge *m)
{
    for (int64_t s = 0; s < m->n_shards; s++) ft_free(m->shards[s].name);
    ft_free(m->shards);
    ft_free(m->items);
}

static json_t *index_json(const merge *m)
{
    json_t *map = json_object();
    for (int64_t s = 0; s < m->n_shards; s++)
        for (int64_t i = m->shards[s].begin; i < m->shards[s].end; i++)
            json_object_set_new(map, m->items[i].info->name, json_string(m->shards[s].name));
    if (json_object_size(map) == (size_t)m->n_items)
        return json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)m->total_bytes, "weight_map", map);
    json_decref(map);
    return NULL;
}

ft_status ft_merge_write_index(const merge *m)
{
    if (!m->indexed) return FT_OK;
    json_t *root = index_json(m);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL, *path = ft_commit_path(&m->commit, INDEX);
    ft_status status = text && path ? ft_file_write(path, text, strlen(text)) : ft_error(FT_E_NOMEM, "out of memory while writing " INDEX);
    json_decref(root);
    ft_free(text);
    ft_free(path);
    return status;
}
