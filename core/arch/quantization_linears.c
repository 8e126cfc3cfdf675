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
#include "common/memory.h"

typedef struct {
    const char *text;     // as the list has it
    pcre2_code *pattern;  // of a "re:", else NULL
} list_entry;

typedef struct {
    list_entry *entry;
    size_t n;
} module_list;

// What decides whether a linear is quantized.
typedef struct {
    bool by_component;         // the lists name components, and there are no targets: everything is one
    module_list targets, ignored;
    pcre2_match_data *match;   // of any pattern
} module_lists;

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

static ft_status compile(const ft_fields *fields, const char *pattern, pcre2_code **code)
{
    int error;
    PCRE2_SIZE offset;
    *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_ANCHORED | PCRE2_UTF, &error, &offset, NULL);
    if (*code != NULL) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: %sre:%.200s is not a regular expression (at character %zu)", fields->path, fields->prefix,
                    pattern, (size_t)offset);
}

// The list `name` behind what `list` holds. Its texts stay in the JSON.
static ft_status add_list(const ft_fields *fields, const char *name, bool by_component, module_list *list)
{
    size_t i;
    const json_t *texts = ft_field(fields, name);
    json_t *text;
    if (texts == NULL) return FT_OK;
    if (!json_is_array(texts)) return ft_error(FT_E_INPUT, "%s: %s%s must be a list", fields->path, fields->prefix, name);
    list_entry *grown = ft_realloc(list->entry, (list->n + json_array_size(texts) + 1) * sizeof *grown);
    FT_ALLOC_CHECK(grown);
    list->entry = grown;
    json_array_foreach((json_t *)texts, i, text)
    {
        if (!json_is_string(text))
            return ft_error(FT_E_INPUT, "%s: %s%s must be a list of names", fields->path, fields->prefix, name);
        list_entry *entry = &list->entry[list->n++];
        *entry = (list_entry){.text = json_string_value(text)};
        if (!by_component && strncmp(entry->text, "re:", 3) == 0) FT_TRY(compile(fields, entry->text + 3, &entry->pattern));
    }
    return FT_OK;
}

static ft_status add_targets(const ft_fields *fields, module_list *targets)
{
    const char *name;
    json_t *group;
    json_object_foreach((json_t *)ft_field(fields, "config_groups"), name, group)
    {
        char prefix[160];
        snprintf(prefix, sizeof prefix, "%sconfig_groups.%.64s.", fields->prefix, name);
        ft_fields members = {group, fields->path, prefix};
        FT_TRY(add_list(&members, "targets", false, targets));
    }
    return FT_OK;
}

static ft_status read_lists(const ft_fields *fields, module_lists *lists)
{
    lists->by_component = ft_field(fields, "config_groups") == NULL;
    lists->match = pcre2_match_data_create(1, NULL);
    if (lists->match == NULL) return ft_error(FT_E_NOMEM, "%s: out of memory", fields->path);
    if (lists->by_component) {
        FT_TRY(add_list(fields, "modules_to_not_convert", true, &lists->ignored));
        return add_list(fields, "ignored_layers", true, &lists->ignored);
    }
    FT_TRY(add_targets(fields, &lists->targets));
    return add_list(fields, "ignore", false, &lists->ignored);
}

static void free_list(module_list *list)
{
    for (size_t i = 0; i < list->n; i++) pcre2_code_free(list->entry[i].pattern);
    ft_free(list->entry);
}

static void free_lists(module_lists *lists)
{
    free_list(&lists->targets);
    free_list(&lists->ignored);
    pcre2_match_data_free(lists->match);
}

static bool is_listed(const module_lists *lists, const module_list *list, const char *module)
{
    for (size_t i = 0; i < list->n; i++) {
        const list_entry *entry = &list->entry[i];
        bool matches;
        if (lists->by_component) matches = has_components(module, entry->text);
        else if (entry->pattern != NULL)
            matches = pcre2_match(entry->pattern, (PCRE2_SPTR)module, strlen(module), 0, 0, lists->match, NULL) >= 0;
        else matches = strcmp(entry->text, "Linear") == 0 || strcmp(entry->text, module) == 0;
        if (matches) return true;
    }
    return false;
}

static uint32_t layer_linears(const module_lists *lists, const ft_shape *shape, int64_t layer)
{
    uint32_t linears = 0;
    for (int linear = 0; linear < FT_LINEAR_COUNT; linear++) {
        char module[FT_TENSOR_NAME];
        if (!ft_shape_tensor_name(shape, ft_linear_role((ft_linear)linear), layer, module)) continue;
        char *end = strrchr(module, '.');  // of ".weight"
        if (end != NULL) *end = 0;
        bool target = lists->by_component || is_listed(lists, &lists->targets, module);
        if (target && !is_listed(lists, &lists->ignored, module)) linears |= 1u << linear;
    }
    return linears;
}

static ft_status mark(const ft_fields *config, const ft_shape *shape, uint32_t *linears)
{
    module_lists lists = {0};
    ft_fields fields = ft_quantization_fields(config);
    ft_status status = read_lists(&fields, &lists);
    for (int64_t layer = 0; layer < shape->layers && status == FT_OK; layer++)
        linears[layer] = layer_linears(&lists, shape, layer);
    free_lists(&lists);
    return status;
}

ft_status ft_quantization_linears(const char *directory, const ft_shape *shape, uint32_t *linears)
{
    char *path, *text;
    json_t *root = NULL;
    memset(linears, 0, (size_t)shape->layers * sizeof *linears);
    if (shape->quantization.method == NULL) return FT_OK;
    FT_TRY(ft_config_read(directory, &path, &text));
    ft_status status = ft_config_parse(text, path, &root);
    if (status == FT_OK) {
        status = mark(&(ft_fields){root, path, ""}, shape, linears);
        json_decref(root);
    }
    ft_free(text);
    ft_free(path);
    return status;
}
