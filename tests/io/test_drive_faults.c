// Every kind of fault at every transfer of a request in turn: the bytes are right, or there is one clear error, or the damage is
// of the sort only a hash can see, and the stamps see it.
#include "drive_support.h"

#include "common/log.h"
#include "io/fault.h"

#define CHUNK (16 * KIB)
#define PIECES 9
#define BYTES (PIECES * CHUNK)

typedef enum { HARMLESS, ERROR, DAMAGE } outcome;

static const struct {
    ft_fault_kind kind;
    outcome read, write;
    const char *message;
} cases[] = {
    {FT_FAULT_NONE, HARMLESS, HARMLESS, NULL},
    {FT_FAULT_SHORT, HARMLESS, HARMLESS, NULL},
    {FT_FAULT_EAGAIN, HARMLESS, HARMLESS, NULL},
    {FT_FAULT_EINTR, HARMLESS, HARMLESS, NULL},
    {FT_FAULT_LATE, HARMLESS, HARMLESS, NULL},
    {FT_FAULT_REORDER, HARMLESS, HARMLESS, NULL},
    {FT_FAULT_EIO, ERROR, ERROR, "Input/output error"},
    {FT_FAULT_ENOSPC, HARMLESS, ERROR, "No space left"},
    {FT_FAULT_ZERO, ERROR, ERROR, "no "},  // "no data there" or "no bytes were moved"
    {FT_FAULT_FLIP, DAMAGE, DAMAGE, NULL},
    {FT_FAULT_MISPLACE, DAMAGE, DAMAGE, NULL},
};

typedef struct {
    char *directory, *buffer;
    ft_drive *drive;
    int file;
} fixture;

static void set_up(fixture *f, const char *engine)
{
    char name[64];
    snprintf(name, sizeof name, "fault:%s", engine);
    ft_fault_clear();
    f->directory = support_directory();
    make_stamped_file(f->directory, "data", 1, BYTES);
    f->buffer = aligned_buffer(BYTES);
    f->drive = open_drive(f->directory, name, 3, CHUNK);
    assert_ok(ft_drive_open_file(f->drive, "data", true, &f->file));
}

static void tear_down(fixture *f)
{
    ft_fault_clear();
    ft_drive_close(f->drive);
    free(f->buffer);
    support_remove(f->directory);
}

static void check_error(const fixture *f, ft_status status, const char *op, const char *message)
{
    assert_int_equal(status, FT_E_IO);
    assert_message_has(ft_error_message(), f->directory);
    assert_message_has(ft_error_message(), "/data: ");
    assert_message_has(ft_error_message(), op);
    assert_message_has(ft_error_message(), message);
}

// Where the damage is: within the piece the fault hit (or the block before or after it, where a misplaced write went).
static void check_damage(int64_t mismatch, int64_t piece)
{
    assert_true(mismatch >= 0);
    assert_in_range(mismatch, piece * CHUNK - (piece > 0 ? BLOCK : 0), (piece + 1) * CHUNK + BLOCK - 1);
}

static void check_read(fixture *f, int64_t nth, size_t i)
{
    memset(f->buffer, 0xEE, BYTES);
    ft_fault_clear();
    ft_fault_set(cases[i].kind, nth, 1);
    ft_status status = ft_drive_transfer(f->drive, FT_IO_READ, f->file, f->buffer, 0, BYTES);
    ft_fault_clear();
    int64_t mismatch = stamp_mismatch(f->buffer, BYTES, 1, 0, 0);
    if (cases[i].read == ERROR) {
        check_error(f, status, "read", cases[i].message);
        return;
    }
    assert_ok(status);
    if (cases[i].read == HARMLESS) assert_int_equal(mismatch, -1);
    else check_damage(mismatch, nth - 1);
}

static void check_write(fixture *f, int64_t nth, size_t i)
{
    stamp(f->buffer, BYTES, 1, 0, 0);
    ft_fault_clear();
    ft_fault_set(cases[i].kind, nth, 1);
    ft_status status = ft_drive_transfer(f->drive, FT_IO_WRITE, f->file, f->buffer, 0, BYTES);
    ft_fault_clear();
    assert_int_equal(stamp_mismatch(f->buffer, BYTES, 1, 0, 0), -1);
    if (cases[i].write == ERROR) {
        check_error(f, status, "write", cases[i].message);
        return;
    }
    assert_ok(status);
    assert_ok(ft_drive_transfer(f->drive, FT_IO_READ, f->file, f->buffer, 0, BYTES));
    int64_t mismatch = stamp_mismatch(f->buffer, BYTES, 1, 0, 0);
    if (cases[i].write == HARMLESS) assert_int_equal(mismatch, -1);
    else check_damage(mismatch, nth - 1);
}

// Before a write the file holds other stamps, so a piece that was not written shows.
static void blank_file(fixture *f)
{
    memset(f->buffer, 0xDD, BYTES);
    assert_ok(ft_drive_transfer(f->drive, FT_IO_WRITE, f->file, f->buffer, 0, BYTES));
}

