#include "tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/unicode_additions.h"

// White_Space of the Unicode character database, for use inside a class.
#define SPACES "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

typedef struct {
    const char *pattern, *at;
    ft_text *out;
    bool in_class;
} translation;

static ft_status refuse(const translation *t, int length)
{
    return ft_error(FT_E_UNSUPPORTED, "the regular expression '%.120s' uses '%.*s', which is not implemented", t->pattern,
                    length, t->at);
}

static ft_status copy(translation *t, size_t n)
{
    FT_TRY(ft_text_add(t->out, t->at, n));
    t->at += n;
    return FT_OK;
}

static bool tables_are_old(void)
{
    char version[64] = "";
    pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, version);
    return atoi(version) < FT_UNICODE_VERSION;
}

// The code points of a general category ("L", "Nd") that the installed tables may lack.
static ft_status add_recent(ft_text *out, const char *category, size_t n)
{
    if (!tables_are_old()) return FT_OK;
    for (size_t i = 0; i < sizeof ft_unicode_additions / sizeof *ft_unicode_additions; i++) {
        const ft_unicode_addition *row = &ft_unicode_additions[i];
        if (strncmp(row->category, category, n) == 0) FT_TRY(ft_text_printf(out, "\\x{%x}-\\x{%x}", row->first, row->last));
    }
    return FT_OK;
}

// \p{L}, \P{Nd}: general categories of letters, marks, numbers, punctuation, symbols and separators.
static ft_status property(translation *t)
{
    const char *name = t->at + 3, *end = strchr(t->at, '}');
    size_t n = end ? (size_t)(end - name) : 0;
    bool negated = t->at[1] == 'P';
    bool known = t->at[2] == '{' && (n == 1 || n == 2) && strchr("LMNPSZ", name[0]) != NULL;
    if (!known || (negated && t->in_class)) return refuse(t, end ? (int)(end - t->at) + 1 : 2);
    if (!t->in_class) FT_TRY(ft_text_printf(t->out, negated ? "[^" : "["));
    FT_TRY(ft_text_printf(t->out, "\\p{%.*s}", (int)n, name));
    FT_TRY(add_recent(t->out, name, n));
    if (!t->in_class) FT_TRY(ft_text_add(t->out, "]", 1));
    t->at = end + 1;
    return FT_OK;
}

static ft_status escape(translation *t)
{
    char c = t->at[1];
    if (c == 'p' || c == 'P') return property(t);
    if (c == 's' || (c == 'S' && !t->in_class)) {
        t->at += 2;
        if (t->in_class) return ft_text_printf(t->out, "%s", SPACES);
        return ft_text_printf(t->out, c == 's' ? "[%s]" : "[^%s]", SPACES);
    }
    if (c == 'r' || c == 'n' || c == 't' || (c != 0 && strchr("\\/.-+*?()[]{}|^$'\"# ", c) != NULL)) return copy(t, 2);
    return refuse(t, c ? 2 : 1);
}

// Groups: non-capturing, case-insensitive, look-around. Capturing ones match the same and pass.
static ft_status group(translation *t)
{
    static const char *const openings[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!"};
    if (t->at[1] != '?') return copy(t, 1);
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t n = strlen(openings[i]);
        if (strncmp(t->at, openings[i], n) == 0) return copy(t, n);
    }
    return refuse(t, 3);
}

static ft_status in_class(translation *t)
{
    if (*t->at == '\\') return escape(t);
    if (*t->at == '[' || strncmp(t->at, "&&", 2) == 0) return refuse(t, 2);
    if (*t->at == ']') t->in_class = false;
    return copy(t, 1);
}

static ft_status outside_class(translation *t)
{
    switch (*t->at) {
    case '\\': return escape(t);
    case '(': return group(t);
    case '^':  // line anchors there, subject anchors here
    case '$': return refuse(t, 1);
    case '{': return t->at[1] == ',' ? refuse(t, 2) : copy(t, 1);
    case '}': return t->at[1] == '+' ? refuse(t, 2) : copy(t, 1);
    case '[':
        t->in_class = true;
        FT_TRY(copy(t, t->at[1] == '^' ? 2 : 1));
        return *t->at == ']' ? refuse(t, 1) : FT_OK;
    default: return copy(t, 1);
    }
}

ft_status ft_pattern_translate(const char *pattern, ft_text *out)
{
    translation t = {.pattern = pattern, .at = pattern, .out = out};
    while (*t.at) FT_TRY(t.in_class ? in_class(&t) : outside_class(&t));
    return FT_OK;
}
