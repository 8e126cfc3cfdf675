// A broken or hostile header is refused with a message that names the file, or parses to something that cannot contradict itself.
// Nothing is read outside the file's bytes (the sanitizer build watches that).
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

static void refused(ft_status expected, const char *part)
{
    ft_safetensors file;
    assert_int_equal(ft_safetensors_open(&file, path), expected);
    assert_message_has(ft_error_message(), path);
    assert_message_has(ft_error_message(), part);
    assert_null(strchr(ft_error_message(), '\n'));
    assert_null(file.tensors);
    assert_null(file.path);
}

#define T(name, dtype, shape, offsets) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{" T("t", dtype, shape, offsets) "}"

// Each with 16 bytes of data.
static const struct {
    const char *header;
    ft_status status;
    const char *message;
} bad_headers[] = {
    {"", FT_E_INPUT, "JSON object"},
    {"[]", FT_E_INPUT, "JSON object"},
    {" {}", FT_E_INPUT, "JSON object"},
    {"{", FT_E_INPUT, "not valid JSON"},
    {"{} x", FT_E_INPUT, "not valid JSON"},
    {"{\"t\":1}", FT_E_INPUT, "tensor \"t\""},
    {"{\"t\":null}", FT_E_INPUT, "tensor \"t\""},
    {"{\"t\":{}}", FT_E_INPUT, "no dtype"},
    {"{\"a\\nb\":{}}", FT_E_INPUT, "control character"},
    {"{\"a\nb\":{}}", FT_E_INPUT, "not valid JSON"},
    {"{\"a\\u0000b\":{}}", FT_E_INPUT, "not valid JSON"},
    {"{\"\xff\":{}}", FT_E_INPUT, "not valid JSON"},
    {ONE("F31", "[4]", "[0,16]"), FT_E_UNSUPPORTED, "F31"},
    {ONE("float32", "[4]", "[0,16]"), FT_E_UNSUPPORTED, "float32"},
    {ONE("NONE", "[4]", "[0,16]"), FT_E_UNSUPPORTED, "NONE"},
    {"{\"t\":{\"dtype\":7,\"shape\":[4],\"data_offsets\":[0,16]}}", FT_E_INPUT, "no dtype"},
    {"{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}", FT_E_INPUT, "no shape"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[4]}}", FT_E_INPUT, "data_offsets"},
    {ONE("F32", "4", "[0,16]"), FT_E_INPUT, "no shape"},
    {ONE("F32", "{}", "[0,16]"), FT_E_INPUT, "no shape"},
    {ONE("F32", "[-4]", "[0,16]"), FT_E_INPUT, "dimension 0"},
    {ONE("F32", "[4.0]", "[0,16]"), FT_E_INPUT, "dimension 0"},
    {ONE("F32", "[\"4\"]", "[0,16]"), FT_E_INPUT, "dimension 0"},
    {ONE("F32", "[1,1,1,1,1,1,1,1,4]", "[0,16]"), FT_E_UNSUPPORTED, "9 dimensions"},
    {ONE("F32", "[4611686018427387904,4]", "[0,16]"), FT_E_INPUT, "2^63"},
    {ONE("F32", "[4294967296,4294967296]", "[0,0]"), FT_E_INPUT, "2^63"},
    {ONE("F64", "[2305843009213693952]", "[0,16]"), FT_E_INPUT, "2^63"},
    {ONE("F32", "[99999999999999999999]", "[0,16]"), FT_E_INPUT, "not valid JSON"},
    {ONE("F32", "[4611686018427387904,4611686018427387904,0]", "[0,0]"), FT_E_INPUT, "2^63"},
    {ONE("F32", "[4]", "16"), FT_E_INPUT, "data_offsets"},
    {ONE("F32", "[4]", "[16]"), FT_E_INPUT, "data_offsets"},
    {ONE("F32", "[4]", "[0,16,16]"), FT_E_INPUT, "data_offsets"},
    {ONE("F32", "[4]", "[0.0,16]"), FT_E_INPUT, "data_offsets"},
    {ONE("F32", "[4]", "[-1,15]"), FT_E_INPUT, "leave the 16 bytes"},
    {ONE("F32", "[4]", "[16,0]"), FT_E_INPUT, "leave the 16 bytes"},
    {ONE("F32", "[5]", "[0,20]"), FT_E_INPUT, "is the file whole"},
    {ONE("F32", "[4]", "[0,9223372036854775807]"), FT_E_INPUT, "leave the 16 bytes"},
    {ONE("F32", "[3]", "[0,16]"), FT_E_INPUT, "dtype and shape need 12"},
    {ONE("F16", "[4]", "[0,16]"), FT_E_INPUT, "dtype and shape need 8"},
    {"{}", FT_E_INPUT, "the tensors end at byte 10, the file at 26"},
    {ONE("F32", "[2]", "[0,8]"), FT_E_INPUT, "the tensors end"},
    {ONE("F32", "[2]", "[8,16]"), FT_E_INPUT, "leaving a gap"},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[2]", "[8,16]") "}", FT_E_INPUT, "tensor \"b\""},
    {"{" T("a", "F32", "[3]", "[0,12]") "," T("b", "F32", "[2]", "[8,16]") "}", FT_E_INPUT, "overlapping"},
    {"{" T("a", "F32", "[4]", "[0,16]") "," T("b", "F32", "[4]", "[0,16]") "}", FT_E_INPUT, "overlapping"},
    {"{" T("a", "F32", "[4]", "[0,16]") "," T("b", "F32", "[0]", "[8,8]") "}", FT_E_INPUT, "overlapping"},
    {"{" T("t", "F32", "[2]", "[0,8]") "," T("t", "F32", "[2]", "[8,16]") "}", FT_E_INPUT, "duplicate"},
    {"{" T("t", "F32", "[4]", "[0,16]") ",\"__metadata__\":[]}", FT_E_INPUT, "__metadata__"},
    {"{" T("t", "F32", "[4]", "[0,16]") ",\"__metadata__\":{\"k\":1}}", FT_E_INPUT, "a value that is not a string"},
    {"{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", FT_E_INPUT, "duplicate"},
};

