// Faults at every transfer in turn: one is corrected by reading once more; where the second attempt fails as well the streamer
// stops with one error that names the drive; nothing hangs and everything closes.
#include <fcntl.h>

#include "io/fault.h"
#include "stamped_run.h"

enum { LAYERS = 3, FOR_EVER = 1000 };

static const stamped_run_options base = {.model = {.layers = LAYERS, .drives = 1, .group_bytes = 8 << 10, .engine = "fault:auto"},
                                         .homes = "n", .slots = 2, .host_slots = 2};

static const char *const kind_names[FT_FAULT_KINDS] = {"none", "eio", "enospc", "short", "zero", "eagain", "eintr",
                                                       "late", "reorder", "flip", "misplace", "broken", "slow"};

// Whether the drive sees to it by itself, without a second read of the stripe.
static bool is_benign(ft_fault_kind kind)
{
    return kind == FT_FAULT_SHORT || kind == FT_FAULT_EAGAIN || kind == FT_FAULT_EINTR || kind == FT_FAULT_LATE ||
           kind == FT_FAULT_REORDER || kind == FT_FAULT_ENOSPC || kind == FT_FAULT_SLOW;
}

static void check_named_error(const stamped_run *r, ft_status status, ft_fault_kind kind)
{
    assert_int_equal(status, kind == FT_FAULT_FLIP || kind == FT_FAULT_MISPLACE ? FT_E_CORRUPT : FT_E_IO);
    char message[FT_ERROR_MESSAGE_BYTES], path[512];
    snprintf(message, sizeof message, "%s", ft_error_message());
    stamped_drive_path(&r->model, 0, "data", path);
    if (strncmp(message, path, strlen(path)) != 0) fail_msg("%s: \"%s\" does not begin with \"%s\"", kind_names[kind], message, path);
    if (kind != FT_FAULT_BROKEN) assert_non_null(strstr(message, "offset"));
    ft_lease lease;  // every later call says the same
    assert_int_equal(ft_streamer_acquire(r->streamer, 0, FT_FORWARD, &lease), status);
    assert_string_equal(ft_error_message(), message);
    assert_int_equal(ft_streamer_start(r->streamer, FT_SWEEP_TRAIN, 1), status);
    assert_int_equal(ft_streamer_cancel(r->streamer), status);
    assert_string_equal(ft_error_message(), message);
}

// The first sweep, with `repeat` faults from transfer `nth` on. Returns the transfers of the sweep.
static int64_t sweep_with_fault(ft_fault_kind kind, int64_t nth, int64_t repeat)
{
    stamped_run r;
    stamped_open(&r, &base);
    ft_fault_clear();
    if (kind != FT_FAULT_NONE) ft_fault_set(kind, nth, repeat);
    ft_status status = stamped_sweeps(&r, FT_SWEEP_TRAIN, 1);
    ft_streamer_stats stats;
    ft_streamer_get_stats(r.streamer, &stats);
    if (kind == FT_FAULT_BROKEN || (repeat > 1 && !is_benign(kind))) check_named_error(&r, status, kind);
    else ok(status);
    if (status == FT_OK) assert_int_equal(stats.stripes_reread, kind == FT_FAULT_NONE || is_benign(kind) ? 0 : 1);
    int64_t requests = ft_fault_requests();
    ft_fault_clear();
    stamped_close(&r);
    return requests;
}

static void test_one_fault_at_any_transfer_is_corrected(void **state)
{
    int64_t transfers = sweep_with_fault(FT_FAULT_NONE, 0, 0);
    assert_int_equal(transfers, LAYERS * 5 + 5);  // the turn saves two of three layers
    for (int kind = FT_FAULT_EIO; kind < FT_FAULT_KINDS; kind++) {
        // Bytes of a stripe that was verified in this process are not hashed again.
        int64_t last = kind == FT_FAULT_FLIP || kind == FT_FAULT_MISPLACE ? LAYERS * 5 : transfers;
        for (int64_t nth = 1; nth <= last; nth++) sweep_with_fault((ft_fault_kind)kind, nth, 1);
    }
}

static void test_a_second_fault_on_a_stripe_is_one_clean_error(void **state)
{
    for (int kind = FT_FAULT_EIO; kind < FT_FAULT_KINDS; kind++)
        for (int64_t nth = 1; nth <= LAYERS * 5; nth++)
            sweep_with_fault((ft_fault_kind)kind, nth, is_benign((ft_fault_kind)kind) ? 2 : FOR_EVER);
}

static void test_faults_while_open_loads_are_corrected_or_told(void **state)
{
    stamped_run_options options = base;
    options.homes = "hd";
    for (int repeat = 1; repeat <= FOR_EVER; repeat += FOR_EVER - 1) {
        for (int64_t nth = 1; nth <= 17; nth += 4) {
            stamped_run r;
            stamped_prepare(&r, &options);
            ft_fault_clear();
            ft_fault_set(FT_FAULT_EIO, nth, repeat);
            ft_status status = stamped_try_open(&r, &options);
            ft_fault_clear();
            assert_int_equal(status, repeat == 1 ? FT_OK : FT_E_IO);
            if (repeat > 1) assert_non_null(strstr(ft_error_message(), "drive0/data"));
            else ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 1));
            stamped_close(&r);
        }
    }
}

// Three drives that delay, reorder, cut short and refuse now and then: slow, and never wrong.
static void test_bad_tempered_drives_are_only_slow(void **state)
{
    for (int depth = 1; depth <= 3; depth++) {
        stamped_run r;
        stamped_run_options options = {.model = {.layers = 8, .drives = 3, .group_bytes = 24 << 10, .depth = 8,
                                                 .engine = "fault:auto,seed=5,late=0.2,reorder=0.2,short=0.1,eagain=0.1,eintr=0.1"},
                                       .homes = "nnh", .slots = depth + 1, .host_slots = depth};
        stamped_open(&r, &options);
        ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 3));
        ok(stamped_sweeps(&r, FT_SWEEP_EVALUATE, 2));
        stamped_close(&r);
    }
}

// Rotten bytes on the disk: the error names the place, before anybody could have read them.
static void test_a_rotten_stripe_is_named(void **state)
{
    stamped_run r;
    stamped_run_options options = base;
    options.model.drives = 2;
    stamped_open(&r, &options);
    const ft_stripe *stripe = ft_store_locate(&r.model.store, 2, r.plan.layout.record[2].extent[FT_GROUP_DOWN].offset);
    char path[512], offset[64];
    stamped_drive_path(&r.model, (int)stripe->drive, "data", path);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "rot", 3, stripe->offset + 5000), 3);
    close(fd);
    assert_int_equal(stamped_sweeps(&r, FT_SWEEP_TRAIN, 1), FT_E_CORRUPT);
    snprintf(offset, sizeof offset, "offset %lld", (long long)stripe->offset);
    assert_non_null(strstr(ft_error_message(), path));
    assert_non_null(strstr(ft_error_message(), offset));
    stamped_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_fault_at_any_transfer_is_corrected),
        cmocka_unit_test(test_a_second_fault_on_a_stripe_is_one_clean_error),
        cmocka_unit_test(test_faults_while_open_loads_are_corrected_or_told),
        cmocka_unit_test(test_bad_tempered_drives_are_only_slow),
        cmocka_unit_test(test_a_rotten_stripe_is_named),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
