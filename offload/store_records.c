// Records as the manifest writes them down, and the layout made again from it.
#include <string.h>

#include "arch/quantization.h"
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
                     ft_scale_kind_name(tensor->kind), "rows", (json_int_t)tensor->rows, "cols",
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

// The form the manifest gives a tensor; dtype NONE if it does not have it.
typedef struct {
    const ft_manifest *manifest;
    const ft_shape *shape;
} form_lookup;

static bool has_name(const json_t *tensor, const char *wanted)
{
    const json_t *name;
    size_t i;
    json_array_foreach(json_object_get(tensor, "names"), i, name)
        if (json_is_string(name) && strcmp(json_string_value(name), wanted) == 0) return true;
    return false;
}

static ft_form form_in_manifest(const json_t *tensor)
{
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    const char *scales = json_string_value(json_object_get(tensor, "scales"));
    ft_form form = {dtype != NULL ? ft_dtype_from_name(dtype) : FT_DTYPE_NONE, FT_SCALE_NONE};
    for (ft_scale_kind kind = FT_SCALE_NONE; scales != NULL && kind <= FT_SCALE_TILE; kind++)
        if (strcmp(scales, ft_scale_kind_name(kind)) == 0) form.kind = kind;
    return form;
}

static ft_form manifest_form(void *context, ft_role role, int64_t layer)
{
    const form_lookup *lookup = context;
    char wanted[FT_TENSOR_NAME];
    if (!ft_shape_tensor_name(lookup->shape, role, layer, wanted)) return (ft_form){FT_DTYPE_NONE, FT_SCALE_NONE};
    int64_t record = role == FT_ROLE_EMBED ? lookup->shape->layers : layer >= 0 ? layer : lookup->shape->layers + 1;
    json_t *tensors = json_object_get(json_array_get(lookup->manifest->records, (size_t)record), "tensors"), *tensor;
    size_t i;
    json_array_foreach(tensors, i, tensor)
        if (has_name(tensor, wanted)) return form_in_manifest(tensor);
    return (ft_form){FT_DTYPE_NONE, FT_SCALE_NONE};
}

ft_status ft_manifest_layout(const ft_manifest *manifest, const ft_shape *shape, ft_layout *layout)
{
    form_lookup lookup = {manifest, shape};
    FT_TRY(ft_layout_make(layout, shape, manifest->format, manifest_form, &lookup));
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
