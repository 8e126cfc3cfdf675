// Every vector table gives the scalar table's bits, at every length and alignment, and writes nothing past the end.
#include "t_common.h"

#include <math.h>

#include "common/codec_ops.h"

enum { N = 320, LENGTHS = 140, OFFSETS = 18, GUARD = 0xA5 };

static uint32_t patterns[N];  // float32 bits of every kind
static uint16_t halves[N];

// A few of each: random bits, ties of bf16, f16 and e4m3, subnormals, infinities, NaN with high and low payloads.
static int fill_patterns(void **state)
{
    (void)state;
    static const uint32_t special[] = {0, 0x80000000, 1, 0x807FFFFF, 0x7F800000, 0xFF800000, 0x7F800001, 0xFFBFFFFF, 0x7FC12345,
                                       0xFFFFFFFF, 0x3F808000, 0x3F818000, 0x3F801000, 0x3F803000, 0x3F880000, 0x3F980000,
                                       0x43E00000, 0x43E80000, 0x43DFFFFF, 0x3C7FFFFF, 0x3C800000, 0x3A800000, 0x3A800001,
                                       0x477FE000, 0x477FF000, 0x477FEFFF, 0x387FFFFF, 0x33000000, 0x33000001, 0x7F7FFFFF};
    uint64_t random = 3;
    for (int i = 0; i < N; i++) {
        bool pick = i % 3 == 0;
        patterns[i] = pick ? special[i / 3 % (int)(sizeof special / sizeof *special)] : t_random(&random);
        halves[i] = (uint16_t)(i % 5 == 0 ? 0x7C00 | i : (int)t_random(&random));
    }
    return 0;
}

typedef void (*narrow)(void *dst, const float *src, size_t n);
typedef void (*widen)(float *dst, const void *src, size_t n);

static void compare_narrow(narrow scalar, narrow vector)
{
    unsigned char expected[2 * N + 64], got[2 * N + 64];
    for (size_t n = 0; n < LENGTHS; n++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            memset(expected, GUARD, sizeof expected);
            memset(got, GUARD, sizeof got);
            scalar(expected + offset, (const float *)patterns + offset, n);
            vector(got + offset, (const float *)patterns + offset, n);
            assert_memory_equal(got, expected, sizeof got);
        }
    }
}

static void compare_widen(widen scalar, widen vector)
{
    uint32_t expected[N], got[N];
    for (size_t n = 0; n < LENGTHS; n++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            memset(expected, GUARD, sizeof expected);
            memset(got, GUARD, sizeof got);
            scalar((float *)expected + offset, (const char *)halves + offset, n);
            vector((float *)got + offset, (const char *)halves + offset, n);
            assert_memory_equal(got, expected, sizeof got);
        }
    }
}

// Calls `check` with every vector table of this CPU.
static void for_each_vector_table(void (*check)(const ft_codec_ops *))
{
    if (ft_codec_variant(1) == NULL) skip();
    for (size_t i = 1; ft_codec_variant(i) != NULL; i++) check(ft_codec_variant(i));
}

static void check_16_bit(const ft_codec_ops *ops)
{
    compare_narrow(ft_codec_scalar.f32_to_bf16, ops->f32_to_bf16);
    compare_narrow(ft_codec_scalar.f32_to_f16, ops->f32_to_f16);
    compare_widen(ft_codec_scalar.bf16_to_f32, ops->bf16_to_f32);
    compare_widen(ft_codec_scalar.f16_to_f32, ops->f16_to_f32);
}

static void sixteen_bit_formats_match_the_scalar_bits(void **state)
{
    (void)state;
    for_each_vector_table(check_16_bit);
}

static void check_amax(const ft_codec_ops *ops)
{
    for (size_t n = 0; n < LENGTHS; n++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            const float *src = (const float *)patterns + offset;
            assert_int_equal(ops->amax_bits(src, n), ft_codec_scalar.amax_bits(src, n));
        }
    }
    // The largest value is found wherever it stands.
    for (size_t at = 0; at < LENGTHS; at++) {
        float values[LENGTHS] = {0};
        values[at] = -3.5f;
        assert_int_equal(ops->amax_bits(values, LENGTHS), ft_f32_to_bits(3.5f));
    }
}

static void amax_matches_the_scalar_bits(void **state)
{
    (void)state;
    for_each_vector_table(check_amax);
}

static void check_quantize_span(const ft_codec_ops *ops, const float *src, size_t n, float scale)
{
    ft_e4m3 expected[N], got[N];
    ft_tile_sums expected_sums = {{1, 2, 3, 4, 5, 6, 7, 8}, {9}}, got_sums = expected_sums;
    memset(expected, GUARD, sizeof expected);
    memset(got, GUARD, sizeof got);
    ft_codec_scalar.quantize(expected, src, n, scale, &expected_sums);
    ops->quantize(got, src, n, scale, &got_sums);
    assert_memory_equal(got, expected, sizeof got);
    assert_memory_equal(&got_sums, &expected_sums, sizeof got_sums);
}

static void check_quantize(const ft_codec_ops *ops)
{
    const float scales[] = {1, 0.0078125f, 0.3f, 1e-9f, 3e4f};
    float src[N];
    uint64_t random = 5;
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++) {
        // Quotients from below the smallest subnormal code to past saturation; codes and midpoints where the scale is 1.
        for (int i = 0; i < N; i++) {
            float value = ldexpf((float)(int32_t)t_random(&random), (int)(t_random(&random) % 22) - 43);
            if (i % 4 == 0) value = (ft_e4m3_table[i % 126] + ft_e4m3_table[i % 126 + 1]) / 2;
            src[i] = (i % 31 == 0 ? -0.0f : value) * scales[k];
        }
        for (size_t n = 0; n < LENGTHS; n++) {
            for (size_t offset = 0; offset < OFFSETS; offset++) check_quantize_span(ops, src + offset, n, scales[k]);
        }
    }
}

static void quantize_matches_the_scalar_codes_and_sums(void **state)
{
    (void)state;
    for_each_vector_table(check_quantize);
}

static void check_dequantize(const ft_codec_ops *ops)
{
    ft_e4m3 codes[N];
    uint32_t expected[N], got[N];
    for (int i = 0; i < N; i++) codes[i] = (ft_e4m3)(i * 37);
    for (size_t n = 0; n < 300; n++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            memset(expected, GUARD, sizeof expected);
            memset(got, GUARD, sizeof got);
            ft_codec_scalar.dequantize((float *)expected + offset, codes + offset, n, 0.3f);
            ops->dequantize((float *)got + offset, codes + offset, n, 0.3f);
            assert_memory_equal(got, expected, sizeof got);
        }
    }
}

static void dequantize_matches_the_scalar_bits_of_every_code(void **state)
{
    (void)state;
    for_each_vector_table(check_dequantize);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_bit_formats_match_the_scalar_bits),
        cmocka_unit_test(amax_matches_the_scalar_bits),
        cmocka_unit_test(quantize_matches_the_scalar_codes_and_sums),
        cmocka_unit_test(dequantize_matches_the_scalar_bits_of_every_code),
    };
    return cmocka_run_group_tests(tests, fill_patterns, NULL);
}
