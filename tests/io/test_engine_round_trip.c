// Every engine moves every block to and from its own place, reports what the system said, and can be woken.
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "common/log.h"

#define DEPTH 8
#define PIECE (64 * KIB)
#define PIECES 32
#define FILE_BYTES (PIECES * PIECE)

typedef struct {
    ft_io_engine *engine;
    char *directory, *path;
    int fd;
    char *memory;
} fixture;

static void set_up(fixture *f, const char *name)
{
    bool direct;
    f->directory = support_directory();
    f->path = ft_path_join(f->directory, "data");
    f->fd = ft_io_open_file(f->path, O_RDWR | O_CREAT, &direct);
    assert_true(f->fd >= 0);
    f->memory = aligned_buffer(FILE_BYTES);
    assert_ok(ft_io_engine_open(&f->engine, name, &(ft_io_options){.depth = DEPTH}));
}

static void tear_down(fixture *f)
{
    f->engine->row->close(f->engine);
    close(f->fd);
    free(f->memory);
    ft_free(f->path);
    support_remove(f->directory);
}

static ft_io_request piece_request(const fixture *f, ft_io_op op, int piece, int buffer_index)
{
    return (ft_io_request){.op = op, .fd = f->fd, .buffer = f->memory + (size_t)piece * PIECE, .buffer_index = buffer_index,
                           .bytes = PIECE, .offset = (int64_t)piece * PIECE};
}

// All pieces in the order 0, 7, 14, ... (mod PIECES), at most DEPTH in flight; each must come back exactly once, whole.
static void move_all(fixture *f, ft_io_op op, int buffer_index)
{
    ft_io_request requests[PIECES], *done[DEPTH];
    int started = 0, finished = 0, seen[PIECES] = {0};
    while (finished < PIECES) {
        while (started < PIECES && started - finished < DEPTH) {
            ft_io_request *next = &requests[started];
            *next = piece_request(f, op, started * 7 % PIECES, buffer_index);
            next->user = &seen[started++];
            assert_ok(f->engine->row->submit(f->engine, &next, 1));
        }
        int n = f->engine->row->reap(f->engine, done, DEPTH, true);
        assert_true(n >= 1);
        for (int i = 0; i < n; i++) {
            assert_int_equal(done[i]->result, PIECE);
            assert_int_equal((*(int *)done[i]->user)++, 0);
        }
        finished += n;
    }
    assert_int_equal(f->engine->row->reap(f->engine, done, DEPTH, true), 0);  // nothing is in flight: no wait
}

static int32_t move_one(fixture *f, ft_io_request request)
{
    ft_io_request *submitted = &request, *done = NULL;
    assert_ok(f->engine->row->submit(f->engine, &submitted, 1));
    while (f->engine->row->reap(f->engine, &done, 1, true) == 0) continue;
    assert_ptr_equal(done, submitted);
    return done->result;
}

static void round_trip(const char *name)
{
    fixture f;
    set_up(&f, name);
    stamp(f.memory, FILE_BYTES, 1, 0, 1);
    move_all(&f, FT_IO_WRITE, -1);
    assert_int_equal(move_one(&f, (ft_io_request){.op = FT_IO_FSYNC, .fd = f.fd}), 0);
    memset(f.memory, 0, FILE_BYTES);
    move_all(&f, FT_IO_READ, -1);
    assert_int_equal(stamp_mismatch(f.memory, FILE_BYTES, 1, 0, 1), -1);
    tear_down(&f);
}

static void registered_round_trip(const char *name)
{
    fixture f;
    set_up(&f, name);
    struct iovec buffer = {f.memory, FILE_BYTES};
    ft_status status = f.engine->row->register_buffers(f.engine, &buffer, 1);
    bool promised = f.engine->caps & FT_IO_CAP_REGISTERED;
    assert_true(promised ? status == FT_OK || status == FT_E_UNSUPPORTED : status == FT_E_UNSUPPORTED);
    if (status == FT_OK) {
        stamp(f.memory, FILE_BYTES, 2, 0, 1);
        move_all(&f, FT_IO_WRITE, 0);
        memset(f.memory, 0, FILE_BYTES);
        assert_ok(f.engine->row->register_buffers(f.engine, &buffer, 1));  // replaces the table
        move_all(&f, FT_IO_READ, 0);
        assert_int_equal(stamp_mismatch(f.memory, FILE_BYTES, 2, 0, 1), -1);
    }
    tear_down(&f);
}

