// Rows of the embedding are the record's rows, wherever it lives, across stripes and blocks, in any order and number.
#include "common/threads.h"
#include "io/fault.h"
#include "stamped_run.h"

enum { LAYERS = 2, EMBED = LAYERS, ROWS = 3000, HIDDEN = 1500 };  // rows of 3000 bytes: 9 MB in three stripes

static stamped_run_options options_for(char home)
{
    return (stamped_run_options){.model = {.layers = LAYERS, .drives = 2, .group_bytes = 4 << 10, .vocab = ROWS, .hidden = HIDDEN},
                                 .homes = "n", .slots = 1, .host_slots = 1, .embed = home};
}

static void check_rows(stamped_run *r, const int32_t *ids, int64_t n)
{
    const int64_t row = HIDDEN * 2;
    char *rows = malloc((size_t)(n * row + 1));
    uint64_t word;
    rows[n * row] = 77;
    ok(ft_streamer_embedding_rows(r->streamer, rows, ids, n));
    assert_int_equal(rows[n * row], 77);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t at = 0; at < row; at++) {
            int64_t byte = ids[i] * row + at;
            word = stamped_word(EMBED, byte / 8 * 8);
            if (rows[i * row + at] != ((char *)&word)[byte % 8]) fail_msg("row %d differs at byte %lld", ids[i], (long long)at);
        }
    }
    free(rows);
}

static void check_many(stamped_run *r)
{
    enum { MANY = 200 };
    int32_t ids[MANY];
    // Row 1398 begins in the first stripe and ends in the second; the first time no stripe is verified.
    check_rows(r, (int32_t[]){1398, 0, ROWS - 1, 1398, 1, 2796}, 6);
    check_rows(r, (int32_t[]){1398, 1398, 2796, 0, ROWS - 1}, 5);
    check_rows(r, ids, 0);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < MANY; i++) ids[i] = (int32_t)(stamped_random(r) % ROWS);
        check_rows(r, ids, MANY);
    }
}

static void test_rows_are_the_records_rows(void **state)
{
    for (const char *home = "hdn"; *home; home++) {
        stamped_run r;
        stamped_run_options options = options_for(*home);
        stamped_open(&r, &options);
        check_many(&r);
        ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, 2));
        check_many(&r);  // beside a sweep that is being read
        ok(stamped_visits(&r, FT_SWEEP_TRAIN, 0, 4 * LAYERS));
        stamped_close(&r);
    }
}

static void test_rows_from_nvme_read_little(void **state)
{
    stamped_run r;
    stamped_run_options options = options_for('n');
    stamped_open(&r, &options);
    int32_t ids[] = {5, 7, 2};
    ft_streamer_stats first, second;
    check_rows(&r, ids, 3);
    ft_streamer_get_stats(r.streamer, &first);
    assert_int_equal(first.bytes_nvme_read, FT_STRIPE_BYTES + 2 * 8192 - 4096);  // the stripe, then rows 7 (two blocks) and 2 (two)
    check_rows(&r, ids, 3);
    ft_streamer_get_stats(r.streamer, &second);
    assert_true(second.bytes_nvme_read - first.bytes_nvme_read <= 3 * 8192);
    stamped_close(&r);
}

static int64_t metered_bytes(const stamped_run *r, double *busy_s)
{
    ft_meter_step totals;
    int64_t bytes = 0;
    *busy_s = 0;
    ok(ft_meter_totals(ft_streamer_meter(r->streamer), &totals));
    for (int d = 0; d < totals.n_drives; d++) {
        bytes += totals.drive[d].bytes_read;
        *busy_s += totals.drive[d].busy_s;
    }
    return bytes;
}

static void test_the_meter_sees_rows_that_drives_read(void **state)
{
    stamped_run r;
    stamped_run_options options = options_for('n');
    stamped_open(&r, &options);
    int32_t ids[] = {5, 7, 2};
    ft_streamer_stats before, after;
    double busy_before, busy_after;
    check_rows(&r, ids, 3);
    ft_streamer_get_stats(r.streamer, &before);
    int64_t bytes = metered_bytes(&r, &busy_before);
    check_rows(&r, ids, 3);
    ft_streamer_get_stats(r.streamer, &after);
    assert_true(after.bytes_nvme_read > before.bytes_nvme_read);
    assert_int_equal(metered_bytes(&r, &busy_after) - bytes, after.bytes_nvme_read - before.bytes_nvme_read);
    assert_true(busy_after > busy_before);
    stamped_close(&r);
}

static void test_an_id_outside_the_vocabulary_is_named(void **state)
{
    stamped_run r;
    stamped_run_options options = options_for('h');
    stamped_open(&r, &options);
    char rows[2 * HIDDEN * 2];
    assert_int_equal(ft_streamer_embedding_rows(r.streamer, rows, (int32_t[]){0, ROWS}, 2), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "token 1: id 3000 is outside the vocabulary of 3000"));
    assert_int_equal(ft_streamer_embedding_rows(r.streamer, rows, (int32_t[]){-1}, 1), FT_E_INPUT);
    stamped_close(&r);
}

static void test_a_failed_row_is_read_once_more(void **state)
{
    for (int repeat = 1; repeat <= 1000; repeat += 999) {
        stamped_run r;
        stamped_run_options options = options_for('n');
        options.model.engine = "fault:auto";
        stamped_open(&r, &options);
        check_rows(&r, (int32_t[]){0, 1500, 2900}, 3);  // every stripe is verified
        ft_fault_clear();
        ft_fault_set(FT_FAULT_EIO, 2, repeat);
        char rows[4 * HIDDEN * 2];
        ft_status status = ft_streamer_embedding_rows(r.streamer, rows, (int32_t[]){1, 2, 3, 4}, 4);
        ft_fault_clear();
        assert_int_equal(status, repeat == 1 ? FT_OK : FT_E_IO);
        if (repeat == 1) check_rows(&r, (int32_t[]){1, 2, 3, 4}, 4);
        else assert_int_equal(ft_streamer_embedding_rows(r.streamer, rows, (int32_t[]){1}, 1), FT_E_IO);
        stamped_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_the_records_rows),
        cmocka_unit_test(test_rows_from_nvme_read_little),
        cmocka_unit_test(test_the_meter_sees_rows_that_drives_read),
        cmocka_unit_test(test_an_id_outside_the_vocabulary_is_named),
        cmocka_unit_test(test_a_failed_row_is_read_once_more),
    };
    alarm(60);
    ft_threads_init(3);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ft_threads_shutdown();
    return failed;
}
