// A well-formed safetensors file is read as it was written, by us or by anybody.
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
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

// Listed out of order, with a scalar, two empty tensors at one place, trailing spaces and a data start that no alignment fits.
static const char header[] =
    "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[1,25]},"
    "\"__metadata__\":{\"format\":\"pt\",\"empty\":\"\"},"
    "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
    "\"z\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[25,25]},"
    "\"y\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[25,25]},"
    "\"\\u00e9 c\":{\"shape\":[4],\"data_offsets\":[25,33],\"extra\":null,\"dtype\":\"BF16\"}}   ";

static void tensors_are_in_file_order(void **state)
{
    static const char *const names[] = {"a", "b", "y", "z", "\xc3\xa9 c"};
    ft_safetensors file;
    write_header(path, header, 33);
    assert_ok(ft_safetensors_open(&file, path));
    assert_int_equal(file.n_tensors, 5);
    for (int i = 0; i < 5; i++) assert_string_equal(file.tensors[i].name, names[i]);
    assert_int_equal(file.header_bytes, strlen(header));
    assert_int_equal(file.file_bytes, 8 + strlen(header) + 33);
    assert_consistent(file.tensors, file.n_tensors, 8 + (int64_t)strlen(header), 33);
    assert_int_equal(file.tensors[0].rank, 0);
    assert_int_equal(file.tensors[0].elements, 1);
    const ft_tensor_info *b = ft_safetensors_find(&file, "b");
    assert_int_equal(b->dtype, FT_DTYPE_F32);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(b->shape[1], 3);
    assert_null(ft_safetensors_find(&file, "__metadata__"));
    assert_null(ft_safetensors_find(&file, "nothing"));
    assert_true(ft_hash128_equal(file.header_hash, ft_hash128_of(header, strlen(header))));
    ft_safetensors_close(&file);
}

static void data_is_read_in_any_piece(void **state)
{
    ft_safetensors file;
    unsigned char bytes[24];
    write_header(path, header, 33);
    assert_ok(ft_safetensors_open(&file, path));
    const ft_tensor_info *b = ft_safetensors_find(&file, "b");
    for (int begin = 0; begin <= 24; begin++) {
        for (int n = 0; n <= 24 - begin; n++) {
            memset(bytes, 0xEE, sizeof bytes);
            assert_ok(ft_safetensors_read(&file, b, begin, n, bytes));
            for (int i = 0; i < 24; i++) assert_int_equal(bytes[i], i < n ? 1 + begin + i : 0xEE);
        }
    }
    ft_safetensors_close(&file);
}

static void metadata_is_found_by_key(void **state)
{
    ft_safetensors file;
    char *value;
    write_header(path, header, 33);
    assert_ok(ft_safetensors_open(&file, path));
    assert_ok(ft_safetensors_metadata(&file, "format", &value));
    assert_string_equal(value, "pt");
    ft_free(value);
    assert_ok(ft_safetensors_metadata(&file, "empty", &value));
    assert_string_equal(value, "");
    ft_free(value);
    assert_int_equal(ft_safetensors_metadata(&file, "absent", &value), FT_E_NOT_FOUND);
    assert_null(value);
    ft_safetensors_close(&file);
}

static void file_without_tensors_is_valid(void **state)
{
    ft_safetensors file;
    char *value;
    write_header(path, "{}", 0);
    assert_ok(ft_safetensors_open(&file, path));
    assert_int_equal(file.n_tensors, 0);
    assert_int_equal(ft_safetensors_metadata(&file, "format", &value), FT_E_NOT_FOUND);
    ft_safetensors_close(&file);
}

static void modification_time_is_the_files(void **state)
{
    ft_safetensors file;
    write_header(path, "{}", 0);
    const struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 1234567890, .tv_nsec = 123456789}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_ok(ft_safetensors_open(&file, path));
    assert_int_equal(file.mtime_ns, 1234567890123456789);
    ft_safetensors_close(&file);
}

// A file that shrinks under the reader is an error with its name, not old bytes.
static void shrunk_file_is_an_error(void **state)
{
    ft_safetensors file;
    unsigned char bytes[24];
    write_header(path, header, 33);
    assert_ok(ft_safetensors_open(&file, path));
    assert_int_equal(truncate(path, 8 + (long)strlen(header) + 10), 0);
    assert_int_equal(ft_safetensors_read(&file, ft_safetensors_find(&file, "b"), 0, 24, bytes), FT_E_IO);
    assert_message_has(ft_error_message(), path);
    assert_message_has(ft_error_message(), "tensor b");
    ft_safetensors_close(&file);
}

// Files written by other implementations: the golden models and adapters.
static void files_of_others_open(void **state)
{
    static const char *const patterns[] = {"tests/golden/*/model/*.safetensors", "tests/golden/*/adapter_init/*.safetensors",
                                           "tests/golden/*/golden.safetensors"};
    int opened = 0;
    for (int p = 0; p < 3; p++) {
        glob_t found;
        if (glob(patterns[p], 0, NULL, &found) == 0) {
            for (size_t i = 0; i < found.gl_pathc; i++, opened++) {
                ft_safetensors file;
                assert_ok(ft_safetensors_open(&file, found.gl_pathv[i]));
                assert_true(file.n_tensors > 0);
                assert_consistent(file.tensors, file.n_tensors, 8 + file.header_bytes, file.file_bytes - 8 - file.header_bytes);
                ft_safetensors_close(&file);
            }
            globfree(&found);
        }
    }
    if (opened == 0) skip();
}

static void every_failed_allocation_is_reported(void **state)
{
    write_header(path, header, 33);
    for (int64_t n = 1;; n++) {
        ft_safetensors file;
        ft_memory_fail_after(n);
        ft_status status = ft_safetensors_open(&file, path);
        ft_memory_fail_after(0);
        if (status == FT_OK) {
            ft_safetensors_close(&file);
            assert_true(n > 6);  // path, header, table, five names
            return;
        }
        assert_int_equal(status, FT_E_NOMEM);
        assert_null(file.tensors);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tensors_are_in_file_order),
        TEST(data_is_read_in_any_piece),
        TEST(metadata_is_found_by_key),
        TEST(file_without_tensors_is_valid),
        TEST(modification_time_is_the_files),
        TEST(shrunk_file_is_an_error),
        TEST(files_of_others_open),
        TEST(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
