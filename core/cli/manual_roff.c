#include "cli/manual_roff.h"

#include <string.h>

typedef struct {
    char plain;
    const char *escaped;
} escape;

// Characters that roff would read or typeset as something else.
static const escape escapes[] = {{'\\', "\\e"}, {'-', "\\-"}, {'\'', "\\(aq"}, {'`', "\\(ga"}, {'^', "\\(ha"}, {'~', "\\(ti"}, {'"', "\\(dq"}};

static const char *escape_of(char c)
{
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (escapes[i].plain == c) return escapes[i].escaped;
    return NULL;
}

static ft_status add_escaped(ft_text *out, const char *text)
{
    if (*text == '.') FT_TRY(ft_text_puts(out, "\\&"));
    for (; *text; text++) {
        const char *escaped = escape_of(*text);
        FT_TRY(escaped ? ft_text_puts(out, escaped) : ft_text_add(out, text, 1));
    }
    return FT_OK;
}

static ft_status add_line(ft_text *out, const char *text)
{
    FT_TRY(add_escaped(out, text));
    return ft_text_puts(out, "\n");
}

static ft_status add_font(ft_text *out, char font, const char *text)
{
    FT_TRY(ft_text_printf(out, "\\f%c", font));
    FT_TRY(add_escaped(out, text));
    return ft_text_puts(out, "\\fR");
}

ft_status ft_roff_page(ft_text *out, const char *name, int section, const char *summary)
{
    FT_TRY(ft_text_puts(out, ".TH "));
    FT_TRY(add_escaped(out, name));
    FT_TRY(ft_text_printf(out, " %d " FT_DATE " \"ft\\-single " FT_VERSION "\" \"ft\\-single manual\"\n.nh\n.ad l\n.SH NAME\n", section));
    FT_TRY(add_escaped(out, name));
    FT_TRY(ft_text_puts(out, " \\- "));
    return add_line(out, summary);
}

ft_status ft_roff_section(ft_text *out, const char *title)
{
    FT_TRY(ft_text_puts(out, ".SH "));
    return add_line(out, title);
}

ft_status ft_roff_subsection(ft_text *out, const char *title)
{
    FT_TRY(ft_text_puts(out, ".SS "));
    return add_line(out, title);
}

// Whether the last line is .SH or .SS, which begin a paragraph of their own.
static bool after_heading(const ft_text *out)
{
    size_t start = out->length ? out->length - 1 : 0;
    while (start > 0 && out->data[start - 1] != '\n') start--;
    return out->length - start > 2 && out->data[start] == '.' && out->data[start + 1] == 'S';
}

ft_status ft_roff_paragraph(ft_text *out, const char *text)
{
    if (!after_heading(out)) FT_TRY(ft_text_puts(out, ".PP\n"));
    return add_line(out, text);
}

ft_status ft_roff_synopsis(ft_text *out, const char *command, const char *rest)
{
    FT_TRY(add_font(out, 'B', command));
    FT_TRY(ft_text_puts(out, " "));
    return add_line(out, rest);
}

ft_status ft_roff_item(ft_text *out, const char *name, const char *argument, const char *about)
{
    FT_TRY(ft_text_puts(out, ".TP\n"));
    FT_TRY(add_font(out, 'B', name));
    if (argument) {
        FT_TRY(ft_text_puts(out, " "));
        FT_TRY(add_font(out, 'I', argument));
    }
    FT_TRY(ft_text_puts(out, "\n"));
    return add_line(out, about);
}

ft_status ft_roff_example(ft_text *out, const char *about, const char *command)
{
    FT_TRY(ft_roff_paragraph(out, about));
    FT_TRY(ft_text_puts(out, ".PP\n.in +4n\n.nf\n"));
    FT_TRY(add_line(out, command));
    return ft_text_puts(out, ".fi\n.in\n");
}

ft_status ft_roff_reference(ft_text *out, const char *name, int section, bool last)
{
    FT_TRY(ft_text_puts(out, ".BR "));
    FT_TRY(add_escaped(out, name));
    return ft_text_printf(out, " (%d)%s\n", section, last ? "" : ",");
}
