// jsonl: one record a line; blank lines are skipped. A file that starts with '[' is read as json: some save an array so.
#include <ctype.h>
#include <string.h>

#include "data/readers.h"

static bool matches(const char *path)
{
    return ft_records_extension(path, ".jsonl") || ft_records_extension(path, ".ndjson");
}

static bool blank(const char *text, const char *end)
{
    while (text < end && isspace((unsigned char)*text)) text++;
    return text == end;
}

static ft_status next_line(ft_record_scan *scan, ft_record_span *span, ft_record_result *result)
{
    while (scan->at < scan->n) {
        const char *begin = scan->text + scan->at, *end = memchr(begin, '\n', scan->n - scan->at);
        if (end == NULL && !scan->last) {
            *result = FT_RECORD_MORE;
            return FT_OK;
        }
        size_t stop = end ? (size_t)(end - scan->text) : scan->n;
        *span = (ft_record_span){scan->at, stop, scan->line};
        scan->at = end ? stop + 1 : stop;
        scan->line++;
        *result = FT_RECORD_FOUND;
        if (!blank(begin, scan->text + stop)) return FT_OK;
    }
    *result = scan->last ? FT_RECORD_END : FT_RECORD_MORE;
    return FT_OK;
}

static ft_status read_jsonl(const char *path, ft_record_visit visit, void *context)
{
    char first;
    FT_TRY(ft_records_first_byte(path, &first));
    if (first == '[') return ft_reader_json.read(path, visit, context);
    return ft_records_read(path, next_line, visit, context);
}

const ft_record_reader ft_reader_jsonl = {.name = "jsonl", .matches = matches, .read = read_jsonl};
