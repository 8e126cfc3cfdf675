#include "report/config_lines.h"

#include <string.h>

#include "common/memory.h"

bool ft_config_line_compared(const char *key)
{
    static const char *const left_out[] = {"output_dir", "trace", "derived"};
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
        if (strcmp(key, left_out[i]) == 0) return false;
    return true;
}

// Where the value ends: at "  #" outside quotes.
static size_t value_length(const char *text, size_t n)
{
    char quote = 0;
    for (size_t i = 0; i < n; i++) {
        if (quote == '"' && text[i] == '\\') i++;
        else if (quote) quote = text[i] == quote ? 0 : quote;
        else if (text[i] == '"' || text[i] == '\'') quote = text[i];
        else if (n - i >= 3 && memcmp(text + i, "  #", 3) == 0) return i;
    }
    return n;
}

static char *copy_value(const char *text, size_t n)
{
    if (n >= 2 && text[0] == '"' && text[n - 1] == '"' && memchr(text, '\\', n) == NULL) return ft_strndup(text + 1, n - 2);
    return ft_strndup(text, n);
}

static ft_status add_line(ft_config_lines *lines, const char *level, size_t level_bytes, const char *text, size_t n)
{
    const char *colon = memmem(text, n, ": ", 2);
    if (colon == NULL) return FT_OK;
    const char *value = colon + 2;
    size_t rest = (size_t)(text + n - value), bytes = value_length(value, rest);
    ft_config_line *grown = ft_realloc(lines->line, (size_t)(lines->n + 1) * sizeof *grown);
    FT_ALLOC_CHECK(grown);
    lines->line = grown;
    ft_config_line *line = &grown[lines->n++];
    line->key = ft_format("%.*s%s%.*s", (int)level_bytes, level, level_bytes ? "." : "", (int)(colon - text), text);
    line->value = copy_value(value, bytes);
    line->source = rest > bytes + 4 ? ft_strndup(value + bytes + 4, rest - bytes - 4) : ft_strdup("");
    return line->key && line->value && line->source ? FT_OK : FT_E_NOMEM;
}

ft_status ft_config_lines_read(ft_config_lines *lines, const char *text)
{
    const char *level = NULL;
    size_t level_bytes = 0;
    for (const char *at = text, *end; *at; at = *end ? end + 1 : end) {
        end = strchrnul(at, '\n');
        size_t indent = strspn(at, " "), n = (size_t)(end - at);
        if (n == 0 || at[0] == '#') continue;
        if (indent == 0) level_bytes = 0;
        if (indent == 0 && end[-1] == ':') {
            level = at;
            level_bytes = n - 1;
            continue;
        }
        FT_TRY(add_line(lines, level, level_bytes, at + indent, n - indent));
    }
    return FT_OK;
}

void ft_config_lines_free(ft_config_lines *lines)
{
    for (int64_t i = 0; i < lines->n; i++) {
        ft_free(lines->line[i].key);
        ft_free(lines->line[i].value);
        ft_free(lines->line[i].source);
    }
    ft_free(lines->line);
    *lines = (ft_config_lines){0};
}

const ft_config_line *ft_config_lines_find(const ft_config_lines *lines, const char *key)
{
    for (int64_t i = 0; i < lines->n; i++)
        if (strcmp(lines->line[i].key, key) == 0) return &lines->line[i];
    return NULL;
}

const char *ft_config_lines_get(const ft_config_lines *lines, const char *key)
{
    const ft_config_line *line = ft_config_lines_find(lines, key);
    return line && strcmp(line->value, "null") != 0 ? line->value : NULL;
}
