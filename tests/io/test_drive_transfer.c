// A drive moves requests of any size piece by piece, each byte to its place, and says precisely what it could not do.
#include "drive_support.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/fault.h"

#define CHUNK (64 * KIB)
#define FILE_BYTES (2 * MIB + 3 * BLOCK)  // the last piece is short

static void each_engine(void (*check)(const char *engine, const char *directory))
{
    for (int i = 0; real_engine(i) != NULL; i++) {
        if (!engine_available(real_engine(i))) continue;
        char *directory = support_directory();
        check(real_engine(i), directory);
        support_remove(directory);
    }
}

static void check_round_trip(const char *engine, const char *directory)
{
    int file;
    ft_drive *drive = open_drive(directory, engine, 5, CHUNK);
    char *buffer = aligned_buffer(FILE_BYTES);
    assert_ok(ft_drive_open_file(drive, "data", true, &file));
    assert_ok(ft_drive_reserve(drive, file, FILE_BYTES));
    stamp(buffer, FILE_BYTES, 4, 0, 0);
    assert_ok(ft_drive_transfer(drive, FT_IO_WRITE, file, buffer, 0, FILE_BYTES));
    assert_ok(ft_drive_sync(drive, file));
    memset(buffer, 0, FILE_BYTES);
    assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 0, FILE_BYTES));
    assert_int_equal(stamp_mismatch(buffer, FILE_BYTES, 4, 0, 0), -1);
    assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 7 * BLOCK, CHUNK + BLOCK));  // across a piece, off its grid
    assert_int_equal(stamp_mismatch(buffer, CHUNK + BLOCK, 4, 7 * BLOCK, 0), -1);
    ft_drive_close(drive);
    free(buffer);
}

// Two registered buffers; requests lie in one, in the other, across their seam, and in neither.
static void check_registered(const char *engine, const char *directory)
{
    int file;
    make_stamped_file(directory, "data", 5, FILE_BYTES);
    ft_drive *drive = open_drive(directory, engine, 8, CHUNK);
    char *memory = aligned_buffer(8 * CHUNK);
    const struct iovec buffers[] = {{memory + 2 * CHUNK, 2 * CHUNK}, {memory, 2 * CHUNK}};
    assert_ok(ft_drive_register(drive, buffers, 2));
    assert_ok(ft_drive_open_file(drive, "data", false, &file));
    for (int at = 0; at <= 4 * CHUNK; at += CHUNK / 2) {
        assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, memory + at, 3 * BLOCK, 3 * CHUNK));
        assert_int_equal(stamp_mismatch(memory + at, 3 * CHUNK, 5, 3 * BLOCK, 0), -1);
    }
    assert_ok(ft_drive_register(drive, NULL, 0));
    assert_null(strstr(ft_drive_engine(drive), "registered"));
    ft_drive_close(drive);
    free(memory);
}

static void check_many_at_once(const char *engine, const char *directory)
{
    enum { N = 40 };
    static waited_request requests[N];
    int file;
    make_stamped_file(directory, "data", 6, FILE_BYTES);
    ft_drive *drive = open_drive(directory, engine, 4, CHUNK);
    assert_ok(ft_drive_open_file(drive, "data", false, &file));
    char *memory = aligned_buffer(N * 3 * CHUNK);
    for (int i = 0; i < N; i++)
        submit_waited(drive, &requests[i], FT_IO_READ, file, memory + (size_t)i * 3 * CHUNK, i * 11 * BLOCK,
                      (i % 3 + 1) * CHUNK - BLOCK);
    for (int i = 0; i < N; i++) {
        assert_ok(wait_done(&requests[i]));
        size_t bytes = (size_t)(i % 3 + 1) * CHUNK - BLOCK;
        assert_int_equal(stamp_mismatch(memory + (size_t)i * 3 * CHUNK, bytes, 6, (uint64_t)i * 11 * BLOCK, 0), -1);
    }
    ft_drive_close(drive);
    free(memory);
}

