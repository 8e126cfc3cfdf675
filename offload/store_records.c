// Records as the manifest writes them down, and the layout made again from it.
#include <string.h>

#include "offload/store_internal.h"

static json_t *tensor_json(const ft_shape *shape, const ft_record *record, const ft_record_tensor *tensor)
{
    json_t *names = json_array();
    for (int i = 0; i < tensor->n_parts; i++) {
        char name[FT_TENSOR_NAME];
        bool has = ft_shape_tensor_name(shape, tensor->role + i, record->layer, name);
        FT_ASSERT(has);
        json_array_append_new(names, json_string(name));
    }
    return json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "names", names, "dtype", ft_dtype_name(tensor->dtype), "scales",
                     tensor->kind == FT_SCALE_TILE ? "tile" : "none", "rows", (json_int_t)tensor->rows, "cols",
                     (json_int_t)tensor->cols, "codes_at", (json_int_t)tensor->codes, "scales_at", (json_int_t)tensor->scales,
                     "scales_t_at", (json_int_t)tensor->scales_t);
}

static json_t *record_json(const ft_shape *shape, const ft_record *record)
{
    static const char *const kinds[] = {"layer", "embed", "head"};
    json_t *tensors = json_array(), *extents = json_array();
    for (int i = 0; i < record->n_tensors; i++) json_array_append_new(tensors, tensor_json(shape, record, &record->tensor[i]));
    for (int g = 0; g < FT_GROUP_COUNT; g++) json_array_append_new(extents, json_integer(record->extent[g].bytes));
    json_t *object = json_pack("{s:s, s:I, s:I, s:o, s:o}", "kind", kinds[record->kind], "layer", (json_int_t)record->layer,
                               "bytes", (json_int_t)record->bytes, "extents", extents, "tensors", tensors);
    bool whole = object != NULL && (int)json_array_size(tensors) == record->n_tensors && json_array_size(extents) == FT_GROUP_COUNT;
    if (whole) return object;
    json_decref(object);
    return NULL;
}

json_t *ft_records_json(const ft_layout *layout)
{
    json_t *records = json_array();
    for (int i = 0; i < layout->n_records; i++) {
        if (json_array_append_new(records, record_json(&layout->shape, &layout->record[i])) == 0) continue;
        json_decref(records);
        return NULL;
    }
    return records;
}

// The dtype the manifest gives a tensor; NONE if it does not have it.
typedef struct {
    const ft_manifest *manifest;
    const ft_shape *shape;
} dtype_lookup;

static ft_dtype manifest_dtype(void *context, ft_role role, int64_t layer)
{
    const dtype_lookup *lookup = context;
    char wanted[FT_TENSOR_NAME];
    if (!ft_shape_tensor_name(lookup->shape, role, layer, wanted)) return FT_DTYPE_NONE;
    int64_t record = role == FT_ROLE_EMBED ? lookup->shape->layers : layer >= 0 ? layer : lookup->shape->layers + 1;
    json_t *tensors = json_object_get(json_array_get(lookup->manifest->records, (size_t)record), "tensors"), *tensor;
    size_t i;
    json_array_foreach(tensors, i, tensor)
    {
        const char *name = json_string_value(json_array_get(json_object_get(tensor, "names"), 0));
        const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
        if (name != NULL && dtype != NULL && strcmp(name, wanted) == 0) return ft_dtype_from_name(dtype);
    }
    return FT_DTYPE_NONE;
}

ft_status ft_manifest_layout(const ft_manifest *manifest, const ft_shape *shape, ft_layout *layout)
{
    dtype_lookup lookup = {manifest, shape};
    FT_TRY(ft_layout_make(layout, shape, manifest->format, manifest_dtype, &lookup));
    json_t *records = ft_records_json(layout);
    ft_status status = FT_OK;
    if (records == NULL)
        status = ft_error(FT_E_NOMEM, "out of memory: the layout of store %s could not be written down", manifest->id);
    else if (!json_equal(records, manifest->records))
        status = ft_error(FT_E_CORRUPT, "base store %s does not have the layout that config.json asks for: remove it, prepare again",
                          manifest->id);
    json_decref(records);
    if (status != FT_OK) ft_layout_free(layout);
    return status;
}
