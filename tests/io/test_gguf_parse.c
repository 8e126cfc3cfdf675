// A GGUF file reads as what was written, in both versions and with any alignment; what it must not be is refused by name.
#include "gguf_support.h"

static ft_text bytes;

static int tear_down(void **state)
{
    ft_text_free(&bytes);
    return 0;
}

static void refused(ft_status expected, const char *part)
{
    ft_gguf file;
    assert_int_equal(ft_gguf_parse(&file, "x.gguf", bytes.data, bytes.length), expected);
    assert_message_has(ft_error_message(), "x.gguf");
    assert_message_has(ft_error_message(), part);
    assert_null(strchr(ft_error_message(), '\n'));
    ft_gguf_close(&file);
    ft_text_free(&bytes);
}

// Entries of every type: the header says how many.
enum { N_VALUES = 13 };
static void put_all_types(uint32_t alignment)
{
    put_value_u32(&bytes, "general.alignment", alignment);
    put_key(&bytes, "u8", FT_GGUF_U8), put(&bytes, "\xff", 1);
    put_key(&bytes, "i8", FT_GGUF_I8), put(&bytes, "\xff", 1);
    put_key(&bytes, "u16", FT_GGUF_U16), put(&bytes, "\xfe\xff", 2);
    put_key(&bytes, "i16", FT_GGUF_I16), put(&bytes, "\xfe\xff", 2);
    put_key(&bytes, "i32", FT_GGUF_I32), put_u32(&bytes, (uint32_t)-3);
    put_key(&bytes, "f32", FT_GGUF_F32), put_u32(&bytes, 0x3fc00000);
    put_key(&bytes, "bool", FT_GGUF_BOOL), put(&bytes, "\1", 1);
    put_value_text(&bytes, "text", "abc");
    put_key(&bytes, "u64", FT_GGUF_U64), put_u64(&bytes, UINT64_MAX);
    put_key(&bytes, "i64", FT_GGUF_I64), put_u64(&bytes, (uint64_t)-5);
    put_key(&bytes, "f64", FT_GGUF_F64), put_u64(&bytes, 0x3ff8000000000000);
    put_key(&bytes, "texts", FT_GGUF_ARRAY), put_u32(&bytes, FT_GGUF_TEXT), put_u64(&bytes, 2), put_text(&bytes, "x"), put_text(&bytes, "");
}

static void put_file(uint32_t version, uint32_t alignment)
{
    put_header(&bytes, version, 2, N_VALUES);
    put_all_types(alignment);
    put_tensor(&bytes, "b", 32, 2, 8, 0);
    put_tensor(&bytes, "a", 3, 0, 0, (68 + alignment - 1) / alignment * alignment);
    put_padding(&bytes, alignment);
    put_data(&bytes, 68);
    put_padding(&bytes, alignment);
    put_data(&bytes, 12);
}

static int64_t integer(const ft_gguf *file, const char *key)
{
    return ft_gguf_integer(ft_gguf_find(file, key), 0);
}

static void check_values(const ft_gguf *file)
{
    assert_int_equal(integer(file, "u8"), 255);
    assert_int_equal(integer(file, "i8"), -1);
    assert_int_equal(integer(file, "u16"), 65534);
    assert_int_equal(integer(file, "i16"), -2);
    assert_int_equal(integer(file, "i32"), -3);
    assert_int_equal(integer(file, "i64"), -5);
    assert_true(integer(file, "u64") == INT64_MAX);
    assert_int_equal(integer(file, "bool"), 1);
    assert_int_equal(integer(file, "f32"), 1);
    assert_true(ft_gguf_real(ft_gguf_find(file, "f32"), 0) == 1.5 && ft_gguf_real(ft_gguf_find(file, "f64"), 0) == 1.5);
    const unsigned char *at = ft_gguf_find(file, "texts")->data;
    assert_true(ft_gguf_text_is(ft_gguf_next_text(&at), "x") && ft_gguf_text_is(ft_gguf_next_text(&at), ""));
    at = ft_gguf_find(file, "text")->data;
    assert_true(ft_gguf_text_is(ft_gguf_next_text(&at), "abc"));
    assert_null(ft_gguf_find(file, "absent"));
}

static void both_versions_and_any_alignment_are_read(void **state)
{
    for (uint32_t version = 2; version <= 3; version++) {
        for (uint32_t alignment = 1; alignment <= 128; alignment *= 2) {
            ft_gguf file;
            put_file(version, alignment);
            assert_ok(ft_gguf_parse(&file, "x.gguf", bytes.data, bytes.length));
            check_values(&file);
            const ft_gguf_tensor *a = ft_gguf_find_tensor(&file, "a"), *b = ft_gguf_find_tensor(&file, "b");
            assert_true(a != NULL && b != NULL && ft_gguf_find_tensor(&file, "c") == NULL);
            assert_true(b->rank == 2 && b->shape[0] == 32 && b->shape[1] == 2 && b->elements == 64 && b->bytes == 68);
            assert_true(a->rank == 1 && a->bytes == 12 && a->offset + 12 == (int64_t)bytes.length && b->offset % alignment == 0);
            assert_int_equal(file.data[a->offset], 1);
            ft_gguf_close(&file);
            ft_text_free(&bytes);
        }
    }
}