static void check_end_of_file(const char *engine, const char *directory)
{
    int file;
    make_stamped_file(directory, "short", 7, 5 * BLOCK);
    char *path = ft_path_join(directory, "short"), *buffer = aligned_buffer(16 * BLOCK);
    assert_int_equal(truncate(path, 4 * BLOCK + 100), 0);  // ends inside a block
    ft_drive *drive = open_drive(directory, engine, 2, 2 * BLOCK);
    assert_ok(ft_drive_open_file(drive, "short", false, &file));
    assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 0, 4 * BLOCK));
    assert_int_equal(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 0, 5 * BLOCK), FT_E_IO);
    assert_message_has(ft_error_message(), path);
    // O_DIRECT goes on at a block's start, the page cache at the byte where the file ended.
    bool direct = strstr(ft_drive_engine(drive), "+direct") != NULL;
    assert_message_has(ft_error_message(), direct ? "at offset 16384" : "at offset 16484");
    assert_message_has(ft_error_message(), "16484 bytes");
    assert_int_equal(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 8 * BLOCK, 2 * BLOCK), FT_E_IO);
    assert_message_has(ft_error_message(), "offset 32768");
    assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, buffer, BLOCK, 2 * BLOCK));  // the drive lives on
    ft_drive_close(drive);
    free(buffer);
    ft_free(path);
}

static void check_stats(const char *engine, const char *directory)
{
    int file;
    ft_drive_stats stats;
    ft_drive *drive = open_drive(directory, engine, 2, CHUNK);
    char *buffer = aligned_buffer(4 * CHUNK);
    assert_ok(ft_drive_open_file(drive, "data", true, &file));
    ft_drive_get_stats(drive, &stats);
    assert_true(stats.requests == 0 && stats.busy_s == 0 && stats.bytes_read == 0);
    assert_ok(ft_drive_transfer(drive, FT_IO_WRITE, file, buffer, 0, 4 * CHUNK));
    assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 0, 3 * CHUNK));
    assert_ok(ft_drive_sync(drive, file));
    ft_drive_get_stats(drive, &stats);
    assert_int_equal(stats.bytes_written, 4 * CHUNK);
    assert_int_equal(stats.bytes_read, 3 * CHUNK);
    assert_int_equal(stats.requests, 3);
    assert_int_equal(stats.retries, 0);
    assert_true(stats.busy_s > 0);
    double busy = stats.busy_s;
    usleep(20000);
    ft_drive_get_stats(drive, &stats);
    assert_true(stats.busy_s == busy);  // an idle drive is not busy
    ft_drive_close(drive);
    free(buffer);
}

static void check_no_allocation(const char *engine, const char *directory)
{
    int file;
    make_stamped_file(directory, "data", 8, FILE_BYTES);
    ft_drive *drive = open_drive(directory, engine, 4, CHUNK);
    char *buffer = aligned_buffer(FILE_BYTES);
    assert_ok(ft_drive_open_file(drive, "data", false, &file));
    int64_t before = ft_memory_allocations();
    for (int i = 0; i < 5; i++) assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 0, FILE_BYTES));
    assert_int_equal(ft_memory_allocations(), before);
    ft_drive_close(drive);
    free(buffer);
}

typedef struct {
    ft_drive *drive;
    int file, left;
    char *buffer;
    sem_t done;
} chain;

// Each completion submits the next request from the drive's own thread.
static void next_link(ft_drive_request *request)
{
    chain *c = request->user;
    if (request->status != FT_OK || --c->left == 0) {
        sem_post(&c->done);
        return;
    }
    request->offset += CHUNK;
    request->buffer = c->buffer + request->offset;
    ft_drive_submit(c->drive, request);
}

static void check_submission_from_a_completion(const char *engine, const char *directory)
{
    make_stamped_file(directory, "data", 9, 16 * CHUNK);
    chain c = {.drive = open_drive(directory, engine, 2, CHUNK / 2), .left = 16, .buffer = aligned_buffer(16 * CHUNK)};
    sem_init(&c.done, 0, 0);
    assert_ok(ft_drive_open_file(c.drive, "data", false, &c.file));
    ft_drive_request request = {.op = FT_IO_READ, .file = c.file, .buffer = c.buffer, .bytes = CHUNK, .complete = next_link,
                                .user = &c};
    ft_drive_submit(c.drive, &request);
    while (sem_wait(&c.done) != 0) continue;
    assert_ok(request.status);
    assert_int_equal(stamp_mismatch(c.buffer, 16 * CHUNK, 9, 0, 0), -1);
    ft_drive_close(c.drive);
    free(c.buffer);
}

