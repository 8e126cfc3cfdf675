// config.json of a merged model: the source's, byte for byte where nothing has to change.
#include <jansson.h>
#include <string.h>

#include "common/memory.h"
#include "train/merge_internal.h"

// The weights beside it are not quantized any more.
static bool unquantize(json_t *root)
{
    bool first = json_object_del(root, "quantization_config") == 0, second = json_object_del(root, "compression_config") == 0;
    return first || second;
}

static bool add_if_absent(json_t *object, const char *name, json_t *value)
{
    if (value == NULL || json_object_get(object, name) != NULL) return false;
    return json_object_set(object, name, value) == 0;
}

// transformers 4 ignores rope_parameters, where version 5 keeps theta and scaling, and would rotate by other angles without a word.
static bool add_rope(json_t *root)
{
    const json_t *rope = json_object_get(root, "rope_parameters");
    if (!json_is_object(rope)) return false;
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    bool changed = add_if_absent(root, "rope_theta", json_object_get(rope, "rope_theta"));
    if (type == NULL || strcmp(type, "default") == 0) return changed;
    json_t *scaling = json_copy((json_t *)rope);
    json_object_del(scaling, "rope_theta");
    changed = add_if_absent(root, "rope_scaling", scaling) || changed;
    json_decref(scaling);
    return changed;
}

static ft_status replace(char **config, size_t *bytes, const json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    FT_ALLOC_CHECK(text);
    ft_free(*config);
    *config = text;
    *bytes = strlen(text);
    return FT_OK;
}

ft_status ft_merge_config(char **config, size_t *bytes)
{
    json_t *root = json_loadb(*config, *bytes, 0, NULL);
    FT_ALLOC_CHECK(root);  // it was parsed before
    bool changed = unquantize(root);
    changed = add_rope(root) || changed;
    changed = add_if_absent(root, "torch_dtype", json_object_get(root, "dtype")) || changed;
    ft_status status = changed ? replace(config, bytes, root) : FT_OK;
    json_decref(root);
    return status;
}
