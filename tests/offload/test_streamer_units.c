// Units of every class and home: what was stored last is what a load brings back, however operations overlap.
#include <dirent.h>
#include <sys/statvfs.h>

#include "stamped_units.h"

static const stamped_unit mixed[] = {
    {FT_TIER_HOST, FT_UNIT_BOUNDARY, 100},      {FT_TIER_NVME, FT_UNIT_BOUNDARY, 100},
    {FT_TIER_HOST, FT_UNIT_MOMENT, 4096},       {FT_TIER_NVME, FT_UNIT_MOMENT, 8192},
    {FT_TIER_HOST, FT_UNIT_MASTER, 300000},     {FT_TIER_NVME, FT_UNIT_MASTER, 300001},
    {FT_TIER_HOST, FT_UNIT_GRADIENT, 5 << 20},  {FT_TIER_NVME, FT_UNIT_GRADIENT, (9 << 20) + 3},
    {FT_TIER_NVME, FT_UNIT_BASE, 4 << 20},      {FT_TIER_NVME, FT_UNIT_BOUNDARY, 1 << 20},
};
enum { MIXED = sizeof mixed / sizeof *mixed };

static void test_what_was_stored_comes_back(void **state)
{
    for (int drives = 1; drives <= 3; drives += 2) {
        stamped_units u;
        stamped_units_open(&u, mixed, MIXED, drives, NULL);
        ft_queue *queue = u.run.queue;
        for (int generation = 0; generation < 3; generation++) {
            for (int i = 0; i < MIXED; i++) stamped_unit_fill(&u, i, generation);
            for (int i = 0; i < MIXED; i++) ok(stamped_unit_store(&u, i, queue));
            for (int i = 0; i < MIXED; i++) ok(ft_streamer_unit_stored(u.run.streamer, u.id[i], queue));
            for (int i = 0; i < MIXED; i++) stamped_unit_fill(&u, i, 99);  // the source is free
            for (int i = MIXED - 1; i >= 0; i--) ok(stamped_unit_load(&u, i, queue));
            for (int i = MIXED - 1; i >= 0; i--) ok(ft_streamer_unit_loaded(u.run.streamer, u.id[i], queue));
            for (int i = 0; i < MIXED; i++) stamped_unit_check(&u, i, generation);
        }
        stamped_units_close(&u);
    }
}

// Nothing waits on the host: stores and loads of the same units chase each other, sources are overwritten and targets copied away
// by an asynchronous queue behind unit_stored and unit_loaded.
static void test_operations_on_a_unit_keep_their_order(void **state)
{
    enum { ROUNDS = 6, UNITS = 6 };
    static const stamped_unit units[UNITS] = {
        {FT_TIER_NVME, FT_UNIT_BOUNDARY, 20000}, {FT_TIER_HOST, FT_UNIT_BOUNDARY, 20000},   {FT_TIER_NVME, FT_UNIT_MOMENT, (8 << 20) + 4096},
        {FT_TIER_HOST, FT_UNIT_MOMENT, 1 << 20}, {FT_TIER_NVME, FT_UNIT_GRADIENT, 1 << 20}, {FT_TIER_NVME, FT_UNIT_MASTER, 5 << 20},
    };
    stamped_units u;
    stamped_units_open(&u, units, UNITS, 2, NULL);
    ft_streamer *s = u.run.streamer;
    char *content[ROUNDS][UNITS], *seen[ROUNDS][UNITS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < UNITS; i++) {
            content[round][i] = malloc((size_t)units[i].bytes);
            seen[round][i] = malloc((size_t)units[i].bytes);
            stamped_unit_write(content[round][i], i, round, units[i].bytes);
        }
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < UNITS; i++) {
            ok(ft_streamer_unit_stored(s, u.id[i], u.async));
            ok(ft_copy_h2d(u.async, u.source[i], content[round][i], units[i].bytes));
            ok(stamped_unit_store(&u, i, u.async));
        }
        for (int i = 0; i < UNITS; i++) ok(stamped_unit_load(&u, i, u.async));
        for (int i = 0; i < UNITS; i++) {
            ok(ft_streamer_unit_loaded(s, u.id[i], u.async));
            ok(ft_copy_d2h(u.async, seen[round][i], u.target[i], units[i].bytes));
        }
    }
    ok(ft_queue_sync(u.async));
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < UNITS; i++) {
            assert_memory_equal(seen[round][i], content[round][i], (size_t)units[i].bytes);
            free(content[round][i]);
            free(seen[round][i]);
        }
    }
    stamped_units_close(&u);
}

