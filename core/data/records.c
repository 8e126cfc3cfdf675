#include "data/records.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"
#include "common/threads.h"
#include "data/byte_stream.h"

#define SPANS 4096        // records parsed at once
#define PARSE_GRAIN 16
#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

typedef struct {
    json_t *json;          // NULL: `error`
    json_error_t error;
} parsed_record;

typedef struct {
    const char *path;
    ft_byte_stream *bytes;
    char *buffer;
    size_t capacity;
    ft_record_scan scan;
    ft_record_span *spans;
    parsed_record *parsed;
    int n;
} record_stream;

// Moves the unread text to the front, makes room, reads until the buffer is full or the file ends.
static ft_status refill(record_stream *s)
{
    ft_record_scan *scan = &s->scan;
    scan->n -= scan->at;
    memmove(s->buffer, s->buffer + scan->at, scan->n);
    scan->at = 0;
    if (scan->n == s->capacity) {
        if (s->capacity >= FT_RECORD_MAX)
            return ft_error(FT_E_INPUT, "%s:%lld: a record is longer than 1 GiB", s->path, (long long)scan->line);
        char *grown = ft_realloc(s->buffer, 2 * s->capacity);
        FT_ALLOC_CHECK(grown);
        s->buffer = grown;
        s->capacity *= 2;
    }
    while (scan->n < s->capacity && !scan->last) {
        size_t got;
        FT_TRY(ft_byte_stream_read(s->bytes, s->buffer + scan->n, s->capacity - scan->n, &got));
        scan->last = got == 0;
        scan->n += got;
    }
    scan->text = s->buffer;
    return FT_OK;
}

static void parse_range(void *context, int64_t begin, int64_t end)
{
    record_stream *s = context;
    for (int64_t i = begin; i < end; i++) {
        const ft_record_span *span = &s->spans[i];
        s->parsed[i].json = json_loadb(s->buffer + span->begin, span->end - span->begin, JSON_ALLOW_NUL | JSON_DECODE_ANY,
                                       &s->parsed[i].error);
    }
}

// Text of the file may stand in the message: one line, nothing a terminal would obey.
static ft_status not_json(const char *path, int64_t line, const json_error_t *error)
{
    char text[sizeof error->text];
    memcpy(text, error->text, sizeof text);
    for (char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c)) *c = '?';
    }
    return ft_error(FT_E_INPUT, "%s:%lld: not JSON: %s (column %d)", path,
                    (long long)(line + (error->line > 0 ? error->line - 1 : 0)), text, error->column);
}

static ft_status visit_record(const record_stream *s, int i, ft_record_visit visit, void *context)
{
    int64_t line = s->spans[i].line;
    const parsed_record *record = &s->parsed[i];
    if (record->json == NULL) return not_json(s->path, line, &record->error);
    if (!json_is_object(record->json))
        return ft_error(FT_E_INPUT, "%s:%lld: a record must be an object {...}", s->path, (long long)line);
    return visit(context, record->json, s->path, line);
}

static ft_status visit_all(record_stream *s, ft_record_visit visit, void *context)
{
    ft_status status = FT_OK;
    ft_parallel_for(s->n, PARSE_GRAIN, parse_range, s);
    for (int i = 0; i < s->n; i++) {
        if (status == FT_OK) status = visit_record(s, i, visit, context);
        json_decref(s->parsed[i].json);
    }
    return status;
}

// Collects the records of the text at hand. An error ends the collection; the records before it are visited first.
static ft_status collect(record_stream *s, ft_record_next next, ft_record_result *result)
{
    *result = FT_RECORD_FOUND;
    for (s->n = 0; s->n < SPANS; s->n++) {
        FT_TRY(next(&s->scan, &s->spans[s->n], result));
        if (*result != FT_RECORD_FOUND) break;
    }
    return FT_OK;
}

static ft_status stream_records(record_stream *s, ft_record_next next, ft_record_visit visit, void *context)
{
    FT_TRY(refill(s));
    if (s->scan.n >= 3 && memcmp(s->buffer, BYTE_ORDER_MARK, 3) == 0) s->scan.at = 3;
    for (;;) {
        ft_record_result result;
        ft_status found = collect(s, next, &result);
        char message[FT_ERROR_MESSAGE_BYTES];
        if (found != FT_OK) snprintf(message, sizeof message, "%s", ft_error_message());
        FT_TRY(visit_all(s, visit, context));
        if (found != FT_OK) return ft_error(found, "%s:%.900s", s->path, message);
        if (result == FT_RECORD_END) return FT_OK;
        if (result == FT_RECORD_MORE) FT_TRY(refill(s));
    }
}

ft_status ft_records_read(const char *path, ft_record_next next, ft_record_visit visit, void *context)
{
    record_stream s = {.path = path, .capacity = FT_RECORDS_BUFFER, .scan = {.line = 1}};
    ft_status status = FT_E_NOMEM;
    FT_TRY(ft_byte_stream_open(&s.bytes, path));
    s.buffer = ft_malloc(s.capacity);
    s.spans = FT_NEW_ARRAY(ft_record_span, SPANS);
    s.parsed = FT_NEW_ARRAY(parsed_record, SPANS);
    if (s.buffer != NULL && s.spans != NULL && s.parsed != NULL) status = stream_records(&s, next, visit, context);
    ft_free(s.buffer);
    ft_free(s.spans);
    ft_free(s.parsed);
    ft_byte_stream_close(s.bytes);
    return status;
}

static ft_status first_bytes(ft_byte_stream *bytes, char *text, size_t capacity, size_t *n)
{
    size_t got = 1;
    for (*n = 0; *n < capacity && got > 0; *n += got) FT_TRY(ft_byte_stream_read(bytes, text + *n, capacity - *n, &got));
    return FT_OK;
}

ft_status ft_records_first_byte(const char *path, char *byte)
{
    char text[4096];
    size_t n, i = 0;
    ft_byte_stream *bytes;
    *byte = 0;
    FT_TRY(ft_byte_stream_open(&bytes, path));
    ft_status status = first_bytes(bytes, text, sizeof text, &n);
    ft_byte_stream_close(bytes);
    FT_TRY(status);
    if (n >= 3 && memcmp(text, BYTE_ORDER_MARK, 3) == 0) i = 3;
    while (i < n && isspace((unsigned char)text[i])) i++;
    *byte = i < n ? text[i] : 0;
    return FT_OK;
}

bool ft_records_extension(const char *path, const char *extension)
{
    size_t n = ft_byte_stream_stem(path), length = strlen(extension);
    return n > length && strncasecmp(path + n - length, extension, length) == 0;
}
