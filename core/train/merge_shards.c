#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/merge_internal.h"

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
    FT_ALLOC_CHECK(m->shards = FT_NEW_ARRAY(ft_model_shard, m->source.n_files));
    for (int f = 0; f < m->source.n_files; f++) {
        int64_t begin = at;
        while (at < m->n_items && m->items[at].info->file == f) at++;
        if (at == begin) continue;
        ft_model_shard *shard = &m->shards[m->n_shards++];
        *shard = (ft_model_shard){ft_strdup(ft_path_base(m->source.files[f].path)), begin, at};
        FT_ALLOC_CHECK(shard->name);
    }
    m->indexed = m->n_shards > 1 || strcmp(m->shards[0].name, FT_MODEL_SINGLE) != 0;
    return FT_OK;
}

ft_status ft_merge_plan(merge *m)
{
    FT_TRY(list_items(m));
    FT_ALLOC_CHECK(m->entries = FT_NEW_ARRAY(ft_model_entry, m->n_items));
    for (int64_t i = 0; i < m->n_items; i++) m->entries[i] = (ft_model_entry){m->items[i].info->name, m->items[i].bytes};
    if (m->options->shard_bytes == 0) return shards_of_source(m);
    FT_TRY(ft_model_shards_cut(&m->shards, &m->n_shards, m->entries, m->n_items, m->options->shard_bytes));
    m->indexed = m->n_shards > 1;
    return FT_OK;
}

void ft_merge_plan_free(merge *m)
{
    ft_model_shards_free(m->shards, m->n_shards);
    ft_free(m->entries);
    ft_free(m->items);
}