// Work that keeps a queue busy for a while.
static void keep_busy(ft_queue *queue)
{
    enum { BYTES = 8 << 20 };
    static char a[BYTES], b[BYTES];
    for (int i = 0; i < 20; i++) ok(ft_copy_d2d(queue, a, b, BYTES));
}

// Source, target and home of a unit are each still in use by a slow queue when the next operation is called for by another one.
static void test_operations_wait_for_slow_work(void **state)
{
    enum { BYTES = 50000, UNITS = 2 };
    static const stamped_unit units[UNITS] = {{FT_TIER_HOST, FT_UNIT_MASTER, BYTES}, {FT_TIER_NVME, FT_UNIT_MASTER, BYTES}};
    static char content[BYTES], seen[BYTES];
    stamped_units u;
    stamped_units_open(&u, units, UNITS, 2, NULL);
    ft_streamer *s = u.run.streamer;
    for (int i = 0; i < UNITS; i++) {
        stamped_unit_write(content, i, 1, BYTES);
        keep_busy(u.async);
        ok(ft_copy_h2d(u.async, u.source[i], content, BYTES));  // the source is made late
        ok(stamped_unit_store(&u, i, u.async));
        ok(stamped_unit_load(&u, i, u.run.queue));              // of what is still being stored
        ok(ft_streamer_unit_loaded(s, u.id[i], u.run.queue));
        stamped_unit_check(&u, i, 1);

        keep_busy(u.async);
        ok(stamped_unit_load(&u, i, u.async));                  // late
        stamped_unit_fill(&u, i, 2);
        ok(stamped_unit_store(&u, i, u.run.queue));             // over what is still to be loaded
        ok(ft_streamer_unit_loaded(s, u.id[i], u.run.queue));
        stamped_unit_check(&u, i, 1);

        keep_busy(u.async);
        ok(ft_copy_d2h(u.async, seen, u.target[i], BYTES));     // the target is read late
        ok(stamped_unit_load(&u, i, u.async));
        ok(ft_streamer_unit_loaded(s, u.id[i], u.run.queue));
        ok(ft_queue_sync(u.async));
        stamped_unit_check(&u, i, 2);
        assert_memory_equal(seen, content, BYTES);
    }
    stamped_units_close(&u);
}

// More operations than the spill remembers at a time, more pieces than it has buffers, and a device that is late to take them: the
// caller waits, nothing is lost.
static void test_many_operations_may_be_pending(void **state)
{
    enum { UNITS = 40 };
    stamped_unit units[UNITS];
    for (int i = 0; i < UNITS; i++) units[i] = (stamped_unit){FT_TIER_NVME, FT_UNIT_BOUNDARY, 4096 * (1 + i % 5)};
    stamped_units u;
    stamped_units_open(&u, units, UNITS, 3, NULL);
    for (int i = 0; i < UNITS; i++) stamped_unit_fill(&u, i, 1);
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < UNITS; i++) ok(stamped_unit_store(&u, i, u.run.queue));
    keep_busy(u.async);
    for (int i = 0; i < UNITS; i++) ok(stamped_unit_load(&u, i, u.async));
    for (int i = 0; i < UNITS; i++) {
        ok(ft_streamer_unit_loaded(u.run.streamer, u.id[i], u.run.queue));
        stamped_unit_check(&u, i, 1);
    }
    stamped_units_close(&u);
}

