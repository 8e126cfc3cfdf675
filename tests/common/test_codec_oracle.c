// The scalar codecs and their bulk forms give what torch, ml_dtypes and numpy give (tests/golden/codec).
#include "t_common.h"

#include <math.h>

#include "common/codec.h"
#include "common/memory.h"

#define GOLDEN "tests/golden/codec/"

static bool is_nan_bits(uint32_t bits)
{
    return (bits & 0x7FFFFFFF) > 0x7F800000;
}

static void every_bf16_encodes_to_the_oracles_e4m3_code(void **state)
{
    (void)state;
    uint8_t *expected = t_read(GOLDEN "bf16_to_e4m3.bin", 65536);
    for (uint32_t bits = 0; bits < 65536; bits++) {
        assert_int_equal(ft_f32_to_e4m3(ft_bf16_to_f32((ft_bf16)bits)), expected[bits]);
    }
    ft_free(expected);
}

static void every_e4m3_code_decodes_to_the_oracles_value(void **state)
{
    (void)state;
    uint32_t *expected = t_read(GOLDEN "e4m3_to_f32.bin", 1024);
    for (int code = 0; code < 256; code++) {
        assert_int_equal(ft_f32_to_bits(ft_e4m3_to_f32((ft_e4m3)code)), expected[code]);
        assert_int_equal(ft_f32_to_bits(ft_e4m3_table[code]), expected[code]);
    }
    ft_free(expected);
}

static void adversarial_f32_round_to_the_oracles_bf16(void **state)
{
    (void)state;
    enum { N = 4096 };
    uint32_t *in = t_read(GOLDEN "f32_to_bf16.in.bin", 4 * N);
    uint16_t *expected = t_read(GOLDEN "f32_to_bf16.out.bin", 2 * N), bulk[N];
    assert_int_equal(ft_convert_from_f32(bulk, (float *)in, FT_DTYPE_BF16, N), FT_OK);
    for (int i = 0; i < N; i++) {
        uint16_t got = ft_f32_to_bf16(ft_bits_to_f32(in[i]));
        assert_int_equal(bulk[i], got);
        if (is_nan_bits(in[i])) {
            assert_true(is_nan_bits((uint32_t)got << 16));
            assert_int_equal(got, in[i] >> 16 | 0x40);
        } else {
            assert_int_equal(got, expected[i]);
        }
    }
    ft_free(in);
    ft_free(expected);
}

static void every_f16_decodes_to_the_oracles_value(void **state)
{
    (void)state;
    enum { N = 65536 };
    static uint16_t in[N];
    static float bulk[N];
    uint32_t *expected = t_read(GOLDEN "f16_to_f32.bin", 4 * N);
    for (uint32_t i = 0; i < N; i++) in[i] = (uint16_t)i;
    assert_int_equal(ft_convert_to_f32(bulk, in, FT_DTYPE_F16, N), FT_OK);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t got = ft_f32_to_bits(ft_f16_to_f32((ft_f16)i));
        assert_int_equal(ft_f32_to_bits(bulk[i]), got);
        if (is_nan_bits(expected[i])) assert_int_equal(got, (i & 0x8000) << 16 | 0x7FC00000 | (i & 0x3FF) << 13);
        else assert_int_equal(got, expected[i]);
    }
    ft_free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bf16_encodes_to_the_oracles_e4m3_code),
        cmocka_unit_test(every_e4m3_code_decodes_to_the_oracles_value),
        cmocka_unit_test(adversarial_f32_round_to_the_oracles_bf16),
        cmocka_unit_test(every_f16_decodes_to_the_oracles_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
