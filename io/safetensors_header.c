#include "io/safetensors_header.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

// A tensor's name in messages: long enough to find it, short enough for one line.
#define NAME "tensor \"%.160s\""

typedef struct {
    int64_t begin, bytes;  // where the data part lies in the file
} data_part;

void ft_safetensors_free_tensors(ft_tensor_info *tensors, int n)
{
    for (int i = 0; i < n; i++) ft_free(tensors[i].name);
    ft_free(tensors);
}

static ft_status load(const char *path, const char *json, size_t bytes, json_t **root)
{
    json_error_t error;
    // The reference implementation wants the brace first, too: it tells a header from eight random bytes early.
    if (bytes == 0 || json[0] != '{') return ft_error(FT_E_INPUT, "%s: the header is not a JSON object", path);
    *root = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &error);
    if (*root != NULL) return FT_OK;
    for (char *at = error.text; *at != 0; at++) {
        if ((unsigned char)*at < 0x20) *at = ' ';
    }
    return ft_error(FT_E_INPUT, "%s: the header is not valid JSON: %s at byte %d", path, error.text, error.position);
}

static ft_status check_name(const char *path, const char *name)
{
    for (const char *at = name; *at != 0; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return ft_error(FT_E_INPUT, "%s: a tensor's name has a control character at byte %td", path, at - name);
    }
    return FT_OK;
}

static ft_status parse_dtype(const char *path, const json_t *entry, ft_tensor_info *tensor)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (name == NULL) return ft_error(FT_E_INPUT, "%s: " NAME ": no dtype", path, tensor->name);
    tensor->dtype = ft_dtype_from_name(name);
    if (tensor->dtype == FT_DTYPE_NONE || strcmp(ft_dtype_name(tensor->dtype), name) != 0)  // torch's names are not allowed here
        return ft_error(FT_E_UNSUPPORTED, "%s: " NAME ": dtype %.32s is not known", path, tensor->name, name);
    return FT_OK;
}

static ft_status parse_shape(const char *path, const json_t *entry, ft_tensor_info *tensor)
{
    const json_t *shape = json_object_get(entry, "shape");
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape)) return ft_error(FT_E_INPUT, "%s: " NAME ": no shape", path, tensor->name);
    if (rank > FT_TENSOR_MAX_RANK)
        return ft_error(FT_E_UNSUPPORTED, "%s: " NAME ": %zu dimensions, at most %d", path, tensor->name, rank,
                        FT_TENSOR_MAX_RANK);
    tensor->rank = (int)rank;
    tensor->elements = 1;
    bool overflow = false;
    for (size_t i = 0; i < rank; i++) {
        const json_t *extent = json_array_get(shape, i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return ft_error(FT_E_INPUT, "%s: " NAME ": dimension %zu is not a size", path, tensor->name, i);
        tensor->shape[i] = json_integer_value(extent);
        overflow = overflow || __builtin_mul_overflow(tensor->elements, tensor->shape[i], &tensor->elements);
    }
    overflow = overflow || __builtin_mul_overflow(tensor->elements, (int64_t)ft_dtype_bytes(tensor->dtype), &tensor->bytes);
    return overflow ? ft_error(FT_E_INPUT, "%s: " NAME ": the shape has more than 2^63 bytes", path, tensor->name) : FT_OK;
}

static ft_status parse_offsets(const char *path, const json_t *entry, data_part data, ft_tensor_info *tensor)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return ft_error(FT_E_INPUT, "%s: " NAME ": data_offsets are not two numbers", path, tensor->name);
    int64_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin || end > data.bytes)
        return ft_error(FT_E_INPUT,
                        "%s: " NAME ": data_offsets [%" PRId64 ", %" PRId64 "] leave the %" PRId64
                        " bytes of data (is the file whole?)",
                        path, tensor->name, begin, end, data.bytes);
    if (end - begin != tensor->bytes)
        return ft_error(FT_E_INPUT, "%s: " NAME ": data_offsets span %" PRId64 " bytes, dtype and shape need %" PRId64, path,
                        tensor->name, end - begin, tensor->bytes);
    tensor->offset = data.begin + begin;
    return FT_OK;
}