static void test_units_and_layers_move_side_by_side(void **state)
{
    stamped_units u;
    stamped_units_open(&u, mixed, MIXED, 2, NULL);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < MIXED; i++) stamped_unit_fill(&u, i, round);
        for (int i = 0; i < MIXED; i++) ok(stamped_unit_store(&u, i, u.run.queue));
        ok(stamped_sweeps(&u.run, FT_SWEEP_TRAIN, 1));
        for (int i = 0; i < MIXED; i++) ok(stamped_unit_load(&u, i, u.run.queue));
        ok(stamped_sweeps(&u.run, FT_SWEEP_TRAIN, 1));
        for (int i = 0; i < MIXED; i++) {
            ok(ft_streamer_unit_loaded(u.run.streamer, u.id[i], u.run.queue));
            stamped_unit_check(&u, i, round);
        }
    }
    stamped_units_close(&u);
}

static void test_a_cancel_finishes_unit_operations(void **state)
{
    stamped_units u;
    stamped_units_open(&u, mixed, MIXED, 2, NULL);
    for (int i = 0; i < MIXED; i++) stamped_unit_fill(&u, i, 5);
    ok(ft_streamer_start(u.run.streamer, FT_SWEEP_TRAIN, 2));
    for (int i = 0; i < MIXED; i++) ok(stamped_unit_store(&u, i, u.run.queue));
    for (int i = 0; i < MIXED; i++) ok(stamped_unit_load(&u, i, u.run.queue));
    ok(ft_streamer_cancel(u.run.streamer));
    for (int i = 0; i < MIXED; i++) stamped_unit_check(&u, i, 5);
    stamped_units_close(&u);
}

static void test_a_unit_never_stored_loads_as_zeroes(void **state)
{
    stamped_units u;
    stamped_units_open(&u, mixed, MIXED, 2, NULL);
    for (int i = 0; i < MIXED; i++) {
        memset(u.target[i], 7, (size_t)u.bytes[i]);
        ok(stamped_unit_load(&u, i, u.run.queue));
        ok(ft_streamer_unit_loaded(u.run.streamer, u.id[i], u.run.queue));
        for (int64_t at = 0; at < u.bytes[i]; at++)
            if (u.target[i][at] != 0) fail_msg("unit %d, byte %lld is not zero", i, (long long)at);
    }
    stamped_units_close(&u);
}

static void test_bytes_are_counted_by_class(void **state)
{
    stamped_units u;
    stamped_units_open(&u, mixed, MIXED, 2, NULL);
    int64_t stored[FT_UNIT_CLASSES] = {0}, total = 0, nvme = 0;
    for (int i = 0; i < MIXED; i++) {
        for (int round = 0; round < 2; round++) ok(stamped_unit_store(&u, i, u.run.queue));
        ok(stamped_unit_load(&u, i, u.run.queue));
        ok(ft_streamer_unit_loaded(u.run.streamer, u.id[i], u.run.queue));
        stored[mixed[i].unit_class] += 2 * mixed[i].bytes;
        total += mixed[i].bytes;
        if (mixed[i].home == FT_TIER_NVME) nvme += stamped_round(mixed[i].bytes);
    }
    ft_streamer_stats stats;
    ft_streamer_get_stats(u.run.streamer, &stats);
    for (int i = 0; i < FT_UNIT_CLASSES; i++) {
        assert_int_equal(stats.class_store[i], stored[i]);
        assert_int_equal(stats.class_load[i], stored[i] / 2);
    }
    assert_int_equal(stats.bytes_d2h, 2 * total);
    assert_int_equal(stats.bytes_h2d, total);
    assert_int_equal(stats.bytes_nvme_written, 2 * nvme);
    assert_int_equal(stats.bytes_nvme_read, nvme);
    stamped_units_close(&u);
}

