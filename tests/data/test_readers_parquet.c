// The Parquet reader: rows are records, their numbers stand for lines, a failing visit ends the reading.
#include "data/readers.h"
#include "data/t_data.h"

#define FILES "tests/golden/parquet/"

typedef struct {
    int64_t n, fail_at, turns;
} tally;

static ft_status count(void *context, const json_t *record, const char *path, int64_t line)
{
    tally *t = context;
    assert_int_equal(line, ++t->n);
    t->turns += (int64_t)json_array_size(json_object_get(record, "conversations"));
    return t->n == t->fail_at ? ft_error(FT_E_INPUT, "%s:%lld: enough", path, (long long)line) : FT_OK;
}

static void rows_are_records_in_order(void **state)
{
    tally t = {0};
    const ft_record_reader *reader = ft_record_reader_find(FILES "defaults.parquet");
    assert_non_null(reader);
    assert_string_equal(reader->name, "parquet");
    t_ok(reader->read(FILES "defaults.parquet", count, &t));
    assert_int_equal(t.n, 20);
    assert_true(t.turns > 20);
}

static void a_failing_visit_ends_the_reading(void **state)
{
    tally t = {.fail_at = 3};
    t_fails(ft_reader_parquet.read(FILES "defaults.parquet", count, &t), FT_E_INPUT, "defaults.parquet:3: enough");
    assert_int_equal(t.n, 3);
}

static void what_is_no_parquet_is_named(void **state)
{
    tally t = {0};
    char *path = t_write("x.parquet", "{\"n\":1}\n{\"n\":2}\n");
    t_fails(ft_reader_parquet.read(path, count, &t), FT_E_INPUT, "/x.parquet: not a Parquet file");
    assert_null(ft_record_reader_find("x.parquet.gz"));  // its pages are compressed already
    assert_int_equal(t.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_records_in_order),
        cmocka_unit_test(a_failing_visit_ends_the_reading),
        cmocka_unit_test(what_is_no_parquet_is_named),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