static void bad_headers_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        write_header(path, bad_headers[i].header, 16);
        refused(bad_headers[i].status, bad_headers[i].message);
    }
}

static void bad_lengths_are_refused(void **state)
{
    write_raw(path, 2, "{}", 2, 0);
    assert_int_equal(truncate(path, 0), 0);
    refused(FT_E_INPUT, "0 bytes are no safetensors file");
    write_raw(path, 2, "", 0, 0);
    refused(FT_E_INPUT, "the header has 2 bytes but the file ends at byte 8");
    write_raw(path, 3, "{}", 2, 0);
    refused(FT_E_INPUT, "the header has 3 bytes");
    write_raw(path, 0, "{}", 2, 0);
    refused(FT_E_INPUT, "JSON object");
    write_raw(path, 100000001, "{}", 2, 0);
    refused(FT_E_INPUT, "100000001 bytes");
    write_raw(path, UINT64_MAX, "{}", 2, 0);
    refused(FT_E_INPUT, "18446744073709551615 bytes");
    write_raw(path, (uint64_t)1 << 63, "{}", 2, 0);
    refused(FT_E_INPUT, "9223372036854775808 bytes");
}

static void a_pointer_of_git_lfs_is_called_one(void **state)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4976698672\n";
    assert_int_equal(ft_file_write(path, pointer, sizeof pointer - 1), FT_OK);
    refused(FT_E_INPUT, "git lfs pull");
}

static void deep_nesting_is_refused(void **state)
{
    enum { DEPTH = 100000 };
    char *deep = ft_malloc(2 * DEPTH);
    memcpy(deep, "{\"t\":", 5);
    memset(deep + 5, '[', 2 * DEPTH - 5);
    write_raw(path, 2 * DEPTH, deep, 2 * DEPTH, 0);
    refused(FT_E_INPUT, "not valid JSON");
    ft_free(deep);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    ft_safetensors file;
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(FT_E_INPUT, "not a regular file");
    assert_int_equal(ft_safetensors_open(&file, directory), FT_E_INPUT);
    assert_message_has(ft_error_message(), "not a regular file");
    assert_int_equal(ft_safetensors_open(&file, "/nonexistent.safetensors"), FT_E_NOT_FOUND);
}

static const char sample[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[2,18]},"
    "\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}  ";