static void sweep(const char *engine)
{
    fixture f;
    if (!engine_available(engine)) return;
    set_up(&f, engine);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int64_t nth = 1; nth <= PIECES; nth++) check_read(&f, nth, i);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int64_t nth = 1; nth <= PIECES; nth++) {
            blank_file(&f);
            check_write(&f, nth, i);
        }
    }
    tear_down(&f);
}

static void every_fault_at_every_transfer_io_uring(void **state) { sweep("io_uring"); }
static void every_fault_at_every_transfer_posix(void **state) { sweep("posix"); }

// Halved again and again: 16 KiB, 8, 4, then the rest; every remainder is continued.
static void repeated_short_transfers_end(void **state)
{
    fixture f;
    ft_drive_stats stats;
    set_up(&f, "posix");
    ft_fault_set(FT_FAULT_SHORT, 1, 1000);
    assert_ok(ft_drive_transfer(f.drive, FT_IO_READ, f.file, f.buffer, 0, BYTES));
    assert_int_equal(stamp_mismatch(f.buffer, BYTES, 1, 0, 0), -1);
    ft_drive_get_stats(f.drive, &stats);
    assert_int_equal(stats.short_transfers, 2 * PIECES);  // 16 -> 8 -> 4 -> 0 KiB left
    assert_int_equal(stats.bytes_read, BYTES);
    tear_down(&f);
}

static void endless_eagain_ends_in_an_error(void **state)
{
    static const ft_fault_kind kinds[] = {FT_FAULT_EAGAIN, FT_FAULT_EINTR};
    for (int i = 0; i < 2; i++) {
        fixture f;
        ft_drive_stats stats;
        set_up(&f, "posix");
        ft_fault_set(kinds[i], 1, 1000000);
        double start = ft_now_s();
        ft_status status = ft_drive_transfer(f.drive, FT_IO_READ, f.file, f.buffer, 0, CHUNK);
        check_error(&f, status, "read", i == 0 ? "temporarily unavailable" : "Interrupted");
        ft_drive_get_stats(f.drive, &stats);
        assert_in_range(stats.retries, 10, 1000);
        assert_true(ft_now_s() - start < 5);
        ft_fault_clear();
        assert_ok(ft_drive_transfer(f.drive, FT_IO_READ, f.file, f.buffer, 0, BYTES));
        assert_int_equal(stamp_mismatch(f.buffer, BYTES, 1, 0, 0), -1);
        tear_down(&f);
    }
}

static void failed_request_leaves_its_neighbours_alone(void **state)
{
    static waited_request requests[3];
    fixture f;
    set_up(&f, "posix");
    ft_fault_set(FT_FAULT_EIO, 5, 1);  // the second piece of the second request
    for (int i = 0; i < 3; i++)
        submit_waited(f.drive, &requests[i], FT_IO_READ, f.file, f.buffer + i * 3 * CHUNK, i * 3 * CHUNK, 3 * CHUNK);
    assert_ok(wait_done(&requests[0]));
    assert_int_equal(wait_done(&requests[1]), FT_E_IO);
    assert_message_has(requests[1].request.message, "offset 65536");
    assert_ok(wait_done(&requests[2]));
    assert_int_equal(stamp_mismatch(f.buffer, 3 * CHUNK, 1, 0, 0), -1);
    assert_int_equal(stamp_mismatch(f.buffer + 6 * CHUNK, 3 * CHUNK, 1, 6 * CHUNK, 0), -1);
    tear_down(&f);
}

static void failed_sync_is_an_error(void **state)
{
    fixture f;
    set_up(&f, "posix");
    ft_fault_set(FT_FAULT_EIO, 1, 1);
    check_error(&f, ft_drive_sync(f.drive, f.file), "fsync", "Input/output error");
    assert_ok(ft_drive_sync(f.drive, f.file));
    tear_down(&f);
}

static void random_harmless_faults_change_nothing(void **state)
{
    int file;
    char *directory = support_directory(), *buffer = aligned_buffer(BYTES);
    ft_drive_stats stats;
    make_stamped_file(directory, "data", 1, BYTES);
    ft_fault_clear();
    ft_drive *drive = open_drive(directory, "fault:posix,seed=3,short=0.2,eagain=0.1,eintr=0.1,late=0.2,reorder=0.2", 5, CHUNK);
    assert_ok(ft_drive_open_file(drive, "data", false, &file));
    for (int i = 0; i < 50; i++) {
        memset(buffer, 0, BYTES);
        assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 0, BYTES));
        assert_int_equal(stamp_mismatch(buffer, BYTES, 1, 0, 0), -1);
    }
    ft_drive_get_stats(drive, &stats);
    assert_true(stats.retries > 50 && stats.short_transfers > 50);
    ft_drive_close(drive);
    free(buffer);
    support_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_at_every_transfer_io_uring),
        cmocka_unit_test(every_fault_at_every_transfer_posix),
        cmocka_unit_test(repeated_short_transfers_end),
        cmocka_unit_test(endless_eagain_ends_in_an_error),
        cmocka_unit_test(failed_request_leaves_its_neighbours_alone),
        cmocka_unit_test(failed_sync_is_an_error),
        cmocka_unit_test(random_harmless_faults_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