static void test_spill_files_have_no_names(void **state)
{
    stamped_units u;
    stamped_units_open(&u, mixed, MIXED, 2, NULL);
    for (int drive = 0; drive < 2; drive++) {
        char path[512];
        stamped_drive_path(&u.run.model, drive, "", path);
        DIR *directory = opendir(path);
        assert_non_null(directory);
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
            if (entry->d_name[0] != '.') assert_string_equal(entry->d_name, "data");
        closedir(directory);
    }
    stamped_units_close(&u);
}

static void test_a_spill_that_does_not_fit_says_how_much_is_missing(void **state)
{
    stamped_run r;
    stamped_run_options options = {.model = {.layers = 2, .drives = 1, .group_bytes = 8 << 10}, .homes = "d", .slots = 0, .host_slots = 0,
                                   .unit_pool_bytes = ft_spill_pool_bytes(8 << 20)};
    stamped_open(&r, &options);
    struct statvfs space;
    assert_int_equal(statvfs(r.model.directory, &space), 0);
    int64_t bytes = (int64_t)(space.f_blocks * space.f_frsize) + (1 << 20);
    assert_int_equal(ft_streamer_unit_add(r.streamer, FT_UNIT_MOMENT, FT_TIER_HBM, 1), FT_E_INTERNAL);
    assert_int_equal(ft_streamer_unit_add(r.streamer, FT_UNIT_MOMENT, FT_TIER_NVME, bytes), 0);
    assert_int_equal(ft_streamer_units_ready(r.streamer), FT_E_IO);
    assert_non_null(strstr(ft_error_message(), "drive0/ft-spill-"));
    stamped_close(&r);
}

// A run that stops in the middle of a step: copies of units that were under way are in the timeline.
static void test_a_timeline_ends_with_the_last_copies_of_units(void **state)
{
    enum { UNITS = 2, BYTES = 5 << 20 };
    char path[] = "/tmp/ft-units-XXXXXX", text[1 << 16] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    stamped_run r;
    stamped_open(&r, &(stamped_run_options){.model = {.layers = 2, .drives = 1, .group_bytes = 8 << 10}, .homes = "n", .slots = 2, .host_slots = 1,
                                            .unit_pool_bytes = stamped_round(BYTES) + ft_spill_pool_bytes(BYTES), .trace = path});
    void *source;
    ok(ft_device_alloc(r.device, BYTES, &source));
    for (int i = 0; i < UNITS; i++)
        assert_int_equal(ft_streamer_unit_add(r.streamer, FT_UNIT_BOUNDARY, i ? FT_TIER_NVME : FT_TIER_HOST, BYTES), i);
    ok(ft_streamer_units_ready(r.streamer));
    for (int i = 0; i < UNITS; i++) ok(ft_streamer_unit_store(r.streamer, i, source, r.queue));
    ok(ft_streamer_unit_stored(r.streamer, 1, r.queue));
    ft_streamer_close(r.streamer);
    r.streamer = NULL;
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "\"boundary 0 5.24 MB\""));
    assert_non_null(strstr(text, "\"boundary 1 4.19 MB\""));  // a piece
    close(fd);
    unlink(path);
    ft_device_free(r.device, source);
    stamped_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_timeline_ends_with_the_last_copies_of_units),
        cmocka_unit_test(test_what_was_stored_comes_back),
        cmocka_unit_test(test_operations_on_a_unit_keep_their_order),
        cmocka_unit_test(test_operations_wait_for_slow_work),
        cmocka_unit_test(test_many_operations_may_be_pending),
        cmocka_unit_test(test_units_and_layers_move_side_by_side),
        cmocka_unit_test(test_a_cancel_finishes_unit_operations),
        cmocka_unit_test(test_a_unit_never_stored_loads_as_zeroes),
        cmocka_unit_test(test_bytes_are_counted_by_class),
        cmocka_unit_test(test_spill_files_have_no_names),
        cmocka_unit_test(test_a_spill_that_does_not_fit_says_how_much_is_missing),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
