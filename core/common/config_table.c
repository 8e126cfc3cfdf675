// What became of every key that a file names, as a table; and the notes about values that were taken for something else.
#include <stdio.h>
#include <string.h>

#include "common/config_internal.h"
#include "common/file.h"

#define TABLE_WIDTH 120
#define VALUE_WIDTH 20
#define MIN_REASON_WIDTH 36

// Columns: KEY, BECOMES, WHY, WHERE. Each includes the space behind it.
typedef struct {
    size_t name, reason, where;
} widths;

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static widths measure(const ft_settings *settings)
{
    char where[32];
    widths w = {.name = strlen("KEY"), .where = 0};
    for (int i = 0; i < settings->n_read; i++) {
        w.name = larger(w.name, strlen(settings->read[i].name));
        w.where = larger(w.where, (size_t)snprintf(where, sizeof where, ":%d", settings->read[i].line));
    }
    w.name += 2;
    w.where += strlen(ft_path_base(settings->file));
    size_t others = w.name + VALUE_WIDTH + w.where + 2;
    w.reason = others + MIN_REASON_WIDTH < TABLE_WIDTH ? TABLE_WIDTH - others : MIN_REASON_WIDTH;
    return w;
}

// Bytes of `text` that go on a line of `width`: whole words, at least one.
static size_t words_that_fit(const char *text, size_t width)
{
    size_t end = strcspn(text, " ");
    while (text[end]) {
        size_t next = end + 1 + strcspn(text + end + 1, " ");
        if (next > width) break;
        end = next;
    }
    return end;
}

// A value too long for its column has the line to itself. The reason takes as many lines as it needs, `where` stands on the first.
static ft_status add_row(const widths *w, const char *name, const char *value, const char *reason, const char *where, ft_text *out)
{
    bool long_value = strlen(value) + 2 > VALUE_WIDTH;
    FT_TRY(ft_text_printf(out, "%-*s%-*s", (int)w->name, name, VALUE_WIDTH, value));
    if (long_value) FT_TRY(ft_text_printf(out, "\n%*s", (int)w->name + VALUE_WIDTH, ""));
    for (;;) {
        size_t bytes = words_that_fit(reason, w->reason);
        int pad = where[0] && bytes < w->reason ? (int)(w->reason - bytes) : 0;
        FT_TRY(ft_text_printf(out, "%.*s%*s%s%s\n", (int)bytes, reason, pad, "", where[0] ? "  " : "", where));
        reason += bytes + (reason[bytes] == ' ');
        where = "";
        if (*reason == 0) return FT_OK;
        FT_TRY(ft_text_printf(out, "%*s", (int)w->name + VALUE_WIDTH, ""));
    }
}

static ft_origin origin_of(const ft_settings *settings, const ft_config_key *key)
{
    return settings->origin[ft_key_index(key)];
}

static ft_status add_reason(const ft_settings *settings, const ft_read_key *read, ft_text *out)
{
    const ft_config_key *key = read->key;
    const char *source = key->type == FT_KEY_IGNORED ? "" : ft_settings_source(settings, key->name);
    if (read->note) return ft_text_printf(out, "%s", read->note);
    if (key->type == FT_KEY_IGNORED) return ft_text_printf(out, "%s", key->help);
    if (origin_of(settings, key) == FT_ORIGIN_FLAG) return ft_text_printf(out, "set by %s", source);
    if (origin_of(settings, key) == FT_ORIGIN_DERIVED) return ft_text_printf(out, "%s", source);
    if (key == ft_config_find("adapter") && settings->values.adapter == NULL) return ft_text_printf(out, "blank: full fine-tuning");
    if (read->blank) return ft_text_printf(out, "blank: the default stays");
    if (origin_of(settings, key) == FT_ORIGIN_DEFAULT) return ft_text_printf(out, "the flag %s says it", ft_settings_source(settings, key->excludes));
    if (ft_config_find(read->name) == key && strcmp(read->name, key->name) != 0) FT_TRY(ft_text_printf(out, "%s: ", key->name));
    bool off = key->type == FT_KEY_BOOL && !*(const bool *)((const char *)&settings->values + key->offset);
    return ft_text_printf(out, "%s%s", off ? "off: " : "", key->help);
}