static void other_versions_and_byte_orders_are_refused(void **state)
{
    put_header(&bytes, 1, 0, 0), refused(FT_E_UNSUPPORTED, "version 1");
    put_header(&bytes, 4, 0, 0), refused(FT_E_UNSUPPORTED, "version 4");
    put_header(&bytes, 0x03000000, 0, 0), refused(FT_E_UNSUPPORTED, "big endian");
    put(&bytes, "GGML\3\0\0\0", 8), refused(FT_E_INPUT, "not a GGUF file");
    put(&bytes, "GG", 2), refused(FT_E_INPUT, "ends at byte 2");
}

static void impossible_metadata_is_refused(void **state)
{
    put_header(&bytes, 3, 0, 1), put_key(&bytes, "k", 13), put_u32(&bytes, 0), refused(FT_E_INPUT, "k: value type 13");
    put_header(&bytes, 3, 0, 1), put_key(&bytes, "k", FT_GGUF_ARRAY), put_u32(&bytes, FT_GGUF_ARRAY), put_u64(&bytes, 0), refused(FT_E_UNSUPPORTED, "k: an array of arrays");
    put_header(&bytes, 3, 0, 1), put_key(&bytes, "k", FT_GGUF_ARRAY), put_u32(&bytes, FT_GGUF_F64), put_u64(&bytes, UINT64_MAX / 4), refused(FT_E_INPUT, "ends at byte");
    put_header(&bytes, 3, 0, 1), put_u64(&bytes, UINT64_MAX), put_u64(&bytes, 0), refused(FT_E_INPUT, "ends at byte");
    put_header(&bytes, 3, 0, 1), put_key(&bytes, "", FT_GGUF_U32), put_u32(&bytes, 0), refused(FT_E_INPUT, "a metadata key of 0 bytes");
    put_header(&bytes, 3, 0, 1), put_value_u32(&bytes, "a\nb", 0), refused(FT_E_INPUT, "control character");
    put_header(&bytes, 3, 0, 2), put_value_u32(&bytes, "k", 0), put_value_u32(&bytes, "k", 1), refused(FT_E_INPUT, "metadata key k is there twice");
    put_header(&bytes, 3, 0, UINT64_MAX), refused(FT_E_INPUT, "claims 18446744073709551615 metadata entries");
    put_header(&bytes, 3, UINT64_MAX, 0), refused(FT_E_INPUT, "claims 18446744073709551615 tensors");
    put_header(&bytes, 3, 0, 1), put_value_u32(&bytes, "general.alignment", 48), refused(FT_E_INPUT, "general.alignment");
    put_header(&bytes, 3, 0, 1), put_value_u32(&bytes, "general.alignment", 0), refused(FT_E_INPUT, "general.alignment");
}

static void one_tensor(uint64_t cols, uint64_t rows, uint32_t encoding, uint64_t offset)
{
    put_header(&bytes, 3, 1, 0);
    put_tensor(&bytes, "t", cols, rows, encoding, offset);
    put_padding(&bytes, 32);
    put_data(&bytes, 64);
}

static void impossible_tensors_are_refused(void **state)
{
    one_tensor(16, 0, 99, 0), refused(FT_E_UNSUPPORTED, "tensor t: encoding 99");
    one_tensor(16, 0, 8, 0), refused(FT_E_INPUT, "tensor t: rows of 16 values are no multiple of Q8_0's block of 32");
    one_tensor(0, 0, 0, 0), refused(FT_E_INPUT, "dimension 0 of 0");
    one_tensor(UINT64_MAX, 0, 0, 0), refused(FT_E_INPUT, "is impossible");
    one_tensor((uint64_t)1 << 32, (uint64_t)1 << 32, 0, 0), refused(FT_E_INPUT, "is impossible");
    one_tensor((uint64_t)1 << 31, (uint64_t)1 << 31, 0, 0), refused(FT_E_INPUT, "more than 2^63");
    one_tensor(17, 0, 0, 0), refused(FT_E_INPUT, "tensor t: leaves the");
    one_tensor(8, 0, 0, 32), refused(FT_E_INPUT, "tensor t: begins at data offset 32, but the tensors before it end at 0");
    one_tensor(8, 0, 0, UINT64_MAX), refused(FT_E_INPUT, "begins at data offset");
    put_header(&bytes, 3, 2, 0), put_tensor(&bytes, "t", 8, 0, 0, 0), put_tensor(&bytes, "u", 8, 0, 0, 0), put_data(&bytes, 200), refused(FT_E_INPUT, "tensor u: begins");
    put_header(&bytes, 3, 2, 0), put_tensor(&bytes, "t", 8, 0, 0, 0), put_tensor(&bytes, "t", 8, 0, 0, 32), put_data(&bytes, 200), refused(FT_E_INPUT, "tensor t is there twice");
    put_header(&bytes, 3, 1, 0), put_text(&bytes, "t"), put_u32(&bytes, 5), put_data(&bytes, 100), refused(FT_E_INPUT, "5 dimensions");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_versions_and_any_alignment_are_read),
        TEST(other_versions_and_byte_orders_are_refused),
        TEST(impossible_metadata_is_refused),
        TEST(impossible_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
