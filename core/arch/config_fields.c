#include "arch/config_fields.h"

#include <limits.h>

#include "common/file.h"
#include "common/memory.h"

enum { CONFIG_BYTES = 16 << 20 };

ft_status ft_config_read(const char *directory, char **path, char **text)
{
    size_t bytes;
    FT_ALLOC_CHECK(*path = ft_path_join(directory, "config.json"));
    ft_status status = ft_file_read(*path, CONFIG_BYTES, text, &bytes);
    if (status == FT_E_NOT_FOUND)
        status = ft_error(FT_E_INPUT, "%s: not found; a model directory holds config.json and safetensors files", *path);
    if (status != FT_OK) ft_free(*path);
    return status;
}

ft_status ft_config_parse(const char *text, const char *path, json_t **root)
{
    json_error_t error;
    *root = json_loads(text, 0, &error);
    if (*root == NULL) return ft_error(FT_E_INPUT, "%s: line %d: %s", path, error.line, error.text);
    if (json_is_object(*root)) return FT_OK;
    json_decref(*root);
    return ft_error(FT_E_INPUT, "%s: not a JSON object", path);
}

static ft_status wrong(const ft_fields *fields, const char *name, const char *expected)
{
    return ft_error(FT_E_INPUT, "%s: %s%s must be %s", fields->path, fields->prefix, name, expected);
}

const json_t *ft_field(const ft_fields *fields, const char *name)
{
    const json_t *member = fields->object != NULL ? json_object_get(fields->object, name) : NULL;
    return json_is_null(member) ? NULL : member;
}

ft_status ft_field_count(const ft_fields *fields, const char *name, int64_t *value)
{
    const json_t *member = ft_field(fields, name);
    if (member == NULL) return ft_error(FT_E_INPUT, "%s: %s%s is missing", fields->path, fields->prefix, name);
    json_int_t number = json_integer_value(member);
    if (!json_is_integer(member) || number < 1 || number > INT_MAX) return wrong(fields, name, "a whole number of at least 1");
    *value = number;
    return FT_OK;
}

ft_status ft_field_count_or(const ft_fields *fields, const char *name, int64_t fallback, int64_t *value)
{
    *value = fallback;
    return ft_field(fields, name) != NULL ? ft_field_count(fields, name, value) : FT_OK;
}

ft_status ft_field_real(const ft_fields *fields, const char *name, double *value)
{
    const json_t *member = ft_field(fields, name);
    if (member == NULL) return ft_error(FT_E_INPUT, "%s: %s%s is missing", fields->path, fields->prefix, name);
    if (!json_is_number(member) || !(json_number_value(member) > 0)) return wrong(fields, name, "a number above 0");
    *value = json_number_value(member);
    return FT_OK;
}

ft_status ft_field_real_or(const ft_fields *fields, const char *name, double fallback, double *value)
{
    *value = fallback;
    return ft_field(fields, name) != NULL ? ft_field_real(fields, name, value) : FT_OK;
}

ft_status ft_field_bool_or(const ft_fields *fields, const char *name, bool fallback, bool *value)
{
    const json_t *member = ft_field(fields, name);
    if (member != NULL && !json_is_boolean(member)) return wrong(fields, name, "true or false");
    *value = member != NULL ? json_is_true(member) : fallback;
    return FT_OK;
}

ft_status ft_field_text(const ft_fields *fields, const char *name, const char **value)
{
    const json_t *member = ft_field(fields, name);
    if (member != NULL && !json_is_string(member)) return wrong(fields, name, "a string");
    *value = json_string_value(member);
    return FT_OK;
}

ft_status ft_field_token(const ft_fields *fields, const char *name, int32_t *value)
{
    const json_t *member = ft_field(fields, name);
    if (json_is_array(member)) member = json_array_get(member, 0);
    *value = -1;
    if (member == NULL) return FT_OK;
    json_int_t id = json_integer_value(member);
    if (!json_is_integer(member) || id < -1 || id > INT_MAX) return wrong(fields, name, "a token id or a list of them");
    *value = (int32_t)id;
    return FT_OK;
}
