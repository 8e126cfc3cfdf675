// Damaged files end in an error or in rows, in bounded time and memory: never in a crash. Under the sanitizers this is a proof of
// bounds; the seeds are fixed, so a failure repeats.
#include <jansson.h>
#include <time.h>

#include "io/parquet.h"
#include "io/support.h"

#define GOLDEN "tests/golden/parquet/"
#define ROWS_MAX 2000     // of a damaged file; a flipped count may claim billions
#define SECONDS_MAX 60

static const char *const names[] = {
    "flat_plain_v1_none", "flat_dictionary_v1_zstd", "flat_delta_v1_gzip", "flat_prefixes_v1_none", "flat_split_v2_none",
    "chat_dictionary_v1_snappy", "nested_prefixes_v2_snappy", "nested_dictionary_v2_none", "codec_v2_none", "two_fields",
    "repeated_group", "delta_blocks", "long_statistics", "checksums_v2", "times",
};
#define N_NAMES (sizeof names / sizeof *names)

typedef struct {
    char *bytes;
    size_t n;
} image;

static image load(const char *name)
{
    image file;
    char *path = ft_format(GOLDEN "%s.parquet", name);
    assert_ok(ft_file_read(path, MIB, &file.bytes, &file.n));
    ft_free(path);
    return file;
}

// Reads from a copy of exactly n bytes, so that the sanitizer sees a read behind the end. Returns rows read.
static int64_t drain(const void *bytes, size_t n, ft_status *status)
{
    ft_parquet *file;
    json_t *row;
    int64_t rows = 0;
    char *copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    *status = ft_parquet_open_memory(&file, copy, n, "damaged");
    while (*status == FT_OK && rows < ROWS_MAX) {
        *status = ft_parquet_next(file, &row);
        if (*status != FT_OK || row == NULL) break;
        json_decref(row);
        rows++;
    }
    ft_parquet_close(file);
    free(copy);
    return rows;
}

static void assert_named(ft_status status)
{
    if (status == FT_OK) return;
    assert_true(status == FT_E_INPUT || status == FT_E_UNSUPPORTED);
    assert_message_has(ft_error_message(), "damaged: ");
    for (const char *c = ft_error_message(); *c; c++) assert_true((unsigned char)*c >= 0x20);
}

static void a_file_cut_anywhere_is_an_error(void **state)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        image file = load(names[i]);
        for (size_t n = 0; n < file.n; n += 1 + n % 13) {
            ft_status status;
            drain(file.bytes, n, &status);
            assert_int_not_equal(status, FT_OK);
            assert_named(status);
        }
        ft_free(file.bytes);
    }
}

static uint32_t next_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33);
}

// Up to eight bits flipped or bytes replaced, most often in the half with the footer.
static void damage(char *bytes, size_t n, uint64_t *random)
{
    static const uint8_t edges[] = {0, 0xff, 0x7f, 0x80, 1};
    for (uint32_t k = next_random(random) % 8 + 1; k > 0; k--) {
        size_t at = next_random(random) % n;
        if (at < n / 2 && next_random(random) % 2) at += n / 2;
        if (next_random(random) % 2) bytes[at] ^= (char)(1 << next_random(random) % 8);
        else bytes[at] = (char)edges[next_random(random) % sizeof edges];
    }
}

static void flipped_bits_never_crash(void **state)
{
    uint64_t random = 20261122;
    int64_t errors = 0;
    time_t begin = time(NULL);
    for (int round = 0; round < 400; round++) {
        for (size_t i = 0; i < N_NAMES; i++) {
            ft_status status;
            image file = load(names[i]);
            damage(file.bytes, file.n, &random);
            drain(file.bytes, file.n, &status);
            assert_named(status);
            errors += status != FT_OK;
            ft_free(file.bytes);
        }
    }
    assert_true(errors > 1000);
    assert_true(time(NULL) - begin < SECONDS_MAX);
}

static void a_checksum_that_does_not_match_is_an_error(void **state)
{
    image file = load("checksums_v1");
    int64_t caught = 0, mid = (int64_t)file.n / 2;
    for (int64_t at = 40; at < mid; at++) {
        ft_status status;
        file.bytes[at] ^= 1;
        drain(file.bytes, file.n, &status);
        caught += status == FT_E_INPUT && strstr(ft_error_message(), "checksum") != NULL;
        file.bytes[at] ^= 1;
    }
    assert_true(caught > (mid - 40) / 2);
    ft_free(file.bytes);
}

static void an_allocation_that_fails_is_an_error_without_a_leak(void **state)
{
    static const char *const files[] = {"nested_prefixes_v2_snappy", "codec_v1_zstd", "codec_v1_gzip", "two_fields"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        image file = load(files[i]);
        int64_t failed = 0;
        for (ft_status status = FT_E_NOMEM; status != FT_OK; failed++) {
            ft_memory_fail_after(failed + 1);
            drain(file.bytes, file.n, &status);
            ft_memory_fail_after(0);
            assert_true(status == FT_OK || status == FT_E_NOMEM);
        }
        assert_true(failed > 10);
        ft_free(file.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_anywhere_is_an_error),
        cmocka_unit_test(flipped_bits_never_crash),
        cmocka_unit_test(a_checksum_that_does_not_match_is_an_error),
        cmocka_unit_test(an_allocation_that_fails_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
