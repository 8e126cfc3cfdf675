// What a resume may change: budgets, placement, paths and logging, the rows with FT_KEY_MAY_CHANGE.
#include <string.h>

#include "common/config_internal.h"
#include "common/memory.h"

// Equal text is an equal value: formatting is exact.
static ft_status compare_key(const ft_config_key *key, const ft_config *run, const ft_config *earlier, const char *path)
{
    ft_text new_text = {0}, old_text = {0};
    ft_status status = ft_value_format(key, run, FT_FORMAT_RESUME, &new_text);
    if (status == FT_OK) status = ft_value_format(key, earlier, FT_FORMAT_RESUME, &old_text);
    if (status == FT_OK && strcmp(new_text.data, old_text.data) != 0) {
        status = ft_error(FT_E_USAGE,
                          "%s is %.200s, but %.200s in %s: a resume may change only budgets, placement, paths and logging; "
                          "give the earlier value or start a new --output",
                          key->name, new_text.data, old_text.data, path);
    }
    ft_text_free(&new_text);
    ft_text_free(&old_text);
    return status;
}

static ft_status compare(const ft_settings *settings, const ft_settings *earlier)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        if (key->type == FT_KEY_IGNORED || (key->flags & FT_KEY_MAY_CHANGE)) continue;
        FT_TRY(compare_key(key, &settings->values, &earlier->values, earlier->file));
    }
    return FT_OK;
}

ft_status ft_settings_check_resume(const ft_settings *settings, const char *resolved_path)
{
    ft_settings earlier;
    ft_status status = ft_settings_init(&earlier);
    if (status == FT_OK) status = ft_settings_read(&earlier, resolved_path);
    if (status == FT_OK) status = compare(settings, &earlier);
    ft_settings_free(&earlier);
    return status;
}
