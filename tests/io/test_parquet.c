// Every encoding, codec, page version and nesting gives the rows that pyarrow reads from the same file, and what is not read is
// refused by name. The files and rows are made by tests/golden/parquet/make_parquet.py.
#include <jansson.h>
#include <unistd.h>

#include "io/parquet.h"
#include "io/support.h"

#define GOLDEN "tests/golden/parquet/"

static json_t *load(const char *name)
{
    json_error_t error;
    char *path = ft_format(GOLDEN "%s", name);
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (json == NULL) print_error("%s:%d: %s\n", path, error.line, error.text);
    assert_non_null(json);
    ft_free(path);
    return json;
}

static void assert_row(const char *file, size_t row, const json_t *actual, const json_t *expected)
{
    if (json_equal(actual, expected)) return;
    char *is = json_dumps(actual, 0), *should = json_dumps(expected, 0);
    print_error("%s row %zu is\n%s\nshould be\n%s\n", file, row, is, should);
    free(is);
    free(should);
    fail();
}

static void assert_rows(const char *name, const json_t *expected)
{
    ft_parquet *file;
    json_t *row;
    char *path = ft_format(GOLDEN "%s", name);
    assert_ok(ft_parquet_open(&file, path));
    assert_int_equal(ft_parquet_rows(file), json_array_size(expected));
    for (size_t i = 0; i < json_array_size(expected); i++) {
        ft_status status = ft_parquet_next(file, &row);
        if (status != FT_OK) print_error("%s\n", ft_error_message());
        assert_int_equal(status, FT_OK);
        assert_non_null(row);
        assert_row(name, i, row, json_array_get(expected, i));
        json_decref(row);
    }
    for (int twice = 0; twice < 2; twice++) {
        assert_ok(ft_parquet_next(file, &row));
        assert_null(row);
    }
    ft_parquet_close(file);
    ft_free(path);
}

static void rows_are_those_that_pyarrow_reads(void **state)
{
    json_t *manifest = load("manifest.json"), *entry;
    size_t i, read = 0;
    json_array_foreach(manifest, i, entry) {
        const char *rows = json_string_value(json_object_get(entry, "rows"));
        if (rows == NULL) continue;
        json_t *expected = load(rows);
        assert_rows(json_string_value(json_object_get(entry, "file")), expected);
        json_decref(expected);
        read++;
    }
    assert_true(read > 50);
    json_decref(manifest);
}

// Opens and reads to the end or the first error.
static ft_status read_all(const char *path)
{
    ft_parquet *file;
    json_t *row = NULL;
    FT_TRY(ft_parquet_open(&file, path));
    ft_status status;
    do {
        json_decref(row);
        status = ft_parquet_next(file, &row);
    } while (status == FT_OK && row != NULL);
    ft_parquet_close(file);
    return status;
}

static void what_is_not_read_is_refused_by_name(void **state)
{
    json_t *manifest = load("manifest.json"), *entry;
    size_t i, refused = 0;
    json_array_foreach(manifest, i, entry) {
        const char *error = json_string_value(json_object_get(entry, "error"));
        if (error == NULL) continue;
        const char *name = json_string_value(json_object_get(entry, "file"));
        bool unsupported = strcmp(json_string_value(json_object_get(entry, "status")), "unsupported") == 0;
        char *path = ft_format(GOLDEN "%s", name);
        assert_int_equal(read_all(path), unsupported ? FT_E_UNSUPPORTED : FT_E_INPUT);
        assert_message_has(ft_error_message(), error);
        assert_message_has(ft_error_message(), path);
        ft_free(path);
        refused++;
    }
    assert_int_equal(refused, 7);
    json_decref(manifest);
}

static void bytes_in_memory_read_like_a_file(void **state)
{
    char *bytes;
    size_t n;
    ft_parquet *file;
    json_t *row, *expected = load("rows/two_fields.json");
    assert_ok(ft_file_read(GOLDEN "two_fields.parquet", MIB, &bytes, &n));
    assert_ok(ft_parquet_open_memory(&file, bytes, n, "memory"));
    for (size_t i = 0; i < json_array_size(expected); i++) {
        assert_ok(ft_parquet_next(file, &row));
        assert_row("memory", i, row, json_array_get(expected, i));
        json_decref(row);
    }
    ft_parquet_close(file);
    ft_free(bytes);
    json_decref(expected);
}

static void other_files_are_told_apart(void **state)
{
    static const struct { const char *text, *message; ft_status status; } files[] = {
        {"", "too short to be Parquet", FT_E_INPUT},
        {"{\"text\": \"a line of JSON\"}\n", "not a Parquet file", FT_E_INPUT},
        {"PAR1 and then nothing of the kind", "the end of a Parquet file is missing", FT_E_INPUT},
        {"PAR1xxxxxxxxxxxx\x40\x40\x40\x40PAR1", "a footer of", FT_E_INPUT},
        {"PAREaaaaaaaaaaaa\1\1\1\1PARE", "encrypted", FT_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ft_parquet *file;
        assert_int_equal(ft_parquet_open_memory(&file, files[i].text, strlen(files[i].text), "data.parquet"), files[i].status);
        assert_message_has(ft_error_message(), files[i].message);
        assert_message_has(ft_error_message(), "data.parquet: ");
        assert_null(file);
    }
    assert_int_equal(read_all("/absent.parquet"), FT_E_INPUT);
    assert_int_equal(read_all("/tmp"), FT_E_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_that_pyarrow_reads),
        cmocka_unit_test(what_is_not_read_is_refused_by_name),
        cmocka_unit_test(bytes_in_memory_read_like_a_file),
        cmocka_unit_test(other_files_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
