// The lines of an answer's head that are of use.
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/http.h"

typedef enum { TEXT, LINK, TAG, BYTES, SECONDS, RANGE } value_kind;

typedef struct {
    const char *name;
    value_kind kind;
    size_t offset, room;
} field;

#define FIELD(name, kind, member) {name, kind, offsetof(ft_http_head, member), sizeof(((ft_http_head *)0)->member)}
static const field fields[] = {
    FIELD("location", TEXT, location),
    FIELD("link", LINK, link),
    FIELD("etag", TAG, etag),
    FIELD("x-linked-etag", TAG, linked_etag),
    FIELD("x-linked-size", BYTES, linked_bytes),
    FIELD("x-error-code", TEXT, error_code),
    FIELD("x-error-message", TEXT, error_message),
    FIELD("content-range", RANGE, range_begin),
    FIELD("retry-after", SECONDS, retry_after_s),
};

void ft_http_head_clear(ft_http_head *head)
{
    *head = (ft_http_head){.linked_bytes = -1, .range_begin = -1, .range_total = -1, .retry_after_s = -1};
}

// A text too long for its place is left out: half an address is worse than none.
static void set_text(char *place, size_t room, const char *text, size_t n)
{
    if (n >= room) n = 0;
    memcpy(place, text, n);
    place[n] = 0;
}

// "\"HASH\"" or "W/\"HASH\"".
static void set_tag(char *place, size_t room, const char *text, size_t n)
{
    if (n > 2 && strncmp(text, "W/", 2) == 0) {
        text += 2;
        n -= 2;
    }
    if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
        text++;
        n -= 2;
    }
    set_text(place, room, text, n);
}

// "bytes 0-99/1000" or "bytes */1000".
static void set_range(ft_http_head *head, const char *text)
{
    long long begin = -1, end, total = -1;
    if (sscanf(text, "bytes %lld-%lld/%lld", &begin, &end, &total) < 2) sscanf(text, "bytes */%lld", &total);
    head->range_begin = begin;
    head->range_total = total;
}

static void set_value(ft_http_head *head, const field *f, const char *text, size_t n)
{
    char *place = (char *)head + f->offset, number[64];
    set_text(number, sizeof number, text, n);
    switch (f->kind) {
    case TEXT: set_text(place, f->room, text, n); break;
    case LINK:
        head->link_cut = n >= f->room;
        set_text(place, f->room, text, n);
        break;
    case TAG: set_tag(place, f->room, text, n); break;
    case BYTES: *(int64_t *)place = strtoll(number, NULL, 10); break;
    case SECONDS: *(double *)place = isdigit((unsigned char)number[0]) ? strtod(number, NULL) : -1; break;
    case RANGE: set_range(head, number); break;
    }
}

void ft_http_head_read(ft_http_head *head, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (colon == NULL) return;
    size_t name = (size_t)(colon - line);
    const char *text = colon + 1, *end = line + n;
    while (text < end && isspace((unsigned char)*text)) text++;
    while (end > text && isspace((unsigned char)end[-1])) end--;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strlen(fields[i].name) != name || strncasecmp(fields[i].name, line, name) != 0) continue;
        set_value(head, &fields[i], text, (size_t)(end - text));
    }
}
