// Hashes of stripes on the GPU: equal to xxHash's on the host for every length a store has and for odd ones, ranges apart and
// side by side, more of them than one launch takes; and its speed beside a copy's.
#include "gpu/speed.h"

#include "io/hash.h"

enum { ROOM = 16 };  // ranges begin at multiples of it

// Bytes that differ everywhere, and are not all large or all small.
static uint8_t *pattern(int64_t bytes, uint64_t seed)
{
    uint8_t *data = malloc((size_t)bytes);
    uint64_t x = seed * 2 + 1;
    for (int64_t i = 0; i < bytes; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        data[i] = (uint8_t)(x >> 56);
    }
    return data;
}

// Hashes the ranges [at[i], at[i] + bytes[i]) of the data twice and compares with the host.
static void check_ranges(const char *what, const uint8_t *data, int64_t total, const int64_t *at, const int64_t *bytes, int64_t n)
{
    const char *device = t_upload(data, total);
    ft_range *ranges = malloc((size_t)n * sizeof *ranges);
    uint64_t *got = malloc((size_t)n * 8), *again = malloc((size_t)n * 8), *out = t_device((n + 1) * 8), past;
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) ranges[i] = (ft_range){device + at[i], bytes[i]};
    assert_int_equal(t_ops()->stripe_hash(t_queue(), out, ranges, n), FT_OK);
    t_download(got, out, n * 8);
    assert_int_equal(t_ops()->stripe_hash(t_queue(), out, ranges, n), FT_OK);
    t_download(again, out, n * 8);
    t_download(&past, out + n, 8);
    for (int64_t i = 0; i < n; i++) {
        uint64_t want = ft_hash64(data + at[i], (size_t)bytes[i]);
        if (got[i] == want && again[i] == want) continue;
        if (wrong++ < 8)
            printf("  %s: range %lld, %lld bytes at %lld: got %016llx, again %016llx, want %016llx\n", what, (long long)i, (long long)bytes[i],
                   (long long)at[i], (unsigned long long)got[i], (unsigned long long)again[i], (unsigned long long)want);
    }
    printf("  %s: %lld ranges, %lld wrong\n", what, (long long)n, (long long)wrong);
    assert_int_equal(wrong, 0);
    if (past != ~(uint64_t)0) fail_msg("%s: the word behind the hashes was written: %016llx", what, (unsigned long long)past);
    free(ranges);
    free(got);
    free(again);
    t_free();
}

static void one_range_of_any_length(void **state)
{
    static const int64_t lengths[] = {241, 255, 256, 257, 1000, 1023, 1024, 1025, 1087, 1088, 1089, 2048, 2049, 4095, 4096, 4097, 8192, 12288,
                                      32768, 32769, 33792, 65536, 98304 + 1, 262144, 1 << 20, (1 << 20) - 1, (4 << 20) - 4096, (4 << 20) - 1, 4 << 20};
    uint8_t *data = pattern(4 << 20, 1);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char what[64];
        snprintf(what, sizeof what, "%lld bytes", (long long)lengths[i]);
        check_ranges(what, data, lengths[i], &(int64_t){0}, &lengths[i], 1);
    }
    free(data);
}

// Every number of whole blocks and of stripes behind them that the chunks of the kernel can end with.
static void every_ending(void **state)
{
    enum { N = 1400, TOTAL = 120000 };
    static int64_t at[N], bytes[N];
    uint8_t *data = pattern(TOTAL, 2);
    for (int64_t i = 0; i < N; i++) {
        at[i] = i % 7 * ROOM;
        bytes[i] = 241 + i * 64 + i % 64;
    }
    check_ranges("endings", data, TOTAL, at, bytes, N);
    free(data);
}

static void stripes_side_by_side(void **state)
{
    enum { N = 40 };
    static int64_t at[N], bytes[N];
    uint8_t *data = pattern((int64_t)N << 20, 3);
    for (int64_t i = 0; i < N; i++) {
        at[i] = i << 20;
        bytes[i] = i + 1 < N ? 1 << 20 : 4096 * 3;
    }
    check_ranges("side by side", data, (int64_t)N << 20, at, bytes, N);
    free(data);
}

static void zeros_and_ones(void **state)
{
    for (int value = 0; value <= 255; value += 255) {
        uint8_t *data = malloc(1 << 20);
        memset(data, value, 1 << 20);
        check_ranges(value ? "all ones" : "zeros", data, 1 << 20, &(int64_t){0}, &(int64_t){1 << 20}, 1);
        free(data);
    }
}

static void a_flipped_bit_shows(void **state)
{
    enum { BYTES = 1 << 20 };
    uint8_t *data = pattern(BYTES, 4);
    uint64_t before = ft_hash64(data, BYTES), got, *out = t_device(8);
    char *device = t_upload(data, BYTES);
    for (int64_t at = 0; at < BYTES; at += 104729) {
        uint8_t byte = (uint8_t)(data[at] ^ 1 << at % 8);
        assert_int_equal(ft_copy_h2d(t_queue(), device + at, &byte, 1), FT_OK);
        assert_int_equal(t_ops()->stripe_hash(t_queue(), out, &(ft_range){device, BYTES}, 1), FT_OK);
        t_download(&got, out, 8);
        if (got == before) fail_msg("a bit of byte %lld changed and the hash did not", (long long)at);
        assert_int_equal(ft_copy_h2d(t_queue(), device + at, data + at, 1), FT_OK);
        t_sync();
    }
    free(data);
    t_free();
}

typedef struct {
    uint64_t *out;
    ft_range *ranges;
    int64_t n;
} timed;

static void run_timed(void *context)
{
    timed *t = context;
    assert_int_equal(t_ops()->stripe_hash(t_queue(), t->out, t->ranges, t->n), FT_OK);
}

static double time_stripes(char *base, int64_t n)
{
    timed t = {.out = t_device(n * 8), .ranges = malloc((size_t)n * sizeof *t.ranges), .n = n};
    for (int64_t i = 0; i < n; i++) t.ranges[i] = (ft_range){base + (i << 22), 4 << 20};
    double seconds = t_time(run_timed, &t, 10);
    free(t.ranges);
    return seconds;
}

// A layer of the 405B model is 763 stripes; a sample of a step 64.
static void memory_bounds_a_layer_and_a_stripe_is_quick(void **state)
{
    enum { LAYER = 763 };
    char *base = t_device((int64_t)LAYER << 22);
    double rate = t_copy_rate(), one = time_stripes(base, 1), sample = time_stripes(base, 64);
    printf("  one stripe of 4 MiB: %.0f us; 64: %.0f us\n", one * 1e6, sample * 1e6);
    t_check_rate("stripe_hash, 763 stripes of 4 MiB", (double)((int64_t)LAYER << 22), time_stripes(base, LAYER), rate, 0.5);
    if (t_speed_counts() && one > 0.5e-3) fail_msg("one stripe takes %.0f us: more than 500", one * 1e6);
    t_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_range_of_any_length),
        cmocka_unit_test(every_ending),
        cmocka_unit_test(stripes_side_by_side),
        cmocka_unit_test(zeros_and_ones),
        cmocka_unit_test(a_flipped_bit_shows),
        cmocka_unit_test(memory_bounds_a_layer_and_a_stripe_is_quick),
    };
    t_queue();
    return cmocka_run_group_tests_name("stripe_hash", tests, NULL, NULL);
}
