// The page: page/page.html with its {{places}} filled. It loads nothing: styles, scripts and data stand in it.
#include <string.h>
#include <time.h>

#include "common/embedded.h"
#include "common/memory.h"
#include "common/utf8.h"
#include "report/page_internal.h"

extern const ft_embedded ft_report_page_files[];

ft_status ft_page_escape(const char *text, ft_text *out)
{
    static const char *const entities[256] = {['<'] = "&lt;", ['>'] = "&gt;", ['&'] = "&amp;", ['"'] = "&quot;"};
    size_t bytes = strlen(text);
    for (size_t at = 0, n; at < bytes; at += n ? n : 1) {
        n = ft_utf8_char(text + at, bytes - at);
        unsigned char c = (unsigned char)text[at];
        const char *instead = n == 0 || c < 0x20 || c == 0x7F ? "\uFFFD" : entities[c];
        FT_TRY(instead ? ft_text_puts(out, instead) : ft_text_add(out, text + at, n));
    }
    return FT_OK;
}

typedef struct {
    const ft_report *report;
    const char *command;
} page;

static ft_status add_title(const page *p, ft_text *out)
{
    for (int i = 0; i < p->report->n && i < 4; i++) {
        if (i > 0) FT_TRY(ft_text_puts(out, ", "));
        FT_TRY(ft_page_escape(p->report->entry[i].run.name, out));
    }
    return p->report->n > 4 ? ft_text_printf(out, " and %d more", p->report->n - 4) : FT_OK;
}

static ft_status add_made(const page *p, ft_text *out)
{
    time_t now = (time_t)p->report->now;
    struct tm parts;
    char text[64];
    if (gmtime_r(&now, &parts) == NULL || strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts) == 0) text[0] = 0;
    return ft_text_puts(out, text);
}

static ft_status add_command(const page *p, ft_text *out)
{
    return ft_page_escape(p->command, out);
}

static ft_status add_files(const char *end, ft_text *out)
{
    for (const ft_embedded *file = ft_report_page_files; file->name; file++) {
        size_t length = strlen(file->name), tail = strlen(end);
        if (length > tail && strcmp(file->name + length - tail, end) == 0) FT_TRY(ft_text_add(out, file->text, file->bytes));
    }
    return FT_OK;
}

static ft_status add_css(const page *p, ft_text *out)
{
    return add_files(".css", out);
}

static ft_status add_scripts(const page *p, ft_text *out)
{
    return add_files(".js", out);
}

static ft_status add_cards(const page *p, ft_text *out) { return ft_page_cards(p->report, out); }
static ft_status add_summary(const page *p, ft_text *out) { return ft_page_summary(p->report, out); }
static ft_status add_config(const page *p, ft_text *out) { return ft_page_config(p->report, out); }
static ft_status add_loss(const page *p, ft_text *out) { return ft_page_loss(p->report, out); }
static ft_status add_data(const page *p, ft_text *out) { return ft_page_data(p->report, out); }

static const struct {
    const char *name;
    ft_status (*add)(const page *p, ft_text *out);
} places[] = {
    {"title", add_title},   {"made", add_made},       {"command", add_command}, {"css", add_css},   {"cards", add_cards},
    {"loss", add_loss},     {"summary", add_summary}, {"config", add_config},   {"data", add_data}, {"scripts", add_scripts},
};

static ft_status fill_place(const page *p, const char *name, size_t n, ft_text *out)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strlen(places[i].name) == n && memcmp(places[i].name, name, n) == 0) return places[i].add(p, out);
    return ft_error(FT_E_INTERNAL, "page.html: no place is called %.*s", (int)n, name);
}

ft_status ft_report_page(const ft_report *report, const char *command, ft_text *out)
{
    page p = {report, command};
    const char *at = ft_report_page_files[0].text, *place, *end;  // page.html is the first file
    while ((place = strstr(at, "{{")) != NULL && (end = strstr(place, "}}")) != NULL) {
        FT_TRY(ft_text_add(out, at, (size_t)(place - at)));
        FT_TRY(fill_place(&p, place + 2, (size_t)(end - place - 2), out));
        at = end + 2;
    }
    return ft_text_puts(out, at);
}
