// What the writer writes is what the reader reads, and an unfinished file does not stay.
#include <unistd.h>

#include "safetensors_support.h"

static char *directory, *path;

static int set_up(void **state)
{
    directory = support_directory();
    path = ft_path_join(directory, "x.safetensors");
    return 0;
}

static int tear_down(void **state)
{
    ft_free(path);
    support_remove(directory);
    return 0;
}

static const struct {
    const char *name;
    ft_dtype dtype;
    int rank;
    int64_t shape[FT_TENSOR_MAX_RANK];
} declared[] = {
    {"z last in the alphabet", FT_DTYPE_F32, 2, {3, 5}},  {"scalar", FT_DTYPE_I64, 0, {0}},
    {"empty", FT_DTYPE_BF16, 2, {0, 9}},                  {"quote\" back\\slash \xc3\xa9", FT_DTYPE_U8, 1, {7}},
    {"deep", FT_DTYPE_F8_E4M3, 8, {1, 2, 1, 2, 1, 2, 1, 2}},
};
#define N_DECLARED ((int)(sizeof declared / sizeof declared[0]))
#define DATA_BYTES (60 + 8 + 0 + 7 + 16)

static ft_safetensors_writer *declare_all(void)
{
    ft_safetensors_writer *writer;
    assert_ok(ft_safetensors_create(&writer, path));
    assert_ok(ft_safetensors_metadata_add(writer, "format", "pt"));
    for (int i = 0; i < N_DECLARED; i++)
        assert_ok(ft_safetensors_declare(writer, declared[i].name, declared[i].dtype, declared[i].rank, declared[i].shape));
    assert_ok(ft_safetensors_metadata_add(writer, "note", "a \"quoted\" word"));
    return writer;
}