#define SAMPLE_BYTES (sizeof sample - 1)
#define SAMPLE_DATA 18

// Parses and checks one mutated header; the bytes are in a heap block of their exact size.
static bool survives(const char *bytes, size_t n, int64_t data_bytes)
{
    ft_tensor_info *tensors;
    int count;
    char *exact = ft_malloc(n);
    memcpy(exact, bytes, n);
    ft_status status = ft_safetensors_parse("mutant", exact, n, 8 + (int64_t)n, data_bytes, &tensors, &count);
    ft_free(exact);
    if (status == FT_OK) assert_consistent(tensors, count, 8 + (int64_t)n, data_bytes);
    else assert_message_has(ft_error_message(), "mutant: ");
    ft_safetensors_free_tensors(tensors, count);
    return status == FT_OK;
}

static void every_value_of_every_byte_is_survived(void **state)
{
    char mutant[SAMPLE_BYTES];
    int accepted = 0;
    for (size_t at = 0; at < SAMPLE_BYTES; at++) {
        memcpy(mutant, sample, SAMPLE_BYTES);
        for (int value = 0; value < 256; value++) {
            mutant[at] = (char)value;
            accepted += survives(mutant, SAMPLE_BYTES, SAMPLE_DATA);
        }
    }
    assert_in_range(accepted, SAMPLE_BYTES, SAMPLE_BYTES * 128);  // the true byte each time, and other names
}

static void every_truncation_is_refused(void **state)
{
    for (size_t n = 0; n < SAMPLE_BYTES - 2; n++) assert_false(survives(sample, n, SAMPLE_DATA));
    for (int64_t data = 0; data < 40; data++) assert_true(survives(sample, SAMPLE_BYTES, data) == (data == SAMPLE_DATA));
}

static void every_pair_of_swapped_bytes_is_survived(void **state)
{
    char mutant[SAMPLE_BYTES];
    for (size_t i = 0; i < SAMPLE_BYTES; i++) {
        for (size_t k = i + 1; k < SAMPLE_BYTES; k++) {
            memcpy(mutant, sample, SAMPLE_BYTES);
            mutant[i] = sample[k];
            mutant[k] = sample[i];
            survives(mutant, SAMPLE_BYTES, SAMPLE_DATA);
        }
    }
}

// The same through real files, the length prefix included.
static void every_flipped_bit_of_a_file_is_survived(void **state)
{
    enum { BYTES = 8 + SAMPLE_BYTES + SAMPLE_DATA };
    size_t bytes;
    char *whole;
    write_header(path, sample, SAMPLE_DATA);
    assert_ok(ft_file_read(path, BYTES, &whole, &bytes));
    for (size_t bit = 0; bit < 8 * (8 + SAMPLE_BYTES); bit++) {
        ft_safetensors file;
        whole[bit / 8] ^= (char)(1 << bit % 8);
        write_bytes(path, whole, BYTES);
        whole[bit / 8] ^= (char)(1 << bit % 8);
        ft_status status = ft_safetensors_open(&file, path);
        if (status != FT_OK) {
            assert_message_has(ft_error_message(), path);
            continue;
        }
        assert_consistent(file.tensors, file.n_tensors, 8 + file.header_bytes, file.file_bytes - 8 - file.header_bytes);
        ft_safetensors_close(&file);
    }
    ft_free(whole);
}

static void every_truncated_file_is_refused(void **state)
{
    write_header(path, sample, SAMPLE_DATA);
    for (long n = 8 + (long)SAMPLE_BYTES + SAMPLE_DATA - 1; n >= 0; n--) {
        ft_safetensors file;
        assert_int_equal(truncate(path, n), 0);
        assert_int_equal(ft_safetensors_open(&file, path), FT_E_INPUT);
        assert_message_has(ft_error_message(), path);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bad_headers_are_refused),
        TEST(bad_lengths_are_refused),
        TEST(a_pointer_of_git_lfs_is_called_one),
        TEST(deep_nesting_is_refused),
        TEST(what_is_no_regular_file_is_refused),
        TEST(every_value_of_every_byte_is_survived),
        TEST(every_truncation_is_refused),
        TEST(every_pair_of_swapped_bytes_is_survived),
        TEST(every_flipped_bit_of_a_file_is_survived),
        TEST(every_truncated_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
