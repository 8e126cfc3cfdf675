// Hashes of ranges: XXH3-64 with seed 0, the ranges in their order. The expected values come from xxHash's specification, worked
// out apart from its library.
#include "kernel_test.h"

enum { BYTES = 1 << 20 };

static const struct {
    int64_t bytes;
    uint64_t hash;
} known[] = {
    {241, 0x2d431e984c441f15ull}, {4096, 0x9bf67f8deff876aeull}, {8191, 0x177e7c4e0602b697ull}, {65537, 0xcab0f544da7981e1ull},
    {BYTES, 0xa60868b9a5018405ull},
};
enum { KNOWN = sizeof known / sizeof *known };

static uint8_t *pattern(void)
{
    uint8_t *data = ft_malloc(BYTES);
    for (uint32_t i = 0; i < BYTES; i++) data[i] = (uint8_t)(i * 2654435761u >> 24);
    return data;
}

static void hashes_are_those_of_the_specification(void **state)
{
    uint8_t *data = pattern();
    ft_range ranges[KNOWN];
    uint64_t out[KNOWN] = {0};
    for (int i = 0; i < KNOWN; i++) ranges[i] = (ft_range){data, known[i].bytes};
    assert_int_equal(t.ops->stripe_hash(t.queue, out, ranges, KNOWN), FT_OK);
    for (int i = 0; i < KNOWN; i++)
        if (out[i] != known[i].hash)
            fail_msg("%lld bytes: %016llx instead of %016llx", (long long)known[i].bytes, (unsigned long long)out[i], (unsigned long long)known[i].hash);
    ft_free(data);
}

static void any_bit_changes_the_hash_of_its_range_alone(void **state)
{
    enum { STRIPE = 4096, N = BYTES / STRIPE };
    uint8_t *data = pattern();
    ft_range ranges[N];
    uint64_t before[N], after[N];
    for (int i = 0; i < N; i++) ranges[i] = (ft_range){data + i * STRIPE, STRIPE};
    assert_int_equal(t.ops->stripe_hash(t.queue, before, ranges, N), FT_OK);
    for (int at = 0; at < BYTES; at += 4096 + 64 + 7) {
        data[at] ^= (uint8_t)(1 << at % 8);
        assert_int_equal(t.ops->stripe_hash(t.queue, after, ranges, N), FT_OK);
        for (int i = 0; i < N; i++) assert_true((after[i] != before[i]) == (at / STRIPE == i));
        data[at] ^= (uint8_t)(1 << at % 8);
    }
    ft_free(data);
}

static void nothing_is_hashed_and_nothing_written_without_ranges(void **state)
{
    uint64_t out = 5;
    assert_int_equal(t.ops->stripe_hash(t.queue, &out, NULL, 0), FT_OK);
    assert_true(out == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_the_specification),
        cmocka_unit_test(any_bit_changes_the_hash_of_its_range_alone),
        cmocka_unit_test(nothing_is_hashed_and_nothing_written_without_ranges),
    };
    return T_GROUP(tests);
}
