// Faults of the drives while units are spilled: one is corrected by a second attempt, bytes that come back changed are noticed,
// what cannot be corrected stops the streamer with one error.
#include "io/fault.h"
#include "stamped_units.h"

enum { UNITS = 3, FOR_EVER = 1000, ROUNDS = 2 };
static const stamped_unit units[UNITS] = {
    {FT_TIER_NVME, FT_UNIT_BOUNDARY, 4096}, {FT_TIER_NVME, FT_UNIT_MOMENT, 70000}, {FT_TIER_NVME, FT_UNIT_MASTER, (1 << 20) + 4096}};

static ft_status store_and_load(stamped_units *u)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < UNITS; i++) stamped_unit_fill(u, i, round);
        for (int i = 0; i < UNITS; i++) FT_TRY(stamped_unit_store(u, i, u->run.queue));
        for (int i = 0; i < UNITS; i++) FT_TRY(ft_streamer_unit_stored(u->run.streamer, u->id[i], u->run.queue));
        for (int i = 0; i < UNITS; i++) FT_TRY(stamped_unit_load(u, i, u->run.queue));
        for (int i = 0; i < UNITS; i++) FT_TRY(ft_streamer_unit_loaded(u->run.streamer, u->id[i], u->run.queue));
        for (int i = 0; i < UNITS; i++) stamped_unit_check(u, i, round);
    }
    return FT_OK;
}

static int64_t run_with_fault(ft_fault_kind kind, int64_t nth, int64_t repeat, ft_status *status)
{
    stamped_units u;
    stamped_units_open(&u, units, UNITS, 1, "fault:auto");
    ft_fault_clear();
    if (kind != FT_FAULT_NONE) ft_fault_set(kind, nth, repeat);
    *status = store_and_load(&u);
    if (*status != FT_OK) {
        assert_non_null(strstr(ft_error_message(), "drive0"));
        assert_int_equal(stamped_unit_store(&u, 0, u.run.queue), *status);
        assert_int_equal(ft_streamer_start(u.run.streamer, FT_SWEEP_TRAIN, 1), *status);
        assert_int_equal(ft_streamer_cancel(u.run.streamer), *status);
    }
    int64_t requests = ft_fault_requests();
    ft_fault_clear();
    stamped_units_close(&u);
    return requests;
}

static void test_one_fault_at_any_transfer_is_corrected(void **state)
{
    static const ft_fault_kind kinds[] = {FT_FAULT_EIO, FT_FAULT_ENOSPC, FT_FAULT_SHORT, FT_FAULT_ZERO, FT_FAULT_EAGAIN, FT_FAULT_LATE};
    ft_status status;
    int64_t transfers = run_with_fault(FT_FAULT_NONE, 0, 0, &status);
    assert_int_equal(transfers, ROUNDS * 2 * (1 + 1 + 2));  // the drive cuts at 1 MiB
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int64_t nth = 1; nth <= transfers; nth += 2) {
            run_with_fault(kinds[k], nth, 1, &status);
            ok(status);
        }
    }
}

// A read that brings other bytes is repeated; a write that stored other bytes cannot be repaired, and is never taken for data.
static void test_changed_bytes_are_noticed(void **state)
{
    for (ft_fault_kind kind = FT_FAULT_FLIP; kind <= FT_FAULT_MISPLACE; kind++) {
        int corrected = 0, refused = 0;
        for (int64_t nth = 1; nth <= ROUNDS * 2 * 4; nth++) {
            ft_status status;
            run_with_fault(kind, nth, 1, &status);
            assert_true(status == FT_OK || status == FT_E_CORRUPT);
            corrected += status == FT_OK;
            refused += status != FT_OK;
        }
        assert_true(corrected > 0 && refused > 0);
    }
}

static void test_a_drive_that_stays_bad_is_one_clean_error(void **state)
{
    static const ft_fault_kind kinds[] = {FT_FAULT_EIO, FT_FAULT_ENOSPC, FT_FAULT_ZERO, FT_FAULT_FLIP, FT_FAULT_BROKEN};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int64_t nth = 1; nth <= 12; nth += 3) {
            ft_status status;
            run_with_fault(kinds[k], nth, FOR_EVER, &status);
            assert_int_equal(status, kinds[k] == FT_FAULT_FLIP ? FT_E_CORRUPT : FT_E_IO);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_fault_at_any_transfer_is_corrected),
        cmocka_unit_test(test_changed_bytes_are_noticed),
        cmocka_unit_test(test_a_drive_that_stays_bad_is_one_clean_error),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
