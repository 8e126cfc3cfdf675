// Members to YAML text on one line.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/config_internal.h"
#include "common/file.h"
#include "common/memory.h"

void ft_format_real(char buffer[32], double value)
{
    if (fabs(value) < 1e15 && value == (double)(int64_t)value) {
        snprintf(buffer, 32, "%lld", (long long)value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buffer, 32, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value) break;
    }
    // "1e-05" is a string to YAML 1.1 readers, "1.0e-05" a number to all of them.
    char *exponent = strchr(buffer, 'e');
    if (exponent && !strchr(buffer, '.')) {
        memmove(exponent + 2, exponent, strlen(exponent) + 1);
        memcpy(exponent, ".0", 2);
    }
}

// The largest unit that divides the value: "80G", "4097".
static ft_status format_bytes(int64_t bytes, ft_text *out)
{
    int unit = 0;
    while (unit < 4 && bytes != 0 && bytes % 1024 == 0) bytes /= 1024, unit++;
    return ft_text_printf(out, "%lld%.1s", (long long)bytes, &"\0KMGT"[unit]);
}

// Words that YAML 1.1 or 1.2 readers take for something else than a string.
static bool is_reserved(const char *text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0) return true;
    return false;
}

static bool is_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.+-";
    if (text[0] == 0 || (strchr(letters, text[0]) == NULL && text[0] != '/' && text[0] != '_')) return false;
    return strspn(text, others) == strlen(text) && !is_reserved(text);
}

static ft_status quote(const char *text, ft_text *out)
{
    FT_TRY(ft_text_add(out, "\"", 1));
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\') FT_TRY(ft_text_printf(out, "\\%c", *c));
        else if (*c == '$') FT_TRY(ft_text_add(out, "$$", 2));
        else if ((unsigned char)*c < 0x20 || *c == 0x7f) FT_TRY(ft_text_printf(out, "\\x%02x", (unsigned char)*c));
        else FT_TRY(ft_text_add(out, c, 1));
    }
    return ft_text_add(out, "\"", 1);
}

ft_status ft_format_string(const char *text, ft_text *out)
{
    if (text == NULL) return ft_text_printf(out, "null");
    return is_plain(text) ? ft_text_printf(out, "%s", text) : quote(text, out);
}

static ft_status format_path(const ft_config_key *key, const char *text, ft_format_style style, ft_text *out)
{
    if (text == NULL || style != FT_FORMAT_ABSOLUTE || !(key->flags & FT_KEY_PATH)) return ft_format_string(text, out);
    char *here = text[0] == '/' ? NULL : getcwd(NULL, 0);
    char *path = ft_value_resolve_path(key, text, here);
    free(here);
    ft_status status = path ? ft_format_string(path, out) : FT_E_NOMEM;
    ft_free(path);
    return status;
}

static ft_status format_list(const ft_config_key *key, const ft_string_list *list, ft_format_style style, ft_text *out)
{
    FT_TRY(ft_text_add(out, "[", 1));
    for (int i = 0; i < list->n; i++) {
        if (i) FT_TRY(ft_text_add(out, ", ", 2));
        FT_TRY(format_path(key, list->items[i], style, out));
    }
    return ft_text_add(out, "]", 1);
}

ft_status ft_value_format(const ft_config_key *key, const void *object, ft_format_style style, ft_text *out)
{
    const void *member = (const char *)object + key->offset;
    switch (key->type) {
    case FT_KEY_BOOL: return ft_text_printf(out, *(const bool *)member ? "true" : "false");
    case FT_KEY_INT: return ft_text_printf(out, "%lld", (long long)*(const int64_t *)member);
    case FT_KEY_BYTES: return format_bytes(*(const int64_t *)member, out);
    case FT_KEY_REAL: {
        char text[32];
        ft_format_real(text, *(const double *)member);
        return ft_text_printf(out, "%s", text);
    }
    case FT_KEY_STRING:
    case FT_KEY_CHOICE: return format_path(key, *(char *const *)member, style, out);
    case FT_KEY_LIST: return format_list(key, member, style, out);
    case FT_KEY_DATASETS: return ft_dataset_list_format(member, style, out);
    case FT_KEY_IGNORED: break;
    }
    return FT_OK;
}
