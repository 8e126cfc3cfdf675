// Failing drives: every request of a build may fail, a failed or corrupt read is repeated once, a second failure names the place.
#include "offload/store_support.h"

#include <sys/mount.h>
#include <sys/statvfs.h>

#include "io/fault.h"
#include "offload/store_internal.h"

static void open_faulty_site(site *s, int n_drives)
{
    ft_test_model model = site_model();
    site_open(s, n_drives);
    s->options.io = (ft_drive_options){.engine = "fault:posix"};
    model.hidden = 128;
    model.layers = 1;
    assert_ok(ft_test_model_write(&model, s->model));
    ft_fault_clear();
}

static void close_faulty_site(site *s)
{
    ft_fault_clear();
    site_close(s);
}

// Prepares with a fault at request n, for every n there is; after each failure the build continues to the same bytes.
static void fail_every_request(ft_fault_kind kind, const char *words)
{
    site s;
    char *data[SITE_DRIVES];
    size_t bytes[SITE_DRIVES];
    int failures = 0;
    open_faulty_site(&s, 2);
    ft_store_checkpoint_bytes = 1;
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    int64_t requests = ft_fault_requests();
    site_save_data(&s, data, bytes);
    for (int64_t n = 1; n <= requests; n++) {
        site_clear_drives(&s);
        ft_fault_clear();
        ft_fault_set(kind, n, 1);
        ft_status status = ft_store_prepare(s.model, &s.options, NULL);
        if (status != FT_OK) {
            assert_fails(status, FT_E_IO, words);
            assert_non_null(strstr(ft_error_message(), ".building/data: "));
            assert_ok(ft_store_prepare(s.model, &s.options, NULL));
            failures++;
        }
        site_assert_data(&s, data, bytes);
    }
    assert_true(failures > 5);
    site_free_data(&s, data);
    close_faulty_site(&s);
}

static void every_failing_request_stops_a_build_that_continues(void **state)
{
    fail_every_request(FT_FAULT_EIO, "Input/output error");
}

static void a_full_drive_is_named(void **state)
{
    fail_every_request(FT_FAULT_ENOSPC, "No space left on device");
}

static void passing_troubles_change_nothing(void **state)
{
    site s;
    char *data[SITE_DRIVES];
    size_t bytes[SITE_DRIVES];
    open_faulty_site(&s, 3);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    site_save_data(&s, data, bytes);
    s.options.io.engine = "fault:posix,seed=3,short=0.2,eagain=0.2,eintr=0.2,late=0.1,reorder=0.1";
    s.options.io.chunk_bytes = 16384;
    site_clear_drives(&s);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    site_assert_data(&s, data, bytes);
    ft_store *store = site_open_store(&s);
    assert_ok(ft_store_verify(store));
    ft_store_close(store);
    site_free_data(&s, data);
    close_faulty_site(&s);
}

// Reads record 0 with `repeat` faults from request n on.
static ft_status read_with_fault(ft_store *store, ft_fault_kind kind, int64_t n, int64_t repeat)
{
    char *data = aligned_alloc(FT_IO_ALIGN, (size_t)store->layout.record[0].bytes);
    ft_fault_clear();
    ft_fault_set(kind, n, repeat);
    ft_status status = ft_store_read_record(store, 0, data);
    ft_fault_clear();
    free(data);
    return status;
}

static void a_bad_read_is_repeated_once(void **state)
{
    static const ft_fault_kind kinds[] = {FT_FAULT_EIO, FT_FAULT_FLIP, FT_FAULT_MISPLACE, FT_FAULT_ZERO};
    site s;
    open_faulty_site(&s, 2);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store *store = site_open_store(&s);
    for (int k = 0; k < 4; k++)
        for (int64_t n = 1; n <= 5; n++) assert_ok(read_with_fault(store, kinds[k], n, 1));
    ft_store_close(store);
    close_faulty_site(&s);
}

static void a_read_that_stays_bad_names_drive_file_and_offset(void **state)
{
    site s;
    char place[800];
    open_faulty_site(&s, 1);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store *store = site_open_store(&s);
    snprintf(place, sizeof place, "%s: read of 262144 bytes at offset 0", site_store_path(&s, 0, "data"));
    assert_fails(read_with_fault(store, FT_FAULT_EIO, 1, 1000), FT_E_IO, place);
    snprintf(place, sizeof place, "%s: the 262144 bytes at offset 0 ", site_store_path(&s, 0, "data"));
    assert_fails(read_with_fault(store, FT_FAULT_MISPLACE, 1, 1000), FT_E_CORRUPT, place);
    assert_int_equal(store->verified[0], 0);
    ft_store_close(store);
    close_faulty_site(&s);
}

static void a_write_that_went_wrong_silently_is_found(void **state)
{
    site s;
    open_faulty_site(&s, 2);
    ft_fault_set(FT_FAULT_FLIP, 1, 1);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store *store = site_open_store(&s);
    assert_fails(ft_store_verify(store), FT_E_CORRUPT, "are not what was written there");
    ft_store_close(store);
    close_faulty_site(&s);
}

static void a_drive_without_room_is_refused_before_the_start(void **state)
{
    site s;
    struct statvfs space;
    open_faulty_site(&s, 2);
    if (mount("none", s.drive[1], "tmpfs", 0, "size=512k") != 0) {
        close_faulty_site(&s);
        skip();
    }
    ft_status status = ft_store_prepare(s.model, &s.options, NULL);
    char message[FT_ERROR_MESSAGE_BYTES];
    long long missing = 0;
    snprintf(message, sizeof message, "%s", ft_error_message());
    assert_int_equal(statvfs(s.drive[1], &space), 0);
    assert_int_equal(umount(s.drive[1]), 0);
    assert_int_equal(status, FT_E_IO);
    assert_non_null(strstr(message, s.drive[1]));
    // 7 extents of 256 KiB, round the drives: drive b gets 3. The lock file took a page or two while they looked.
    long long expected = 3 * 262144LL - (long long)(space.f_bavail * space.f_frsize);
    assert_non_null(strchr(message, '('));
    assert_int_equal(sscanf(strchr(message, '('), "(%lld bytes) are missing", &missing), 1);
    assert_in_range(missing, expected, expected + 32768);
    assert_int_equal(ft_fault_requests(), 0);
    close_faulty_site(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_ERROR);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_request_stops_a_build_that_continues),
        cmocka_unit_test(a_full_drive_is_named),
        cmocka_unit_test(passing_troubles_change_nothing),
        cmocka_unit_test(a_bad_read_is_repeated_once),
        cmocka_unit_test(a_read_that_stays_bad_names_drive_file_and_offset),
        cmocka_unit_test(a_write_that_went_wrong_silently_is_found),
        cmocka_unit_test(a_drive_without_room_is_refused_before_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
