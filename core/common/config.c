#include "common/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

ft_status ft_settings_init(ft_settings *settings)
{
    *settings = (ft_settings){0};
    settings->origin = FT_NEW_ARRAY(ft_origin, ft_config_key_count);
    FT_ALLOC_CHECK(settings->origin);
    settings->source = FT_NEW_ARRAY(char *, ft_config_key_count);
    FT_ALLOC_CHECK(settings->source);
    for (size_t i = 0; i < ft_config_key_count; i++) FT_TRY(ft_value_set_default(&ft_config_keys[i], &settings->values));
    return FT_OK;
}

void ft_settings_free(ft_settings *settings)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        ft_value_clear(&ft_config_keys[i], &settings->values);
        if (settings->source) ft_free(settings->source[i]);
    }
    for (int i = 0; i < settings->n_read; i++) ft_free(settings->read[i].name);
    ft_free(settings->read);
    ft_free(settings->origin);
    ft_free(settings->source);
    ft_free(settings->file);
    *settings = (ft_settings){0};
}

ft_status ft_settings_remember(ft_settings *settings, const ft_read_key *key)
{
    ft_read_key *read = ft_realloc(settings->read, (size_t)(settings->n_read + 1) * sizeof *read);
    FT_ALLOC_CHECK(read);
    settings->read = read;
    read[settings->n_read] = *key;
    read[settings->n_read].name = ft_strdup(key->name);
    FT_ALLOC_CHECK(read[settings->n_read].name);
    settings->n_read++;
    return FT_OK;
}

ft_status ft_settings_record(ft_settings *settings, const ft_config_key *key, ft_origin origin, char *source)
{
    FT_ALLOC_CHECK(source);
    size_t index = ft_key_index(key);
    ft_free(settings->source[index]);
    settings->source[index] = source;
    settings->origin[index] = origin;
    return FT_OK;
}

bool ft_settings_is_default(const ft_settings *settings, const ft_config_key *key)
{
    const char *member = (const char *)&settings->values + key->offset;
    double value = key->type == FT_KEY_REAL ? *(const double *)member : (double)*(const int64_t *)member;
    return value == strtod(key->fallback, NULL);
}

static ft_status reset(ft_settings *settings, const ft_config_key *key)
{
    FT_TRY(ft_value_set_default(key, &settings->values));
    size_t index = ft_key_index(key);
    ft_free(settings->source[index]);
    settings->source[index] = NULL;
    settings->origin[index] = FT_ORIGIN_DEFAULT;
    return FT_OK;
}

// Two keys that say the same thing (warmup_steps, warmup_ratio): a flag switches off what the file says in the other way.
static ft_status settle_exclusion(ft_settings *settings, const ft_config_key *key, const char *source)
{
    if (key->excludes == NULL || ft_settings_is_default(settings, key)) return FT_OK;
    const ft_config_key *other = ft_config_find(key->excludes);
    if (ft_settings_is_default(settings, other)) return FT_OK;
    if (settings->origin[ft_key_index(other)] != FT_ORIGIN_FLAG) return reset(settings, other);
    return ft_error(FT_E_USAGE, "%s: %s is also given, and both say the same thing; leave one out", source,
                    ft_settings_source(settings, other->name));
}

// lora_target_modules alone means these modules only; with lora_target_linear beside it, it adds to all linear layers.
ft_status ft_settings_imply(ft_settings *settings)
{
    if (settings->values.lora_target_modules.n == 0 || ft_settings_given(settings, "lora_target_linear")) return FT_OK;
    return ft_settings_derive(settings, "lora_target_linear", "false", "lora_target_modules names the layers");
}

static ft_status unknown_key(const char *key, const char *source)
{
    const char *near = ft_config_suggest(key);
    return ft_error(FT_E_USAGE, "%s: no key is called '%s'%s%s%s", source, key, near ? "; did you mean " : "", near ? near : "",
                    near ? "?" : "");
}

// What errors about a value start with. A flag that names the key needs no second mention of it.
static char *describe(const char *source, const char *key)
{
    return strncmp(source, "--", 2) == 0 ? ft_strdup(source) : ft_format("%s: %s", source, key);
}

static ft_status split_value(const ft_config_key *key, const char *value, ft_string_list *words)
{
    bool is_list = key->type == FT_KEY_LIST || key->type == FT_KEY_DATASETS;
    return is_list ? ft_string_list_split(words, value) : ft_string_list_add(words, value);
}

static ft_status set_text(ft_settings *settings, const ft_config_key *key, const char *value, const char *where)
{
    ft_string_list words = {0};
    ft_status status = split_value(key, value, &words);
    if (status == FT_OK) status = ft_value_set(key, &settings->values, &words, NULL, where);
    const char *note = status == FT_OK ? ft_value_note(key, &words) : NULL;
    if (note) status = ft_settings_remember(settings, &(ft_read_key){.name = (char *)where, .key = key, .note = note});
    ft_string_list_free(&words);
    return status;
}

ft_status ft_settings_set(ft_settings *settings, const char *name, const char *value, const char *source)
{
    const ft_config_key *key = ft_config_find(name);
    if (key == NULL) return unknown_key(name, source);
    char *where = describe(source, name);
    FT_ALLOC_CHECK(where);
    ft_status status = set_text(settings, key, value, where);
    ft_free(where);
    FT_TRY(status);
    if (key->type == FT_KEY_IGNORED) return FT_OK;
    FT_TRY(ft_settings_record(settings, key, FT_ORIGIN_FLAG, ft_strdup(source)));
    FT_TRY(settle_exclusion(settings, key, source));
    return ft_settings_imply(settings);
}

ft_status ft_settings_derive(ft_settings *settings, const char *name, const char *value, const char *reason)
{
    const ft_config_key *key = ft_config_find(name);
    FT_ASSERT(key != NULL && key->type != FT_KEY_IGNORED, "derived key %s", name);
    FT_TRY(set_text(settings, key, value, name));
    return ft_settings_record(settings, key, FT_ORIGIN_DERIVED, ft_format("derived: %s", reason));
}

bool ft_settings_given(const ft_settings *settings, const char *name)
{
    const ft_config_key *key = ft_config_find(name);
    return key && settings->origin[ft_key_index(key)] >= FT_ORIGIN_FILE;
}

const char *ft_settings_source(const ft_settings *settings, const char *name)
{
    const ft_config_key *key = ft_config_find(name);
    const char *source = key ? settings->source[ft_key_index(key)] : NULL;
    return source ? source : "default";
}

ft_status ft_settings_format(const ft_settings *settings, const ft_config_key *key, ft_text *out)
{
    return ft_value_format(key, &settings->values, FT_FORMAT_PLAIN, out);
}