static void check_close_finishes_what_was_submitted(const char *engine, const char *directory)
{
    enum { N = 6 };
    static waited_request requests[N];
    int file;
    char *buffer = aligned_buffer(N * 4 * CHUNK), *path = ft_path_join(directory, "data");
    ft_drive *drive = open_drive(directory, engine, 2, CHUNK);
    assert_ok(ft_drive_open_file(drive, "data", true, &file));
    for (int i = 0; i < N; i++)
        submit_waited(drive, &requests[i], FT_IO_WRITE, file, buffer + (size_t)i * 4 * CHUNK, i * 4 * CHUNK, 4 * CHUNK);
    ft_drive_close(drive);
    for (int i = 0; i < N; i++) {
        assert_int_equal(sem_trywait(&requests[i].done), 0);
        assert_ok(requests[i].request.status);
    }
    int64_t bytes;
    assert_ok(ft_path_size(path, &bytes));
    assert_int_equal(bytes, N * 4 * CHUNK);
    ft_free(path);
    free(buffer);
}

// A read of an empty pipe stays in flight; a request submitted meanwhile must not wait for it.
static void new_request_starts_while_another_is_stuck(void **state)
{
    if (!engine_available("io_uring")) skip();
    static waited_request stuck;
    ft_drive_stats stats;
    int slow, fast;
    char *directory = support_directory(), *path = ft_path_join(directory, "pipe"), *buffer = aligned_buffer(2 * BLOCK);
    assert_int_equal(mkfifo(path, 0600), 0);
    make_stamped_file(directory, "data", 10, BLOCK);
    ft_drive *drive = open_drive(directory, "io_uring", 4, CHUNK);
    assert_ok(ft_drive_open_file(drive, "pipe", true, &slow));
    assert_ok(ft_drive_open_file(drive, "data", false, &fast));
    submit_waited(drive, &stuck, FT_IO_READ, slow, buffer, 0, BLOCK);
    for (int i = 0; i < 20; i++) {
        assert_ok(ft_drive_transfer(drive, FT_IO_READ, fast, buffer + BLOCK, 0, BLOCK));
        usleep(1000);  // the thread is back in its wait
    }
    assert_int_equal(stamp_mismatch(buffer + BLOCK, BLOCK, 10, 0, 0), -1);
    assert_int_equal(sem_trywait(&stuck.done), -1);
    ft_drive_get_stats(drive, &stats);
    assert_true(stats.busy_s > 0.02);  // the stuck one kept the drive busy through all 20 pauses
    assert_ok(ft_drive_transfer(drive, FT_IO_WRITE, slow, buffer + BLOCK, 0, BLOCK));
    assert_ok(wait_done(&stuck));
    ft_drive_close(drive);
    free(buffer);
    ft_free(path);
    support_remove(directory);
}

// A child without CAP_IPC_LOCK and with lockable memory for a ring (which some kernels count) but not for a buffer: registration
// is refused, transfers work.
static int run_with_little_lockable_memory(const char *directory)
{
    int file;
    ft_drive *drive;
    char *buffer = aligned_alloc(BLOCK, 64 * CHUNK);
    if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){256 * KIB, 256 * KIB}) != 0 || (geteuid() == 0 && setuid(65534) != 0)) return 77;
    if (ft_drive_open(&drive, directory, &(ft_drive_options){.engine = "io_uring"}) != FT_OK) return 77;
    if (ft_drive_register(drive, &(struct iovec){buffer, 64 * CHUNK}, 1) != FT_OK) return 1;
    if (strstr(ft_drive_engine(drive), "registered") != NULL) return 2;
    if (ft_drive_open_file(drive, "data", false, &file) != FT_OK) return 3;
    if (ft_drive_transfer(drive, FT_IO_READ, file, buffer, 0, 4 * CHUNK) != FT_OK) return 4;
    if (stamp_mismatch(buffer, 4 * CHUNK, 11, 0, 0) != -1) return 5;
    ft_drive_close(drive);
    return 0;
}

