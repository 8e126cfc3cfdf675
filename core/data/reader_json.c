// json: one array of records, or, if the file starts with '{', one record a line as jsonl. The array is not parsed as a whole:
// its elements are found by counting brackets outside strings, and each is parsed by itself, so a file of any size streams
// through a buffer.
#include <ctype.h>

#include "data/readers.h"

enum { BEFORE_ARRAY, BEFORE_FIRST, BEFORE_ELEMENT, AFTER_ELEMENT, AFTER_ARRAY };

static bool matches(const char *path)
{
    return ft_records_extension(path, ".json");
}

static void skip_space(ft_record_scan *scan)
{
    for (; scan->at < scan->n && isspace((unsigned char)scan->text[scan->at]); scan->at++)
        scan->line += scan->text[scan->at] == '\n';
}

// End of the string that starts at `at`; scan->n if it is cut off.
static size_t string_end(const ft_record_scan *scan, size_t at)
{
    for (at++; at < scan->n; at++) {
        if (scan->text[at] == '\\') at++;
        else if (scan->text[at] == '"') return at + 1;
    }
    return scan->n;
}

// End of the value that starts at `at`: the ',' or ']' behind it, or where its outermost bracket closes; scan->n if cut off.
static size_t value_end(const ft_record_scan *scan, size_t at)
{
    int64_t depth = 0;
    while (at < scan->n) {
        char c = scan->text[at];
        if (c == '"') {
            at = string_end(scan, at);
            continue;
        }
        if (depth == 0 && (c == ',' || c == ']' || c == '}')) return at;
        if (c == '{' || c == '[') depth++;
        at++;
        if ((c == '}' || c == ']') && --depth == 0) return at;
    }
    return scan->n;
}

static int64_t count_lines(const ft_record_scan *scan, size_t begin, size_t end)
{
    int64_t lines = 0;
    for (; begin < end; begin++) lines += scan->text[begin] == '\n';
    return lines;
}

static ft_status expected(const ft_record_scan *scan, const char *what)
{
    return ft_error(FT_E_INPUT, "%lld: not a JSON array of records: expected %s", (long long)scan->line, what);
}

// Takes one punctuation character or the end of the text; *element: a value starts here.
static ft_status punctuation(ft_record_scan *scan, bool *element)
{
    char c = scan->at < scan->n ? scan->text[scan->at] : 0;
    *element = false;
    switch (scan->state) {
    case BEFORE_ARRAY:
        if (c != '[') return expected(scan, "'['");
        scan->state = BEFORE_FIRST;
        break;
    case AFTER_ELEMENT:
        if (c != ',' && c != ']') return expected(scan, "',' or ']'");
        scan->state = c == ',' ? BEFORE_ELEMENT : AFTER_ARRAY;
        break;
    case AFTER_ARRAY: return expected(scan, "the end of the file");
    default:
        *element = c != ']' || scan->state == BEFORE_ELEMENT;
        if (*element) return c == ',' || c == ']' || c == 0 ? expected(scan, "a record") : FT_OK;
        scan->state = AFTER_ARRAY;
    }
    scan->at++;
    return FT_OK;
}

static ft_status take_element(ft_record_scan *scan, ft_record_span *span, ft_record_result *result)
{
    size_t end = value_end(scan, scan->at);
    if (end == scan->n && !scan->last) {
        *result = FT_RECORD_MORE;
        return FT_OK;
    }
    *span = (ft_record_span){scan->at, end, scan->line};
    scan->line += count_lines(scan, scan->at, end);
    scan->at = end;
    scan->state = AFTER_ELEMENT;
    *result = FT_RECORD_FOUND;
    return FT_OK;
}

static ft_status next_element(ft_record_scan *scan, ft_record_span *span, ft_record_result *result)
{
    bool element = false;
    while (!element) {
        skip_space(scan);
        if (scan->at == scan->n && (!scan->last || scan->state == AFTER_ARRAY)) {
            *result = scan->last ? FT_RECORD_END : FT_RECORD_MORE;
            return FT_OK;
        }
        FT_TRY(punctuation(scan, &element));
    }
    return take_element(scan, span, result);
}

static ft_status read_json(const char *path, ft_record_visit visit, void *context)
{
    char first;
    FT_TRY(ft_records_first_byte(path, &first));
    if (first == '{') return ft_reader_jsonl.read(path, visit, context);
    return ft_records_read(path, next_element, visit, context);
}

const ft_record_reader ft_reader_json = {.name = "json", .matches = matches, .read = read_json};
