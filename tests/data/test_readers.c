// Readers: every record once, in order, with its line; what is not a record is named with file and line.
#include "common/text.h"
#include "common/threads.h"
#include "data/readers.h"
#include "data/t_data.h"

typedef struct {
    int64_t n, sum, last_line, fail_at;
} tally;

static ft_status count(void *context, const json_t *record, const char *path, int64_t line)
{
    tally *t = context;
    assert_true(line > t->last_line || t->n == 0 || line == t->last_line);
    t->sum += json_integer_value(json_object_get(record, "n"));
    t->last_line = line;
    return ++t->n == t->fail_at ? ft_error(FT_E_INPUT, "%s:%lld: enough", path, (long long)line) : FT_OK;
}

static ft_status read_text(const char *name, const char *text, tally *t)
{
    char *path = t_write(name, text);
    *t = (tally){0};
    const ft_record_reader *reader = ft_record_reader_find(path);
    assert_non_null(reader);
    return reader->read(path, count, t);
}

static void assert_read(const char *name, const char *text, int64_t n, int64_t sum, int64_t last_line)
{
    tally t;
    t_ok(read_text(name, text, &t));
    assert_int_equal(t.n, n);
    assert_int_equal(t.sum, sum);
    assert_int_equal(t.last_line, last_line);
}

static void a_line_is_a_record_and_blank_lines_are_none(void **state)
{
    assert_read("a.jsonl", "{\"n\":1}\n\n  \r\n{\"n\":2}\r\n{\"n\":4}", 3, 7, 5);
    assert_read("a.ndjson", "\xEF\xBB\xBF{\"n\":1}\n", 1, 1, 1);
    assert_read("lines.json", "{\"n\":1}\n{\"n\":2}\n", 2, 3, 2);  // as many published .json files are
    assert_read("a.jsonl", "", 0, 0, 0);
}

static void elements_of_an_array_are_records(void **state)
{
    assert_read("a.json", "[{\"n\":1},{\"n\":2}]", 2, 3, 1);
    assert_read("a.json", "\n[\n{\"n\":1,\n\"x\":[{\"y\":\"]},\\\"[\"}]},\n\n {\"n\":2}\n]\n", 2, 3, 6);
    assert_read("a.json", "[]", 0, 0, 0);
    assert_read("array.jsonl", " [{\"n\":1},\n{\"n\":2}]\n", 2, 3, 2);
}

static void bad_records_are_named_with_file_and_line(void **state)
{
    static const struct { const char *name, *text, *message; } rows[] = {
        {"b.jsonl", "{\"n\":1}\n{\"n\":\n{\"n\":3}", "/b.jsonl:2: not JSON"},
        {"b.jsonl", "{\"n\":1}\n\n[1]\n", "/b.jsonl:3: a record must be an object"},
        {"b.jsonl", "{\"n\":1} {\"n\":2}\n", "/b.jsonl:1: not JSON"},
        {"b.jsonl", "{\"n\":\"\xFF\"}\n", "/b.jsonl:1: not JSON"},
        {"b.jsonl", "{\"\x1B[31m\n", "/b.jsonl:1: not JSON"},
        {"b.json", "[{\"n\":1},\n{\"n\":\n\n?}]", "/b.json:4: not JSON"},
        {"b.json", "[{\"n\":1}\n{\"n\":2}]", "/b.json:2: not a JSON array of records: expected ',' or ']'"},
        {"b.json", "[{\"n\":1},]", "expected a record"},
        {"b.json", "[,{\"n\":1}]", "expected a record"},
        {"b.json", "[{\"n\":1}", "expected ',' or ']'"},
        {"b.json", "[{\"n\":1}] x", "expected the end of the file"},
        {"b.json", "[{\"n\":1},7]", "a record must be an object"},
        {"b.json", "[{\"n\":1},{\"n\":2", "not JSON"},
        {"b.json", "", "expected '['"},
        {"b.json", "\"text\"", "expected '['"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tally t;
        t_fails(read_text(rows[i].name, rows[i].text, &t), FT_E_INPUT, rows[i].message);
        assert_null(strchr(ft_error_message(), '\x1B'));
    }
}

static void records_before_a_bad_one_are_visited(void **state)
{
    tally t;
    t_fails(read_text("c.jsonl", "{\"n\":1}\n{\"n\":2}\n{", &t), FT_E_INPUT, ":3:");
    assert_int_equal(t.n, 2);
    t_fails(read_text("c.json", "[{\"n\":1},{\"n\":2},!", &t), FT_E_INPUT, ":1:");
    assert_int_equal(t.n, 2);
}

static void a_failing_visit_ends_the_reading(void **state)
{
    tally t = {.fail_at = 2};
    char *path = t_write("d.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":4}\n");
    t_fails(ft_record_reader_find(path)->read(path, count, &t), FT_E_INPUT, ":2: enough");
    assert_int_equal(t.n, 2);
}

// More text than the buffer, records that cross its end, one longer than the buffer.
static void files_larger_than_the_buffer_stream(void **state)
{
    const int n = 60000;
    size_t long_bytes = FT_RECORDS_BUFFER + 1000;
    ft_text lines = {0}, array = {0};
    char *filler = ft_malloc(long_bytes + 1);
    memset(filler, 'x', long_bytes);
    filler[long_bytes] = 0;
    t_ok(ft_text_add(&array, "[", 1));
    for (int i = 0; i < n; i++) {
        int bytes = i == n / 2 ? (int)long_bytes : i % 400;
        t_ok(ft_text_printf(&lines, "{\"n\":%d,\"x\":\"%.*s\"}\n", i, bytes, filler));
        t_ok(ft_text_printf(&array, "%s\n{\"n\":%d,\"x\":\"%.*s\"}", i ? "," : "", i, bytes, filler));
    }
    t_ok(ft_text_add(&array, "]", 1));
    t_ok(ft_threads_init(2));
    assert_read("big.jsonl", lines.data, n, (int64_t)n * (n - 1) / 2, n);
    assert_read("big.json", array.data, n, (int64_t)n * (n - 1) / 2, n + 1);
    ft_threads_shutdown();
    ft_free(filler);
    ft_text_free(&lines);
    ft_text_free(&array);
}

static void other_files_have_no_reader(void **state)
{
    assert_null(ft_record_reader_find("train.csv"));
    assert_null(ft_record_reader_find("jsonl"));
    assert_string_equal(ft_record_reader_find("TRAIN.JSONL")->name, "jsonl");
    tally t = {0};
    t_fails(ft_reader_jsonl.read(t_path("absent.jsonl"), count, &t), FT_E_INPUT, "absent.jsonl: cannot be opened");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_record_and_blank_lines_are_none),
        cmocka_unit_test(elements_of_an_array_are_records),
        cmocka_unit_test(bad_records_are_named_with_file_and_line),
        cmocka_unit_test(records_before_a_bad_one_are_visited),
        cmocka_unit_test(a_failing_visit_ends_the_reading),
        cmocka_unit_test(files_larger_than_the_buffer_stream),
        cmocka_unit_test(other_files_have_no_reader),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
