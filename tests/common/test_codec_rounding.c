// Narrowing takes the nearest value, ties to even, against a search of all values; and the bulk forms cover every float type.
#include "t_common.h"

#include <float.h>
#include <math.h>

#include "common/codec.h"

// The nearest E4M3 magnitude by comparing distances in double, which are exact here.
static int nearest_e4m3(float value)
{
    double magnitude = fabs((double)value), best_distance = INFINITY;
    int best = 0;
    for (int code = 0; code <= 0x7E; code++) {
        double distance = fabs((double)ft_e4m3_table[code] - magnitude);
        bool better = distance < best_distance || (distance == best_distance && code % 2 == 0);
        if (!better) continue;
        best = code;
        best_distance = distance;
    }
    return best | (signbit(value) ? 0x80 : 0);
}

static void check_e4m3(float value)
{
    assert_int_equal(ft_f32_to_e4m3(value), nearest_e4m3(value));
    assert_int_equal(ft_f32_to_e4m3(-value), nearest_e4m3(-value));
}

static void e4m3_is_the_nearest_code_at_and_around_every_midpoint(void **state)
{
    (void)state;
    for (int code = 0; code < 0x7E; code++) {
        float middle = (ft_e4m3_table[code] + ft_e4m3_table[code + 1]) / 2;
        check_e4m3(ft_e4m3_table[code]);
        check_e4m3(middle);
        check_e4m3(nextafterf(middle, 0));
        check_e4m3(nextafterf(middle, INFINITY));
    }
}

static void e4m3_is_the_nearest_code_of_random_values(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        check_e4m3(ldexpf(1.0f + (float)(t_random(&random) >> 8) * 0x1p-24f, (int)(t_random(&random) % 24) - 14));
    }
}

static void e4m3_saturates_and_keeps_nan(void **state)
{
    (void)state;
    const float large[] = {448, 448.0001f, 464, 480, 1e9f, FLT_MAX, INFINITY};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        assert_int_equal(ft_f32_to_e4m3(large[i]), 0x7E);
        assert_int_equal(ft_f32_to_e4m3(-large[i]), 0xFE);
    }
    assert_int_equal(ft_f32_to_e4m3(ft_bits_to_f32(0x7F800001)), 0x7F);
    assert_int_equal(ft_f32_to_e4m3(ft_bits_to_f32(0xFFC00000)), 0xFF);
    assert_int_equal(ft_f32_to_e4m3(-0.0f), 0x80);
    assert_int_equal(ft_f32_to_e4m3(FLT_TRUE_MIN), 0);
}

static void every_f16_survives_f32_and_back(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        bool nan = (h & 0x7FFF) > 0x7C00;
        assert_int_equal(ft_f32_to_f16(ft_f16_to_f32((ft_f16)h)), nan ? h | 0x200 : h);
    }
}

static void f16_rounds_midpoints_to_even_and_neighbours_to_nearest(void **state)
{
    (void)state;
    // Up to the midpoint of 65504 and the 65536 that does not exist, which rounds to infinity.
    for (uint32_t h = 0; h < 0x7C00; h++) {
        float above = h == 0x7BFF ? 65536.0f : ft_f16_to_f32((ft_f16)(h + 1));
        float middle = (ft_f16_to_f32((ft_f16)h) + above) / 2;
        assert_int_equal(ft_f32_to_f16(middle), h % 2 == 0 ? h : h + 1);
        assert_int_equal(ft_f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(ft_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(ft_f32_to_f16(-middle), (h % 2 == 0 ? h : h + 1) | 0x8000);
    }
    assert_int_equal(ft_f32_to_f16(FLT_MAX), 0x7C00);
    assert_int_equal(ft_f32_to_f16(-INFINITY), 0xFC00);
}

static void f64_and_f32_convert_in_bulk_at_any_alignment(void **state)
{
    (void)state;
    const double in[] = {1.0, -0.0, 0.1, 1e300, -1e-300, 16777217.0};
    enum { N = sizeof in / sizeof *in };
    unsigned char bytes[8 * N + 1];
    float out[N];
    memcpy(bytes + 1, in, sizeof in);
    assert_int_equal(ft_convert_to_f32(out, bytes + 1, FT_DTYPE_F64, N), FT_OK);
    for (int i = 0; i < N; i++) assert_memory_equal(&out[i], &(float){(float)in[i]}, 4);
    assert_int_equal(ft_convert_from_f32(bytes + 1, out, FT_DTYPE_F64, N), FT_OK);
    for (int i = 0; i < N; i++) assert_memory_equal(bytes + 1 + 8 * i, &(double){(double)(float)in[i]}, 8);
    assert_int_equal(ft_convert_from_f32(bytes + 1, out, FT_DTYPE_F32, N), FT_OK);
    assert_memory_equal(bytes + 1, out, sizeof out);
}

static void other_types_are_refused_by_name(void **state)
{
    (void)state;
    float value = 0;
    assert_int_equal(ft_convert_to_f32(&value, &value, FT_DTYPE_I32, 1), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "I32"));
    assert_int_equal(ft_convert_from_f32(&value, &value, FT_DTYPE_F8_E5M2, 1), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "F8_E5M2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(e4m3_is_the_nearest_code_at_and_around_every_midpoint),
        cmocka_unit_test(e4m3_is_the_nearest_code_of_random_values),
        cmocka_unit_test(e4m3_saturates_and_keeps_nan),
        cmocka_unit_test(every_f16_survives_f32_and_back),
        cmocka_unit_test(f16_rounds_midpoints_to_even_and_neighbours_to_nearest),
        cmocka_unit_test(f64_and_f32_convert_in_bulk_at_any_alignment),
        cmocka_unit_test(other_types_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