static void result_is_what_the_system_said(const char *name)
{
    fixture f;
    set_up(&f, name);
    ft_io_request request = piece_request(&f, FT_IO_WRITE, 0, -1);
    assert_int_equal(move_one(&f, request), PIECE);
    request.op = FT_IO_READ;
    request.offset = PIECE - BLOCK;
    assert_int_equal(move_one(&f, request), BLOCK);  // short at the end of the file
    request.offset = PIECE;
    assert_int_equal(move_one(&f, request), 0);
    request.fd = -1;
    assert_int_equal(move_one(&f, request), -EBADF);
    tear_down(&f);
}

// `done` may be smaller than what has finished: the rest stays for the next call.
static void reap_keeps_what_does_not_fit(const char *name)
{
    fixture f;
    set_up(&f, name);
    ft_io_request requests[DEPTH], *pointers[DEPTH], *done[DEPTH];
    for (int i = 0; i < DEPTH; i++) {
        requests[i] = piece_request(&f, FT_IO_WRITE, i, -1);
        pointers[i] = &requests[i];
    }
    assert_ok(f.engine->row->submit(f.engine, pointers, DEPTH));
    for (int i = 0; i < DEPTH; i++) assert_int_equal(f.engine->row->reap(f.engine, done, 1, true), 1);
    assert_int_equal(f.engine->row->reap(f.engine, done, DEPTH, false), 0);
    tear_down(&f);
}

static void closing_waits_for_what_is_in_flight(const char *name)
{
    fixture f;
    set_up(&f, name);
    stamp(f.memory, FILE_BYTES, 3, 0, 1);
    ft_io_request requests[DEPTH], *pointers[DEPTH];
    for (int i = 0; i < DEPTH; i++) {
        requests[i] = piece_request(&f, FT_IO_WRITE, i, -1);
        pointers[i] = &requests[i];
    }
    assert_ok(f.engine->row->submit(f.engine, pointers, DEPTH));
    f.engine->row->close(f.engine);
    memset(f.memory, 0, FILE_BYTES);
    assert_int_equal(pread(f.fd, f.memory, DEPTH * PIECE, 0), DEPTH * PIECE);
    assert_int_equal(stamp_mismatch(f.memory, DEPTH * PIECE, 3, 0, 1), -1);
    assert_ok(ft_io_engine_open(&f.engine, name, &(ft_io_options){.depth = DEPTH}));
    tear_down(&f);
}

static void *wake_often(void *context)
{
    ft_io_engine *engine = context;
    for (int i = 0; i < 2000; i++) engine->row->wake(engine);
    return NULL;
}

static void wakes_lose_no_completion(const char *name)
{
    fixture f;
    pthread_t waker;
    set_up(&f, name);
    pthread_create(&waker, NULL, wake_often, f.engine);
    ft_io_request requests[PIECES], *done;
    int finished = 0;
    for (int i = 0; i < PIECES; i++) {
        requests[i] = piece_request(&f, FT_IO_WRITE, i, -1);
        ft_io_request *next = &requests[i];
        assert_ok(f.engine->row->submit(f.engine, &next, 1));
        int n = f.engine->row->reap(f.engine, &done, 1, true);
        while (n == 0) n = f.engine->row->reap(f.engine, &done, 1, true);
        assert_ptr_equal(done, next);
        finished += n;
    }
    assert_int_equal(finished, PIECES);
    pthread_join(waker, NULL);
    tear_down(&f);
}

static void *wake_once(void *context)
{
    ft_io_engine *engine = context;
    usleep(20000);
    engine->row->wake(engine);
    return NULL;
}

