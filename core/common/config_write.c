// config.resolved.yaml and the tables that say what a file meant.
//
// The file is YAML that ft_settings_read takes: one line per key, KEY: VALUE, then where the value came from as a comment. A
// key PREFIX.NAME stands under PREFIX:. The last line, `derived: [KEY, ...]`, lists the keys the program derived.
#include <string.h>

#include "common/config_internal.h"
#include "common/memory.h"

// The source as a comment; control characters would end it.
static ft_status write_source(const ft_settings *settings, const ft_config_key *key, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "  # %s", ft_settings_source(settings, key->name)));
    for (char *c = out->data + out->length; c > out->data && c[-1] != '#'; c--)
        if ((unsigned char)c[-1] < 0x20) c[-1] = '?';
    return ft_text_add(out, "\n", 1);
}

// Opens the level of "special_tokens.pad_token" unless the row before was on it too. Returns the last part of the name.
static ft_status write_name(const ft_config_key *key, const char **level, ft_text *out)
{
    const char *dot = strchr(key->name, '.');
    size_t bytes = dot ? (size_t)(dot - key->name) : 0;
    bool same = dot && *level && strncmp(*level, key->name, bytes + 1) == 0;
    if (dot && !same) FT_TRY(ft_text_printf(out, "%.*s:\n", (int)bytes, key->name));
    *level = dot ? key->name : NULL;
    return ft_text_printf(out, "%s%s: ", dot ? "  " : "", dot ? dot + 1 : key->name);
}

static ft_status write_derived(const ft_settings *settings, ft_text *out)
{
    const char *separator = "derived: [";
    for (size_t i = 0; i < ft_config_key_count; i++) {
        if (settings->origin[i] != FT_ORIGIN_DERIVED) continue;
        FT_TRY(ft_text_printf(out, "%s%s", separator, ft_config_keys[i].name));
        separator = ", ";
    }
    return separator[0] == ',' ? ft_text_add(out, "]\n", 2) : FT_OK;
}

ft_status ft_settings_write(const ft_settings *settings, ft_text *out)
{
    const char *level = NULL;
    FT_TRY(ft_text_printf(out, "# Every key of the run and where its value came from. It can be used as a config file.\n"));
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        if (key->type == FT_KEY_IGNORED) continue;
        FT_TRY(write_name(key, &level, out));
        FT_TRY(ft_value_format(key, &settings->values, FT_FORMAT_ABSOLUTE, out));
        FT_TRY(write_source(settings, key, out));
    }
    return write_derived(settings, out);
}
