// Random numbers are Philox4x32-10, uniform, normal, and permutations of all positions.
#include "t_common.h"

#include <math.h>

#include "common/rng.h"

// Stream 0 leaves the key as the seed is.
static void check_vector(const uint32_t c[4], uint64_t seed, const uint32_t expected[4])
{
    ft_rng_block block = ft_rng(seed, (ft_rng_stream)0, c[0], c[1], c[2], c[3]);
    assert_memory_equal(block.word, expected, sizeof block.word);
}

static void known_answers_of_random123(void **state)
{
    (void)state;
    check_vector((uint32_t[4]){0}, 0, (uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check_vector((uint32_t[4]){~0u, ~0u, ~0u, ~0u}, ~UINT64_C(0), (uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_vector((uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, UINT64_C(0x299f31d0a4093822),
                 (uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

static void streams_are_key_bits_above_2_to_56(void **state)
{
    (void)state;
    ft_rng_block stream = ft_rng(42, FT_RNG_DROPOUT, 1, 2, 3, 4);
    ft_rng_block key = ft_rng(42 | UINT64_C(2) << 56, (ft_rng_stream)0, 1, 2, 3, 4);
    ft_rng_block other = ft_rng(42, FT_RNG_INIT, 1, 2, 3, 4);
    assert_memory_equal(&stream, &key, sizeof key);
    assert_memory_not_equal(&stream, &other, sizeof other);
}

static void uniform_is_in_0_1_with_24_bits(void **state)
{
    (void)state;
    assert_true(ft_rng_uniform(0) == 0.0f);
    assert_true(ft_rng_uniform(0xFF) == 0.0f);
    assert_true(ft_rng_uniform(0x80000000) == 0.5f);
    assert_true(ft_rng_uniform(~0u) == 1.0f - 0x1p-24f);
}

static void normals_have_mean_0_variance_1_and_are_finite(void **state)
{
    (void)state;
    enum { N = 20000 };
    double sum = 0, squares = 0, product = 0, fourth = 0;
    for (uint32_t i = 0; i < N; i++) {
        float pair[2];
        ft_rng_block block = ft_rng(1, FT_RNG_DATA, i, 0, 0, 0);
        ft_rng_normal(block.word[0], block.word[1], pair);
        for (int k = 0; k < 2; k++) {
            sum += (double)pair[k];
            squares += (double)pair[k] * (double)pair[k];
            fourth += pow((double)pair[k], 4);
        }
        product += (double)pair[0] * (double)pair[1];
    }
    // Five standard deviations of each estimate.
    assert_true(fabs(sum / (2 * N)) < 5 / sqrt(2.0 * N));
    assert_true(fabs(squares / (2 * N) - 1) < 5 * sqrt(2 / (2.0 * N)));
    assert_true(fabs(fourth / (2 * N) - 3) < 5 * sqrt(96 / (2.0 * N)));
    assert_true(fabs(product / N) < 5 / sqrt((double)N));
    float corner[2];
    ft_rng_normal(0, 0, corner);
    assert_true(isfinite(corner[0]) && corner[0] > 6.6f && corner[1] == 0.0f);
    ft_rng_normal(~0u, 0, corner);
    assert_true(corner[0] == 0.0f);
}

static void permutation_holds_every_position_once(void **state)
{
    (void)state;
    enum { N = 1000 };
    int64_t order[N];
    bool seen[N] = {false};
    ft_rng_permutation(order, N, 7, 3);
    for (int i = 0; i < N; i++) {
        assert_true(order[i] >= 0 && order[i] < N && !seen[order[i]]);
        seen[order[i]] = true;
    }
}

static void permutation_depends_on_seed_and_epoch_alone(void **state)
{
    (void)state;
    int64_t a[64], b[64], c[64], d[64];
    ft_rng_permutation(a, 64, 7, 0);
    ft_rng_permutation(b, 64, 7, 0);
    ft_rng_permutation(c, 64, 7, 1);
    ft_rng_permutation(d, 64, 8, 0);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_not_equal(a, d, sizeof a);
    ft_rng_permutation(a, 0, 7, 0);
    ft_rng_permutation(a, 1, 7, 0);
    assert_int_equal(a[0], 0);
}

// 24 orders of 4 are equally likely: chi-square with 23 degrees of freedom, 0.1 % beyond 49.7.
static void permutations_are_uniform(void **state)
{
    (void)state;
    enum { TRIALS = 24000 };
    int count[256] = {0};
    double chi = 0;
    for (uint32_t epoch = 0; epoch < TRIALS; epoch++) {
        int64_t o[4];
        ft_rng_permutation(o, 4, 99, epoch);
        count[o[0] << 6 | o[1] << 4 | o[2] << 2 | o[3]]++;
    }
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        if (count[i] == 0) continue;
        orders++;
        chi += (count[i] - 1000.0) * (count[i] - 1000.0) / 1000.0;
    }
    assert_int_equal(orders, 24);
    assert_true(chi < 49.7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers_of_random123),
        cmocka_unit_test(streams_are_key_bits_above_2_to_56),
        cmocka_unit_test(uniform_is_in_0_1_with_24_bits),
        cmocka_unit_test(normals_have_mean_0_variance_1_and_are_finite),
        cmocka_unit_test(permutation_holds_every_position_once),
        cmocka_unit_test(permutation_depends_on_seed_and_epoch_alone),
        cmocka_unit_test(permutations_are_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