static void refused_registration_costs_speed_only(void **state)
{
    if (!engine_available("io_uring")) skip();
    int result;
    char *directory = support_directory();
    make_stamped_file(directory, "data", 11, 4 * CHUNK);
    assert_int_equal(chmod(directory, 0755), 0);
    pid_t child = fork();
    if (child == 0) _exit(run_with_little_lockable_memory(directory));
    assert_int_equal(waitpid(child, &result, 0), child);
    support_remove(directory);
    assert_true(WIFEXITED(result));
    if (WEXITSTATUS(result) == 77) skip();
    assert_int_equal(WEXITSTATUS(result), 0);
}

static int finish_order[8], n_finished;

static void note_order(ft_drive_request *request)
{
    finish_order[n_finished++] = (int)(intptr_t)request->user;
}

// On an engine that serves in order, requests end in the order of their submission, whatever their sizes.
static void requests_are_served_in_order(void **state)
{
    static ft_drive_request requests[8];
    int file;
    char *buffer = aligned_buffer(16 * CHUNK);
    ft_drive *drive = open_drive("/nonexistent", "null", 3, CHUNK);
    assert_ok(ft_drive_open_file(drive, "anything", false, &file));
    n_finished = 0;
    for (int i = 0; i < 8; i++) {
        requests[i] = (ft_drive_request){.op = FT_IO_READ, .file = file, .buffer = buffer, .bytes = i % 2 == 0 ? 16 * CHUNK : BLOCK,
                                         .complete = note_order, .user = (void *)(intptr_t)i};
        ft_drive_submit(drive, &requests[i]);
    }
    ft_drive_close(drive);
    assert_int_equal(n_finished, 8);
    for (int i = 0; i < 8; i++) assert_int_equal(finish_order[i], i);
    free(buffer);
}

static void null_drive_touches_nothing(void **state)
{
    int file;
    ft_drive *drive = open_drive("/nonexistent", "null", 4, CHUNK);
    char *buffer = aligned_buffer(4 * CHUNK);
    assert_ok(ft_drive_open_file(drive, "weights", true, &file));
    assert_ok(ft_drive_reserve(drive, file, 4 * CHUNK));
    assert_ok(ft_drive_transfer(drive, FT_IO_WRITE, file, buffer, 0, 4 * CHUNK));
    assert_ok(ft_drive_sync(drive, file));
    assert_ok(ft_drive_transfer(drive, FT_IO_READ, file, buffer, CHUNK, 4 * CHUNK));
    for (int64_t i = 0; i < 4 * CHUNK / 8; i++) assert_true(((int64_t *)buffer)[i] == CHUNK + 8 * i);
    assert_string_equal(ft_drive_engine(drive), "null");
    ft_drive_close(drive);
    free(buffer);
}

// The engine breaks at its third piece: the request fails once, later ones at once, and closing works.
static void broken_engine_fails_requests_and_closes(void **state)
{
    static waited_request requests[3];
    int file;
    ft_drive *drive = open_drive("/nonexistent", "fault:null", 2, CHUNK);
    char *buffer = aligned_buffer(8 * CHUNK);
    assert_ok(ft_drive_open_file(drive, "weights", true, &file));
    ft_fault_clear();
    ft_fault_set(FT_FAULT_BROKEN, 3, 1);
    for (int i = 0; i < 3; i++) submit_waited(drive, &requests[i], FT_IO_READ, file, buffer, 0, 8 * CHUNK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wait_done(&requests[i]), FT_E_IO);
        assert_message_has(requests[i].request.message, "/nonexistent/weights");
        assert_message_has(requests[i].request.message, "broken as asked");
    }
    assert_int_equal(ft_drive_transfer(drive, FT_IO_READ, file, buffer, 0, BLOCK), FT_E_IO);
    ft_drive_close(drive);
    free(buffer);
}

static void bad_drives_are_refused(void **state)
{
    ft_drive *drive = (ft_drive *)1;
    assert_int_equal(ft_drive_open(&drive, "/nonexistent/dir", &(ft_drive_options){.engine = "posix"}), FT_E_INPUT);
    assert_message_has(ft_error_message(), "/nonexistent/dir");
    assert_null(drive);
    assert_int_equal(ft_drive_open(&drive, "/tmp", &(ft_drive_options){.engine = "bogus"}), FT_E_USAGE);
    assert_message_has(ft_error_message(), "bogus");
    assert_int_equal(ft_drive_open(&drive, "/tmp", &(ft_drive_options){.engine = "null", .depth = -1}), FT_E_USAGE);
    assert_int_equal(ft_drive_open(&drive, "/tmp", &(ft_drive_options){.engine = "null", .chunk_bytes = 5000}), FT_E_USAGE);
    assert_int_equal(ft_drive_open(&drive, "/tmp", &(ft_drive_options){.engine = "null", .chunk_bytes = 128 * MIB}), FT_E_USAGE);
    ft_drive_close(NULL);
}