static int by_offset(const void *a, const void *b)
{
    const ft_tensor_info *left = a, *right = b;
    if (left->offset != right->offset) return left->offset < right->offset ? -1 : 1;
    if (left->bytes != right->bytes) return left->bytes < right->bytes ? -1 : 1;
    return strcmp(left->name, right->name);
}

// Sorted by offset, the tensors must tile the data part: what is not named by the header could hide anything.
static ft_status check_tiling(const char *path, const ft_tensor_info *tensors, int n, data_part data)
{
    int64_t at = data.begin, end = data.begin + data.bytes;
    for (int i = 0; i < n; i++) {
        if (tensors[i].offset != at)
            return ft_error(FT_E_INPUT, "%s: " NAME " starts at byte %" PRId64 ", %s byte %" PRId64, path, tensors[i].name,
                            tensors[i].offset, tensors[i].offset > at ? "leaving a gap after" : "overlapping what ends at", at);
        at += tensors[i].bytes;
    }
    return at == end ? FT_OK
                     : ft_error(FT_E_INPUT, "%s: the tensors end at byte %" PRId64 ", the file at %" PRId64, path, at, end);
}

static ft_status check_metadata(const char *path, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (metadata != NULL && !json_is_object(metadata))
        return ft_error(FT_E_INPUT, "%s: %s is not an object", path, FT_SAFETENSORS_METADATA);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return ft_error(FT_E_INPUT, "%s: %s has a value that is not a string", path, FT_SAFETENSORS_METADATA);
    }
    return FT_OK;
}

static ft_status parse_tensor(const char *path, const char *name, const json_t *entry, data_part data, ft_tensor_info *tensor)
{
    FT_TRY(check_name(path, name));
    tensor->name = ft_strdup(name);
    FT_ALLOC_CHECK(tensor->name);
    if (!json_is_object(entry)) return ft_error(FT_E_INPUT, "%s: " NAME ": is not described by an object", path, name);
    FT_TRY(parse_dtype(path, entry, tensor));
    FT_TRY(parse_shape(path, entry, tensor));
    return parse_offsets(path, entry, data, tensor);
}

static ft_status parse_tensors(const char *path, json_t *root, data_part data, ft_tensor_info *tensors, int *n)
{
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry) {
        if (strcmp(name, FT_SAFETENSORS_METADATA) == 0) continue;
        FT_TRY(parse_tensor(path, name, entry, data, &tensors[(*n)++]));
    }
    qsort(tensors, (size_t)*n, sizeof *tensors, by_offset);
    return check_tiling(path, tensors, *n, data);
}

ft_status ft_safetensors_parse(const char *path, const char *json, size_t bytes, int64_t data_begin, int64_t data_bytes,
                               ft_tensor_info **tensors, int *n_tensors)
{
    json_t *root;
    data_part data = {data_begin, data_bytes};
    *tensors = NULL;
    *n_tensors = 0;
    FT_TRY(load(path, json, bytes, &root));
    ft_status status;
    FT_TRY_GOTO(status, out, check_metadata(path, json_object_get(root, FT_SAFETENSORS_METADATA)));
    *tensors = FT_NEW_ARRAY(ft_tensor_info, json_object_size(root));
    status = *tensors == NULL ? FT_E_NOMEM : parse_tensors(path, root, data, *tensors, n_tensors);
out:
    json_decref(root);
    if (status != FT_OK) {
        ft_safetensors_free_tensors(*tensors, *n_tensors);
        *tensors = NULL;
        *n_tensors = 0;
    }
    return status;
}

ft_status ft_safetensors_parse_metadata(const char *path, const char *json, size_t bytes, const char *key, char **value)
{
    json_t *root;
    FT_TRY(load(path, json, bytes, &root));
    const char *text = json_string_value(json_object_get(json_object_get(root, FT_SAFETENSORS_METADATA), key));
    ft_status status = FT_OK;
    if (text == NULL) status = ft_error(FT_E_NOT_FOUND, "%s: no %s \"%.64s\"", path, FT_SAFETENSORS_METADATA, key);
    else if ((*value = ft_strdup(text)) == NULL) status = FT_E_NOMEM;
    json_decref(root);
    return status;
}