static void check_written(void)
{
    ft_safetensors file;
    char *value;
    unsigned char data[DATA_BYTES];
    assert_ok(ft_safetensors_open(&file, path));
    assert_int_equal(file.n_tensors, N_DECLARED);
    assert_int_equal(file.header_bytes % 8, 0);
    for (int i = 0; i < N_DECLARED; i++) {
        const ft_tensor_info *tensor = ft_safetensors_find(&file, declared[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, declared[i].dtype);
        assert_int_equal(tensor->rank, declared[i].rank);
        assert_memory_equal(tensor->shape, declared[i].shape, sizeof(int64_t) * (size_t)declared[i].rank);
        int64_t begin = tensor->offset - 8 - file.header_bytes;
        assert_ok(ft_safetensors_read(&file, tensor, 0, tensor->bytes, data + begin));
    }
    for (int i = 0; i < DATA_BYTES; i++) assert_int_equal(data[i], (unsigned char)(3 * i));
    assert_int_equal(ft_safetensors_find(&file, declared[0].name)->offset, 8 + file.header_bytes);  // declaration order
    assert_ok(ft_safetensors_metadata(&file, "note", &value));
    assert_string_equal(value, "a \"quoted\" word");
    ft_free(value);
    ft_safetensors_close(&file);
}

static void files_round_trip_in_any_pieces(void **state)
{
    unsigned char data[DATA_BYTES];
    for (int i = 0; i < DATA_BYTES; i++) data[i] = (unsigned char)(3 * i);
    for (int step = 1; step <= DATA_BYTES; step += 9) {
        ft_safetensors_writer *writer = declare_all();
        assert_ok(ft_safetensors_begin(writer));
        for (int at = 0; at < DATA_BYTES; at += step)
            assert_ok(ft_safetensors_write(writer, data + at, at + step < DATA_BYTES ? step : DATA_BYTES - at));
        assert_ok(ft_safetensors_finish(writer, step == 1));
        ft_safetensors_discard(writer);
        check_written();
    }
}

static void unfinished_files_are_removed(void **state)
{
    ft_safetensors_writer *writer = declare_all();
    assert_true(ft_path_exists(path));
    ft_safetensors_discard(writer);
    assert_false(ft_path_exists(path));
    writer = declare_all();
    assert_ok(ft_safetensors_begin(writer));
    assert_ok(ft_safetensors_write(writer, "abc", 3));
    ft_safetensors_discard(writer);
    assert_false(ft_path_exists(path));
    ft_safetensors_discard(NULL);
}

static void missing_or_surplus_data_is_refused(void **state)
{
    char data[DATA_BYTES] = {0};
    ft_safetensors_writer *writer = declare_all();
    assert_ok(ft_safetensors_begin(writer));
    assert_ok(ft_safetensors_write(writer, data, DATA_BYTES - 1));
    assert_int_equal(ft_safetensors_finish(writer, false), FT_E_INTERNAL);
    assert_message_has(ft_error_message(), path);
    assert_int_equal(ft_safetensors_write(writer, data, 2), FT_E_INTERNAL);
    assert_ok(ft_safetensors_write(writer, data, 1));
    assert_ok(ft_safetensors_finish(writer, false));
    ft_safetensors_discard(writer);
    assert_true(ft_path_exists(path));
}

static void bad_declarations_are_refused(void **state)
{
    static const int64_t one[] = {1}, negative[] = {-1}, huge[] = {(int64_t)1 << 40, (int64_t)1 << 40}, large[] = {(int64_t)1 << 62};
    ft_safetensors_writer *writer;
    assert_ok(ft_safetensors_create(&writer, path));
    assert_ok(ft_safetensors_declare(writer, "a", FT_DTYPE_U8, 1, one));
    assert_int_equal(ft_safetensors_declare(writer, "a", FT_DTYPE_U8, 1, one), FT_E_INPUT);
    assert_message_has(ft_error_message(), "\"a\" is declared twice");
    assert_int_equal(ft_safetensors_declare(writer, "__metadata__", FT_DTYPE_U8, 1, one), FT_E_INPUT);
    assert_int_equal(ft_safetensors_declare(writer, "b", FT_DTYPE_NONE, 1, one), FT_E_INPUT);
    assert_int_equal(ft_safetensors_declare(writer, "b", FT_DTYPE_U8, 9, one), FT_E_INPUT);
    assert_int_equal(ft_safetensors_declare(writer, "b", FT_DTYPE_U8, 1, negative), FT_E_INPUT);
    assert_int_equal(ft_safetensors_declare(writer, "b", FT_DTYPE_U8, 2, huge), FT_E_INPUT);
    assert_ok(ft_safetensors_declare(writer, "b", FT_DTYPE_U8, 1, large));
    assert_int_equal(ft_safetensors_declare(writer, "c", FT_DTYPE_U8, 1, large), FT_E_INPUT);
    assert_message_has(ft_error_message(), "2^63");
    assert_int_equal(ft_safetensors_declare(writer, "\xff", FT_DTYPE_U8, 1, one), FT_E_INPUT);
    assert_int_equal(ft_safetensors_metadata_add(writer, "k", "\xff"), FT_E_INPUT);
    ft_safetensors_discard(writer);
    assert_int_equal(ft_safetensors_create(&writer, "/nonexistent/x.safetensors"), FT_E_IO);
    assert_null(writer);
}

// /dev/full takes the open and refuses the write.
static void full_disk_is_an_error(void **state)
{
    ft_safetensors_writer *writer;
    char *link = ft_path_join(directory, "full");
    if (symlink("/dev/full", link) != 0 || ft_safetensors_create(&writer, link) != FT_OK) {
        ft_free(link);
        skip();
    }
    assert_int_equal(ft_safetensors_begin(writer), FT_E_IO);
    assert_message_has(ft_error_message(), "No space left");
    ft_safetensors_discard(writer);
    assert_true(ft_path_exists("/dev/full"));
    assert_false(ft_path_exists(link));
    ft_free(link);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_round_trip_in_any_pieces),
        TEST(unfinished_files_are_removed),
        TEST(missing_or_surplus_data_is_refused),
        TEST(bad_declarations_are_refused),
        TEST(full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