static void missing_file_and_full_table_are_refused(void **state)
{
    int file;
    char *directory = support_directory();
    ft_drive *drive = open_drive(directory, "auto", 0, 0);
    assert_int_equal(ft_drive_open_file(drive, "absent", false, &file), FT_E_NOT_FOUND);
    assert_message_has(ft_error_message(), "absent");
    for (int i = 0; i < 64; i++) {
        assert_ok(ft_drive_open_file(drive, "present", true, &file));
        assert_int_equal(file, i);
    }
    assert_int_equal(ft_drive_open_file(drive, "present", true, &file), FT_E_INTERNAL);
    assert_string_equal(ft_drive_directory(drive), directory);
    ft_drive_close(drive);
    support_remove(directory);
}

static void reserving_too_much_names_what_is_missing(void **state)
{
    int file;
    int64_t bytes;
    char *directory = support_directory(), *path = ft_path_join(directory, "big");
    ft_drive *drive = open_drive(directory, "auto", 0, 0);
    assert_ok(ft_drive_open_file(drive, "big", true, &file));
    assert_ok(ft_drive_reserve(drive, file, MIB));
    assert_int_equal(ft_drive_reserve(drive, file, (int64_t)1 << 55), FT_E_IO);
    assert_message_has(ft_error_message(), path);
    assert_message_has(ft_error_message(), "no room for");
    assert_ok(ft_drive_reserve(drive, file, BLOCK));  // never shrinks
    assert_ok(ft_path_size(path, &bytes));
    assert_int_equal(bytes, MIB);
    ft_drive_close(drive);
    ft_free(path);
    support_remove(directory);
}

static void every_failed_allocation_is_reported(void **state)
{
    for (int64_t n = 1;; n++) {
        ft_drive *drive;
        ft_memory_fail_after(n);
        ft_status status = ft_drive_open(&drive, "/tmp", &(ft_drive_options){.engine = "posix", .depth = 2});
        ft_memory_fail_after(0);
        if (status == FT_OK) {
            ft_drive_close(drive);
            assert_true(n > 5);
            break;
        }
        assert_int_equal(status, FT_E_NOMEM);
        assert_null(drive);
    }
}

static void bytes_come_back(void **state) { each_engine(check_round_trip); }
static void registered_buffers_are_found_by_address(void **state) { each_engine(check_registered); }
static void many_requests_share_the_depth(void **state) { each_engine(check_many_at_once); }
static void end_of_file_is_an_error(void **state) { each_engine(check_end_of_file); }
static void stats_count_what_was_moved(void **state) { each_engine(check_stats); }
static void transfers_allocate_nothing(void **state) { each_engine(check_no_allocation); }
static void completions_may_submit(void **state) { each_engine(check_submission_from_a_completion); }
static void close_finishes_the_queue(void **state) { each_engine(check_close_finishes_what_was_submitted); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back),
        cmocka_unit_test(registered_buffers_are_found_by_address),
        cmocka_unit_test(many_requests_share_the_depth),
        cmocka_unit_test(end_of_file_is_an_error),
        cmocka_unit_test(stats_count_what_was_moved),
        cmocka_unit_test(transfers_allocate_nothing),
        cmocka_unit_test(completions_may_submit),
        cmocka_unit_test(close_finishes_the_queue),
        cmocka_unit_test(new_request_starts_while_another_is_stuck),
        cmocka_unit_test(refused_registration_costs_speed_only),
        cmocka_unit_test(requests_are_served_in_order),
        cmocka_unit_test(null_drive_touches_nothing),
        cmocka_unit_test(broken_engine_fails_requests_and_closes),
        cmocka_unit_test(bad_drives_are_refused),
        cmocka_unit_test(missing_file_and_full_table_are_refused),
        cmocka_unit_test(reserving_too_much_names_what_is_missing),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
