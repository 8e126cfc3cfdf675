// Copies of an FP8 model with one thing changed.
#ifndef FT_TESTS_OFFLOAD_FP8_MODEL_H
#define FT_TESTS_OFFLOAD_FP8_MODEL_H

#include <jansson.h>

#include "io/safetensors.h"
#include "offload/store_support.h"

// One change to the tensors, by name, and one to config.json.
typedef struct {
    const char *tensor;               // NULL = none
    const char *name;                 // its new name, "" = left out
    ft_dtype dtype;                   // its new dtype, NONE = as it is
    int rank;                         // its new shape, rank 0 = as it is
    int64_t shape[2];
    int64_t at, n_bytes;              // bytes [at, at + n_bytes) of its data become `bytes`
    uint8_t bytes[4];
    const char *drop_ending;          // tensors with this ending are left out
    const char *config_from, *config_to;  // in the text without white space
} fp8_change;

static inline bool fp8_ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = end != NULL ? strlen(end) : 0;
    return tail > 0 && length > tail && strcmp(name + length - tail, end) == 0;
}

static inline bool fp8_is_left_out(const fp8_change *change, const ft_tensor_info *tensor)
{
    bool named = change->tensor != NULL && strcmp(change->tensor, tensor->name) == 0;
    return fp8_ends_with(tensor->name, change->drop_ending) || (named && change->name != NULL && change->name[0] == 0);
}

static inline ft_tensor_info fp8_changed_info(const fp8_change *change, const ft_tensor_info *tensor)
{
    ft_tensor_info info = *tensor;
    if (change->tensor == NULL || strcmp(change->tensor, tensor->name) != 0) return info;
    if (change->name != NULL) info.name = (char *)(uintptr_t)change->name;
    if (change->dtype != FT_DTYPE_NONE) info.dtype = change->dtype;
    if (change->rank > 0) {
        info.rank = change->rank;
        memcpy(info.shape, change->shape, sizeof change->shape);
    }
    return info;
}

static inline void fp8_copy_tensor(const fp8_change *change, const ft_safetensors *file, const ft_tensor_info *tensor,
                                   ft_safetensors_writer *writer)
{
    uint8_t *data = malloc((size_t)tensor->bytes + 1);
    assert_ok(ft_safetensors_read(file, tensor, 0, tensor->bytes, data));
    if (change->tensor != NULL && strcmp(change->tensor, tensor->name) == 0)
        memcpy(data + change->at, change->bytes, (size_t)change->n_bytes);
    assert_ok(ft_safetensors_write(writer, data, tensor->bytes));
    free(data);
}

static inline void fp8_copy_weights(const fp8_change *change, const char *from, const char *to)
{
    ft_safetensors file;
    ft_safetensors_writer *writer;
    assert_ok(ft_safetensors_open(&file, from));
    assert_ok(ft_safetensors_create(&writer, to));
    for (int i = 0; i < file.n_tensors; i++) {
        ft_tensor_info info = fp8_changed_info(change, &file.tensors[i]);
        if (!fp8_is_left_out(change, &file.tensors[i])) assert_ok(ft_safetensors_declare(writer, info.name, info.dtype, info.rank, info.shape));
    }
    assert_ok(ft_safetensors_begin(writer));
    for (int i = 0; i < file.n_tensors; i++)
        if (!fp8_is_left_out(change, &file.tensors[i])) fp8_copy_tensor(change, &file, &file.tensors[i], writer);
    assert_ok(ft_safetensors_finish(writer, false));
    ft_safetensors_discard(writer);
    ft_safetensors_close(&file);
}

static inline void fp8_copy_config(const fp8_change *change, const char *from, const char *to)
{
    json_error_t error;
    json_t *root = json_load_file(from, 0, &error);
    if (root == NULL) fail_msg("%s: %s", from, error.text);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    char *changed = text;
    if (change->config_from != NULL) {
        const char *at = strstr(text, change->config_from);
        if (at == NULL) fail_msg("%s has no %s", from, change->config_from);
        changed = malloc(strlen(text) + strlen(change->config_to) + 1);
        sprintf(changed, "%.*s%s%s", (int)(at - text), text, change->config_to, at + strlen(change->config_from));
        free(text);
    }
    assert_ok(ft_file_write(to, changed, strlen(changed)));
    free(changed);
}

// The changed model in the site's model directory.
static inline void fp8_change_model(const site *s, const char *model, const fp8_change *change)
{
    char from[512], to[512];
    snprintf(from, sizeof from, "tests/golden/%s/model/model.safetensors", model);
    snprintf(to, sizeof to, "%s/model.safetensors", s->model);
    fp8_copy_weights(change, from, to);
    snprintf(from, sizeof from, "tests/golden/%s/model/config.json", model);
    snprintf(to, sizeof to, "%s/config.json", s->model);
    fp8_copy_config(change, from, to);
}

#endif
