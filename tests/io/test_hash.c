// Hashes are the published XXH3 values, however the bytes are cut, and survive their text.
#include "io/hash.h"

#include "support.h"

// `xxhsum -H128` and `-H3` of nothing and of "abc".
static void values_are_the_published_ones(void **state)
{
    char text[FT_HASH_TEXT];
    assert_string_equal(ft_hash128_text(ft_hash128_of("", 0), text), "99aa06d3014798d86001c324468d497f");
    assert_string_equal(ft_hash128_text(ft_hash128_of("abc", 3), text), "06b05ab6733a618578af5f94892f3950");
    assert_true(ft_hash64("", 0) == 0x2d06800538d394c2);
    assert_true(ft_hash64("abc", 3) == 0x78af5f94892f3950);
}

static void pieces_hash_like_the_whole(void **state)
{
    enum { BYTES = 5000 };
    char data[BYTES];
    for (int i = 0; i < BYTES; i++) data[i] = (char)(i * 31 + i / 7);
    ft_hash128 whole = ft_hash128_of(data, BYTES);
    for (size_t step = 1; step < BYTES; step = step * 3 + 1) {
        ft_hasher *hasher;
        assert_ok(ft_hasher_new(&hasher));
        for (size_t at = 0; at < BYTES; at += step) ft_hasher_add(hasher, data + at, at + step < BYTES ? step : BYTES - at);
        assert_true(ft_hash128_equal(ft_hasher_finish(hasher), whole));
        ft_hasher_add(hasher, "x", 1);
        assert_false(ft_hash128_equal(ft_hasher_finish(hasher), whole));  // finish did not end it
        ft_hasher_free(hasher);
    }
    ft_hasher_free(NULL);
}

static void text_round_trips(void **state)
{
    char text[FT_HASH_TEXT];
    ft_hash128 hash = {.high = 0x0123456789abcdef, .low = 0xfedcba9876543210}, parsed;
    assert_string_equal(ft_hash128_text(hash, text), "0123456789abcdeffedcba9876543210");
    assert_ok(ft_hash128_parse(text, &parsed));
    assert_true(ft_hash128_equal(hash, parsed));
}

static void bad_text_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "0123", "0123456789abcdeffedcba987654321", "0123456789abcdeffedcba98765432100", "0123456789abcdeffedcba987654321g",
        "0123456789ABCDEFfedcba9876543210", " 123456789abcdeffedcba9876543210",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ft_hash128 parsed = {1, 2};
        assert_int_equal(ft_hash128_parse(bad[i], &parsed), FT_E_INPUT);
        assert_true(parsed.high == 1 && parsed.low == 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_the_published_ones),
        cmocka_unit_test(pieces_hash_like_the_whole),
        cmocka_unit_test(text_round_trips),
        cmocka_unit_test(bad_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