// A read of an empty pipe never ends by itself (io_uring only: pread refuses pipes).
static void wake_cuts_a_wait_short(void **state)
{
    ft_io_engine *engine;
    if (!engine_available("io_uring")) skip();
    assert_ok(ft_io_engine_open(&engine, "io_uring", &(ft_io_options){.depth = 2}));
    int ends[2];
    char byte = 0, byte2 = 0;
    assert_int_equal(pipe(ends), 0);
    ft_io_request request = {.op = FT_IO_READ, .fd = ends[0], .buffer = &byte, .buffer_index = -1, .bytes = 1};
    ft_io_request second = {.op = FT_IO_READ, .fd = ends[0], .buffer = &byte2, .buffer_index = -1, .bytes = 1};
    ft_io_request *pointer = &request, *pointer2 = &second, *done;
    assert_ok(engine->row->submit(engine, &pointer, 1));
    for (int round = 0; round < 3; round++) {
        pthread_t waker;
        double start = ft_now_s();
        pthread_create(&waker, NULL, wake_once, engine);
        assert_int_equal(engine->row->reap(engine, &done, 1, true), 0);
        assert_true(ft_now_s() - start > 0.015);  // it slept until then
        pthread_join(waker, NULL);
    }
    assert_ok(engine->row->submit(engine, &pointer2, 1));
    engine->row->wake(engine);  // before the wait, and seen by a reap that does not wait: still cuts the next wait short
    assert_int_equal(engine->row->reap(engine, &done, 1, false), 0);
    assert_int_equal(engine->row->reap(engine, &done, 1, true), 0);
    assert_int_equal(write(ends[1], "xx", 2), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(engine->row->reap(engine, &done, 1, true), 1);
        assert_int_equal(done->result, 1);
    }
    assert_true(byte == 'x' && byte2 == 'x');
    engine->row->close(engine);
    close(ends[0]);
    close(ends[1]);
}

// At every alignment of both ends, and not a byte beyond.
static void null_engine_reads_its_pattern(void **state)
{
    ft_io_engine *engine;
    assert_ok(ft_io_engine_open(&engine, "null", &(ft_io_options){.depth = 2}));
    assert_true(engine->caps & FT_IO_CAP_NO_DATA);
    for (uint32_t n = 0; n < 24 * 8; n++) {
        unsigned char bytes[32];
        uint64_t start = 0x123456789ff8 + n % 8;
        memset(bytes, 0xEE, sizeof bytes);
        ft_io_request request = {.op = FT_IO_READ, .fd = -1, .buffer = bytes, .buffer_index = -1, .bytes = n / 8,
                                 .offset = (int64_t)start};
        ft_io_request *pointer = &request, *done;
        assert_ok(engine->row->submit(engine, &pointer, 1));
        assert_int_equal(engine->row->reap(engine, &done, 1, true), 1);
        assert_int_equal(done->result, n / 8);
        for (uint32_t i = 0; i < sizeof bytes; i++) {
            uint64_t offset = start + i;
            assert_int_equal(bytes[i], i < n / 8 ? (offset & ~7ull) >> offset % 8 * 8 & 0xff : 0xEE);
        }
    }
    engine->row->close(engine);
}

// Each alone, and behind the fault engine without faults.
static void each_engine(void (*check)(const char *))
{
    for (int i = 0; real_engine(i) != NULL; i++) {
        char wrapped[64];
        if (!engine_available(real_engine(i))) continue;
        check(real_engine(i));
        snprintf(wrapped, sizeof wrapped, "fault:%s", real_engine(i));
        check(wrapped);
    }
}

static void every_block_comes_back(void **state) { each_engine(round_trip); }
static void every_block_comes_back_registered(void **state) { each_engine(registered_round_trip); }
static void results_are_passed_on(void **state) { each_engine(result_is_what_the_system_said); }
static void small_reaps_lose_nothing(void **state) { each_engine(reap_keeps_what_does_not_fit); }
static void close_waits(void **state) { each_engine(closing_waits_for_what_is_in_flight); }
static void many_wakes(void **state) { each_engine(wakes_lose_no_completion); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_comes_back), cmocka_unit_test(every_block_comes_back_registered),
        cmocka_unit_test(results_are_passed_on),  cmocka_unit_test(small_reaps_lose_nothing),
        cmocka_unit_test(close_waits),            cmocka_unit_test(many_wakes),
        cmocka_unit_test(wake_cuts_a_wait_short), cmocka_unit_test(null_engine_reads_its_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
