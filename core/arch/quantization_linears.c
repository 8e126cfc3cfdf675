// The lists of a quantization_config: which linears are quantized.
//
// modules_to_not_convert and ignored_layers name modules by some consecutive components of their path ("lm_head", "self_attn",
// "model.layers.0"). The targets and ignore lists of compressed-tensors hold a class ("Linear"), a whole path, or "re:" and a
// regular expression that matches from the start of the path.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "arch/quantization.h"

const char *ft_scale_kind_name(ft_scale_kind kind)
{
    static const char *const names[] = {[FT_SCALE_NONE] = "none", [FT_SCALE_TENSOR] = "tensor", [FT_SCALE_ROW] = "row",
                                        [FT_SCALE_TILE] = "tile"};
    return names[kind];
}

static bool ends_component(char c)
{
    return c == 0 || c == '.';
}

static bool has_components(const char *module, const char *part)
{
    size_t length = strlen(part);
    if (length == 0) return false;
    for (const char *at = strstr(module, part); at != NULL; at = strstr(at + 1, part))
        if ((at == module || at[-1] == '.') && ends_component(at[length])) return true;
    return false;
}

static ft_status matches_pattern(const ft_fields *fields, const char *pattern, const char *module, bool *matches)
{
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_ANCHORED | PCRE2_UTF, &error, &offset, NULL);
    if (code == NULL)
        return ft_error(FT_E_INPUT, "%s: %sre:%.200s is not a regular expression (at character %zu)", fields->path, fields->prefix,
                        pattern, (size_t)offset);
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
    if (data != NULL) *matches = pcre2_match(code, (PCRE2_SPTR)module, strlen(module), 0, 0, data, NULL) >= 0;
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    return data != NULL ? FT_OK : ft_error(FT_E_NOMEM, "%s: out of memory", fields->path);
}

static ft_status matches_entry(const ft_fields *fields, const char *entry, const char *module, bool by_component, bool *matches)
{
    if (by_component) *matches = has_components(module, entry);
    else if (strncmp(entry, "re:", 3) == 0) return matches_pattern(fields, entry + 3, module, matches);
    else *matches = strcmp(entry, "Linear") == 0 || strcmp(entry, module) == 0;
    return FT_OK;
}

static ft_status is_listed(const ft_fields *fields, const char *list, const char *module, bool by_component, bool *listed)
{
    size_t i;
    const json_t *entries = ft_field(fields, list);
    json_t *entry;
    *listed = false;
    if (entries != NULL && !json_is_array(entries))
        return ft_error(FT_E_INPUT, "%s: %s%s must be a list", fields->path, fields->prefix, list);
    json_array_foreach((json_t *)entries, i, entry)
    {
        if (!json_is_string(entry))
            return ft_error(FT_E_INPUT, "%s: %s%s must be a list of names", fields->path, fields->prefix, list);
        FT_TRY(matches_entry(fields, json_string_value(entry), module, by_component, listed));
        if (*listed) return FT_OK;
    }
    return FT_OK;
}

static ft_status is_target(const ft_fields *fields, const char *module, bool *target)
{
    const char *name;
    json_t *group;
    *target = false;
    json_object_foreach((json_t *)ft_field(fields, "config_groups"), name, group)
    {
        ft_fields members = {group, fields->path, fields->prefix};
        FT_TRY(is_listed(&members, "targets", module, false, target));
        if (*target) return FT_OK;
    }
    return FT_OK;
}

static ft_status is_quantized(const ft_fields *fields, const char *module, bool *quantized)
{
    bool listed;
    *quantized = true;
    if (ft_field(fields, "config_groups") != NULL) {
        FT_TRY(is_target(fields, module, quantized));
        FT_TRY(is_listed(fields, "ignore", module, false, &listed));
        *quantized = *quantized && !listed;
        return FT_OK;
    }
    FT_TRY(is_listed(fields, "modules_to_not_convert", module, true, &listed));
    if (!listed) FT_TRY(is_listed(fields, "ignored_layers", module, true, &listed));
    *quantized = !listed;
    return FT_OK;
}

static ft_status mark_layer(const ft_fields *fields, const ft_shape *shape, int64_t layer, uint32_t *linears)
{
    for (int linear = 0; linear < FT_LINEAR_COUNT; linear++) {
        char module[FT_TENSOR_NAME];
        bool quantized;
        if (!ft_shape_tensor_name(shape, ft_linear_role((ft_linear)linear), layer, module)) continue;
        char *end = strrchr(module, '.');  // of ".weight"
        if (end != NULL) *end = 0;
        FT_TRY(is_quantized(fields, module, &quantized));
        if (quantized) *linears |= 1u << linear;
    }
    return FT_OK;
}

ft_status ft_quantization_linears(const char *json_text, const char *path_for_messages, const ft_shape *shape, uint32_t *linears)
{
    memset(linears, 0, (size_t)shape->layers * sizeof *linears);
    if (shape->quantization.method == NULL) return FT_OK;
    json_error_t error;
    json_t *root = json_loads(json_text, 0, &error);
    if (root == NULL) return ft_error(FT_E_INPUT, "%s: line %d: %s", path_for_messages, error.line, error.text);
    ft_fields config = {root, path_for_messages, ""};
    const json_t *object = ft_field(&config, "quantization_config");
    if (object == NULL) object = ft_field(&config, "compression_config");
    ft_fields fields = {object, path_for_messages, "quantization_config."};
    ft_status status = FT_OK;
    for (int64_t layer = 0; layer < shape->layers && status == FT_OK; layer++)
        status = mark_layer(&fields, shape, layer, &linears[layer]);
    json_decref(root);
    return status;
}