static ft_status add_value(const ft_settings *settings, const ft_config_key *key, ft_text *out)
{
    bool full = key == ft_config_find("adapter") && settings->values.adapter == NULL;
    if (full) return ft_text_printf(out, "none");
    return key->type == FT_KEY_IGNORED ? ft_text_printf(out, "ignored") : ft_settings_format(settings, key, out);
}

static ft_status add_read(const ft_settings *settings, const widths *w, const ft_read_key *read, ft_text *out)
{
    ft_text value = {0}, reason = {0}, where = {0};
    ft_status status;
    FT_TRY_GOTO(status, out, add_value(settings, read->key, &value));
    FT_TRY_GOTO(status, out, add_reason(settings, read, &reason));
    FT_TRY_GOTO(status, out, ft_text_printf(&where, "%s:%d", ft_path_base(settings->file), read->line));
    status = add_row(w, read->name, value.data, reason.data, where.data, out);
out:
    ft_text_free(&value);
    ft_text_free(&reason);
    ft_text_free(&where);
    return status;
}

static bool names_key(const ft_settings *settings, const ft_config_key *key)
{
    for (int i = 0; i < settings->n_read; i++)
        if (settings->read[i].key == key && settings->read[i].line) return true;
    return false;
}

// Keys whose value comes from elsewhere.
static ft_status add_others(const ft_settings *settings, const widths *w, ft_text *out)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        ft_text value = {0};
        if (settings->origin[i] == FT_ORIGIN_DEFAULT || names_key(settings, key)) continue;
        bool full = key == ft_config_find("adapter") && settings->values.adapter == NULL;
        const char *reason = full ? "a file that names no adapter asks for full fine-tuning" : ft_settings_source(settings, key->name);
        ft_status status = add_value(settings, key, &value);
        if (status == FT_OK) status = add_row(w, key->name, value.data, reason, "", out);
        ft_text_free(&value);
        FT_TRY(status);
    }
    return FT_OK;
}

ft_status ft_settings_table(const ft_settings *settings, ft_text *out)
{
    if (settings->file == NULL) return FT_OK;
    widths w = measure(settings);
    FT_TRY(ft_text_printf(out, "Keys of %s\n", settings->file));
    FT_TRY(add_row(&w, "KEY", "BECOMES", "WHY", "WHERE", out));
    for (int i = 0; i < settings->n_read; i++)
        if (settings->read[i].line) FT_TRY(add_read(settings, &w, &settings->read[i], out));
    return add_others(settings, &w, out);
}

// Rows may hold equal notes in different places, so text decides.
static bool is_first(const ft_settings *settings, int at)
{
    for (int i = 0; i < at; i++)
        if (settings->read[i].note && strcmp(settings->read[i].note, settings->read[at].note) == 0) return false;
    return true;
}

static ft_status add_note(const ft_settings *settings, const char *note, ft_text *out)
{
    for (int i = 0; i < settings->n_read; i++) {
        const ft_read_key *read = &settings->read[i];
        if (read->note && strcmp(read->note, note) == 0) FT_TRY(ft_text_printf(out, "%s%s", out->length ? ", " : "", read->name));
    }
    return ft_text_printf(out, ": %s", note);
}

bool ft_settings_note(const ft_settings *settings, int i, ft_text *out, ft_status *status)
{
    ft_text_free(out);
    *status = FT_OK;
    for (int at = 0; at < settings->n_read; at++) {
        if (settings->read[at].note == NULL || !is_first(settings, at) || i-- > 0) continue;
        *status = add_note(settings, settings->read[at].note, out);
        return *status == FT_OK;
    }
    return false;
}
