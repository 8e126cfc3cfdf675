// The pump: every byte of the range and none beside it, whatever the number of requests; a failure ends it and is told.
#include "drive_support.h"
#include "io/drive_pump.h"
#include "io/fault.h"

enum { UNIT = FT_IO_ALIGN, UNITS = 37 };

static char directory[64];

static int setup(void **state)
{
    snprintf(directory, sizeof directory, "/tmp/ft-pump-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int teardown(void **state)
{
    return ft_remove_tree(directory) != FT_OK;
}

static ft_status run(ft_drive *drive, ft_io_op op, int file, char *buffer, int64_t begin, int64_t end, int64_t piece, int requests)
{
    ft_drive_pump pump = {.drive = drive, .op = op, .file = file, .buffer = buffer, .begin = begin, .end = end, .piece = piece, .requests = requests};
    ft_drive_pump_begin(&pump);
    ft_status status = ft_drive_pump_wait(&pump);
    assert_true(pump.ended_s >= pump.begun_s && pump.begun_s > 0);
    return status;
}

// With as many requests as pieces nothing is overwritten: the buffer then holds the range.
static void reads_the_range(void **state)
{
    make_stamped_file(directory, "range", 7, UNITS * UNIT);
    char *expected = aligned_buffer(UNITS * UNIT), *buffer = aligned_buffer((UNITS + 4) * UNIT);
    stamp(expected, UNITS * UNIT, 7, 0, 0);
    for (int64_t piece = 1; piece <= 4; piece++) {
        int file;
        ft_drive *drive = open_drive(directory, "auto", 4, UNIT);
        assert_ok(ft_drive_open_file(drive, "range", false, &file));
        memset(buffer, 0xEE, (UNITS + 4) * UNIT);
        assert_ok(run(drive, FT_IO_READ, file, buffer, 3 * UNIT, UNITS * UNIT, piece * UNIT, FT_PUMP_REQUESTS));
        assert_memory_equal(buffer, expected + 3 * UNIT, (UNITS - 3) * UNIT);
        for (int64_t i = (UNITS - 3) * UNIT; i < (UNITS + 4) * UNIT; i++) assert_int_equal((unsigned char)buffer[i], 0xEE);
        ft_drive_stats stats;
        ft_drive_get_stats(drive, &stats);
        assert_int_equal(stats.bytes_read, (UNITS - 3) * UNIT);
        ft_drive_close(drive);
    }
    free(expected);
    free(buffer);
}

static void writes_each_byte_once_with_any_number_in_flight(void **state)
{
    char *buffer = aligned_buffer(8 * 2 * UNIT), *got;
    size_t bytes;
    memset(buffer, 0x31, 8 * 2 * UNIT);
    for (int requests = 1; requests <= 8; requests++) {
        char name[32], path[128];
        int file;
        ft_drive_stats stats;
        snprintf(name, sizeof name, "written-%d", requests);
        snprintf(path, sizeof path, "%s/%s", directory, name);
        ft_drive *drive = open_drive(directory, "auto", 4, UNIT);
        assert_ok(ft_drive_open_file(drive, name, true, &file));
        assert_ok(run(drive, FT_IO_WRITE, file, buffer, 0, UNITS * UNIT, 2 * UNIT, requests));
        ft_drive_get_stats(drive, &stats);
        assert_int_equal(stats.bytes_written, UNITS * UNIT);
        ft_drive_close(drive);
        assert_ok(ft_file_read(path, 1 << 20, &got, &bytes));
        assert_int_equal(bytes, UNITS * UNIT);
        for (size_t i = 0; i < bytes; i++) assert_int_equal(got[i], 0x31);
        ft_free(got);
    }
    free(buffer);
}

static void a_failure_ends_it(void **state)
{
    make_stamped_file(directory, "failing", 9, UNITS * UNIT);
    char *buffer = aligned_buffer(4 * UNIT);
    int file;
    ft_drive *drive = open_drive(directory, "fault:posix", 4, UNIT);
    assert_ok(ft_drive_open_file(drive, "failing", false, &file));
    ft_fault_clear();
    ft_fault_set(FT_FAULT_EIO, 5, 1);
    assert_int_equal(run(drive, FT_IO_READ, file, buffer, 0, UNITS * UNIT, UNIT, 4), FT_E_IO);
    assert_non_null(strstr(ft_error_message(), "failing"));
    assert_true(ft_fault_requests() < UNITS);
    ft_fault_clear();
    assert_ok(run(drive, FT_IO_READ, file, buffer, 0, UNITS * UNIT, UNIT, 4));
    ft_drive_close(drive);
    free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_range),
        cmocka_unit_test(writes_each_byte_once_with_any_number_in_flight),
        cmocka_unit_test(a_failure_ends_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
