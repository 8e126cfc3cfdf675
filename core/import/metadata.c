#include "import/metadata.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static ft_status wrong(const ft_metadata *data, const char *name, const char *expected)
{
    return ft_error(FT_E_INPUT, "%s: %s.%s must be %s", data->file->path, data->prefix, name, expected);
}

static ft_status missing(const ft_metadata *data, const char *name)
{
    return ft_error(FT_E_INPUT, "%s: %s.%s is missing", data->file->path, data->prefix, name);
}

const ft_gguf_value *ft_metadata_find(const ft_metadata *data, const char *name)
{
    char key[FT_METADATA_KEY];
    int length = snprintf(key, sizeof key, "%s.%s", data->prefix, name);
    FT_ASSERT(length > 0 && length < (int)sizeof key);
    return ft_gguf_find(data->file, key);
}

ft_status ft_metadata_count(const ft_metadata *data, const char *name, int64_t *value)
{
    const ft_gguf_value *entry = ft_metadata_find(data, name);
    if (entry == NULL) return missing(data, name);
    if (entry->is_array) return wrong(data, name, "one number: values per layer are not supported");
    if (!ft_gguf_is_integer(entry)) return wrong(data, name, "a whole number");
    *value = ft_gguf_integer(entry, 0);
    return *value >= 1 && *value <= INT32_MAX ? FT_OK : wrong(data, name, "between 1 and 2^31 - 1");
}

ft_status ft_metadata_count_or(const ft_metadata *data, const char *name, int64_t fallback, int64_t *value)
{
    *value = fallback;
    return ft_metadata_find(data, name) != NULL ? ft_metadata_count(data, name, value) : FT_OK;
}

static double shortest(double value)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value) break;
    }
    return strtod(text, NULL);
}

ft_status ft_metadata_real(const ft_metadata *data, const char *name, double *value)
{
    const ft_gguf_value *entry = ft_metadata_find(data, name);
    if (entry == NULL) return missing(data, name);
    bool number = !entry->is_array && (ft_gguf_is_real(entry) || ft_gguf_is_integer(entry));
    double raw = number ? ft_gguf_real(entry, 0) : 0;
    if (!(raw > 0) || !isfinite((float)raw) || (float)raw == 0) return wrong(data, name, "a number above 0");
    *value = shortest(raw);
    return FT_OK;
}

ft_status ft_metadata_real_or(const ft_metadata *data, const char *name, double fallback, double *value)
{
    *value = fallback;
    return ft_metadata_find(data, name) != NULL ? ft_metadata_real(data, name, value) : FT_OK;
}

ft_status ft_metadata_bool_or(const ft_metadata *data, const char *name, bool fallback, bool *value)
{
    const ft_gguf_value *entry = ft_metadata_find(data, name);
    *value = fallback;
    if (entry == NULL) return FT_OK;
    if (entry->is_array || entry->type != FT_GGUF_BOOL) return wrong(data, name, "true or false");
    *value = ft_gguf_integer(entry, 0) != 0;
    return FT_OK;
}

ft_status ft_metadata_text(const ft_metadata *data, const char *name, ft_gguf_text *value)
{
    const ft_gguf_value *entry = ft_metadata_find(data, name);
    *value = (ft_gguf_text){0};
    if (entry == NULL) return FT_OK;
    if (entry->is_array || entry->type != FT_GGUF_TEXT) return wrong(data, name, "a text");
    const unsigned char *at = entry->data;
    *value = ft_gguf_next_text(&at);
    return FT_OK;
}

ft_status ft_metadata_token(const ft_metadata *data, const char *name, int64_t n, int32_t *value)
{
    const ft_gguf_value *entry = ft_metadata_find(data, name);
    *value = -1;
    if (entry == NULL) return FT_OK;
    int64_t id = !entry->is_array && ft_gguf_is_integer(entry) ? ft_gguf_integer(entry, 0) : -1;
    if (id < 0 || id >= n) return wrong(data, name, "a token of the vocabulary");
    *value = (int32_t)id;
    return FT_OK;
}
