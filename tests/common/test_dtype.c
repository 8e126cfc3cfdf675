// Element types have the sizes and names of safetensors and torch.
#include "t_common.h"

#include "common/dtype.h"

static void names_and_sizes_round_trip(void **state)
{
    (void)state;
    const struct {
        const char *name, *torch_name;
        size_t bytes;
    } expected[] = {{"F64", "float64", 8}, {"F32", "float32", 4}, {"F16", "float16", 2}, {"BF16", "bfloat16", 2},
                    {"F8_E4M3", "float8_e4m3fn", 1}, {"F8_E5M2", "float8_e5m2", 1}, {"F8_E8M0", "float8_e8m0fnu", 1},
                    {"I64", "int64", 8}, {"I32", "int32", 4}, {"I16", "int16", 2}, {"I8", "int8", 1}, {"U8", "uint8", 1}, {"BOOL", "bool", 1}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ft_dtype dtype = ft_dtype_from_name(expected[i].name);
        assert_int_not_equal(dtype, FT_DTYPE_NONE);
        assert_int_equal(ft_dtype_from_name(expected[i].torch_name), dtype);
        assert_string_equal(ft_dtype_name(dtype), expected[i].name);
        assert_int_equal(ft_dtype_bytes(dtype), expected[i].bytes);
    }
    assert_int_equal(ft_dtype_from_name("torch.bfloat16"), FT_DTYPE_BF16);
}

static void unknown_names_and_values_are_none(void **state)
{
    (void)state;
    const char *const unknown[] = {"", "NONE", "none", "F4", "bf16", "torch.", "BF16 "};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_int_equal(ft_dtype_from_name(unknown[i]), FT_DTYPE_NONE);
    }
    assert_int_equal(ft_dtype_bytes(FT_DTYPE_NONE), 0);
    assert_int_equal(ft_dtype_bytes((ft_dtype)99), 0);
    assert_string_equal(ft_dtype_name((ft_dtype)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sizes_round_trip),
        cmocka_unit_test(unknown_names_and_values_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
