// Whatever bytes a file has, parsing ends soon, touches nothing outside them (the sanitizer build watches that), and gives an
// error that names the file or a result that cannot contradict itself.
#include <time.h>

#include "gguf_support.h"

#define GOLDEN "tests/golden/gguf/spm.gguf"

static char *golden;
static size_t golden_bytes;

static int read_golden(void **state)
{
    assert_ok(ft_file_read(GOLDEN, 16 << 20, &golden, &golden_bytes));
    return 0;
}

static int free_golden(void **state)
{
    ft_free(golden);
    return 0;
}

static size_t inside(const ft_gguf *file, const void *data, size_t bytes)
{
    size_t at = (size_t)((const unsigned char *)data - file->data);
    assert_true(at <= file->bytes && bytes <= file->bytes - at);
    return at;
}

static void check_value(const ft_gguf *file, const ft_gguf_value *value)
{
    const unsigned char *at = value->data;
    inside(file, value->key.data, value->key.bytes);
    for (uint64_t i = 0; i < value->count; i++) {
        if (value->type == FT_GGUF_TEXT) {
            ft_gguf_text text = ft_gguf_next_text(&at);
            inside(file, text.data, text.bytes);
        } else {
            (void)ft_gguf_real(value, i);
        }
    }
}

static void check_tensor(const ft_gguf *file, const ft_gguf_tensor *tensor)
{
    inside(file, tensor->name.data, tensor->name.bytes);
    assert_true(tensor->bytes > 0 && tensor->elements > 0 && tensor->elements % tensor->encoding->block == 0);
    assert_int_equal(tensor->bytes, tensor->elements / tensor->encoding->block * tensor->encoding->bytes);
    assert_true(tensor->offset > 0 && tensor->offset + tensor->bytes <= (int64_t)file->bytes);
}

// In a heap block of exactly the bytes there are.
static bool survives(const char *bytes, size_t n)
{
    ft_gguf file;
    char *exact = ft_malloc(n > 0 ? n : 1);
    memcpy(exact, bytes, n);
    ft_status status = ft_gguf_parse(&file, "mutant", exact, n);
    if (status == FT_OK) {
        for (int i = 0; i < file.n_values; i++) check_value(&file, &file.values[i]);
        for (int i = 0; i < file.n_tensors; i++) check_tensor(&file, &file.tensors[i]);
    } else {
        assert_message_has(ft_error_message(), "mutant: ");
    }
    ft_gguf_close(&file);
    ft_free(exact);
    return status == FT_OK;
}

static void small_file(ft_text *file)
{
    put_header(file, 3, 2, 4);
    put_value_u32(file, "general.alignment", 32);
    put_value_text(file, "text", "abc");
    put_key(file, "texts", FT_GGUF_ARRAY), put_u32(file, FT_GGUF_TEXT), put_u64(file, 3);
    put_text(file, "x"), put_text(file, ""), put_text(file, "yz");
    put_key(file, "numbers", FT_GGUF_ARRAY), put_u32(file, FT_GGUF_I16), put_u64(file, 2), put_u32(file, 7);
    put_tensor(file, "a", 32, 2, 8, 0);
    put_tensor(file, "b", 4, 0, 0, 96);
    put_padding(file, 32);
    put_data(file, 96 + 16);
}

static void every_value_of_every_byte_is_survived(void **state)
{
    ft_text file = {0};
    int accepted = 0;
    small_file(&file);
    for (size_t at = 0; at < file.length - 112; at++) {
        char byte = file.data[at];
        for (int value = 0; value < 256; value++) {
            file.data[at] = (char)value;
            accepted += survives(file.data, file.length);
        }
        file.data[at] = byte;
    }
    assert_in_range(accepted, file.length - 112, (file.length - 112) * 128);  // the true byte each time, and other names
    ft_text_free(&file);
}

static void every_truncation_is_refused(void **state)
{
    ft_text file = {0};
    small_file(&file);
    assert_true(survives(file.data, file.length));
    for (size_t n = 0; n < file.length; n++) assert_false(survives(file.data, n));
    ft_text_free(&file);
    assert_true(survives(golden, golden_bytes));
    for (size_t n = 0; n < golden_bytes; n += 97) assert_false(survives(golden, n));
}

// Lengths and counts are where damage is dangerous: every 8 aligned or unaligned bytes of the header become a large number.
static void large_numbers_anywhere_are_survived_in_time(void **state)
{
    static const uint64_t numbers[] = {UINT64_MAX, INT64_MAX, (uint64_t)1 << 32, 1 << 20, 65537};
    clock_t begin = clock();
    size_t header = 12000 < golden_bytes ? 12000 : golden_bytes;
    for (size_t at = 0; at < header; at += at < 2500 ? 1 : 41) {
        char saved[8];
        memcpy(saved, golden + at, 8);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            memcpy(golden + at, &numbers[i], 8);
            survives(golden, golden_bytes < 20000 ? golden_bytes : 20000);
        }
        memcpy(golden + at, saved, 8);
    }
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_of_every_byte_is_survived),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(large_numbers_anywhere_are_survived_in_time),
    };
    return cmocka_run_group_tests(tests, read_golden, free_golden);
}
