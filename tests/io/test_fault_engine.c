// The fault engine does exactly the fault it was asked for, to exactly the request it was asked for.
#include "io/fault.h"

#include <errno.h>

#include "support.h"

#define PIECE (4 * BLOCK)
#define DEPTH 8

// The null engine underneath: reads give a pattern of their offset, in the order of submission.
static ft_io_engine *open_engine(const char *name)
{
    ft_io_engine *engine;
    ft_fault_clear();
    assert_ok(ft_io_engine_open(&engine, name, &(ft_io_options){.depth = DEPTH}));
    return engine;
}

static ft_io_request read_request(void *buffer, int64_t offset)
{
    return (ft_io_request){.op = FT_IO_READ, .fd = -1, .buffer = buffer, .buffer_index = -1, .bytes = PIECE, .offset = offset,
                           .user = buffer};
}

static void move(ft_io_engine *engine, ft_io_request *request)
{
    ft_io_request before = *request, *done;
    assert_ok(engine->row->submit(engine, &request, 1));
    assert_int_equal(engine->row->reap(engine, &done, 1, true), 1);
    assert_ptr_equal(done, request);
    assert_int_equal(done->bytes, before.bytes);  // what was bent is straight again
    assert_int_equal(done->offset, before.offset);
    assert_ptr_equal(done->user, before.user);
}

static int differing_bits(const uint64_t *words, size_t bytes, uint64_t offset)
{
    int bits = 0;
    for (size_t i = 0; i < bytes / 8; i++) bits += __builtin_popcountll(words[i] ^ (offset + 8 * i));
    return bits;
}

static void errors_come_at_the_chosen_request(void **state)
{
    static const struct { ft_fault_kind kind; int result; } cases[] = {
        {FT_FAULT_EIO, -EIO}, {FT_FAULT_EAGAIN, -EAGAIN}, {FT_FAULT_EINTR, -EINTR}, {FT_FAULT_ZERO, 0}, {FT_FAULT_SHORT, PIECE / 2},
    };
    void *buffer = aligned_buffer(PIECE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ft_io_engine *engine = open_engine("fault:null");
        ft_fault_set(cases[i].kind, 3, 2);  // requests 3 and 4
        for (int number = 1; number <= 6; number++) {
            ft_io_request request = read_request(buffer, 0);
            move(engine, &request);
            assert_int_equal(request.result, number == 3 || number == 4 ? cases[i].result : PIECE);
        }
        assert_int_equal(ft_fault_requests(), 6);
        engine->row->close(engine);
    }
    free(buffer);
}

static void kinds_leave_other_requests_alone(void **state)
{
    void *buffer = aligned_buffer(PIECE);
    ft_io_engine *engine = open_engine("fault:null");
    ft_io_request request = read_request(buffer, 0);
    ft_fault_set(FT_FAULT_ENOSPC, 1, 2);
    move(engine, &request);
    assert_int_equal(request.result, PIECE);  // a read needs no space
    request.op = FT_IO_WRITE;
    move(engine, &request);
    assert_int_equal(request.result, -ENOSPC);
    ft_fault_set(FT_FAULT_SHORT, 1, 1);
    request.bytes = BLOCK;
    move(engine, &request);
    assert_int_equal(request.result, BLOCK);  // one block cannot be short
    ft_io_request sync = {.op = FT_IO_FSYNC, .fd = -1};
    ft_fault_set(FT_FAULT_FLIP, 1, 1);
    move(engine, &sync);
    assert_int_equal(sync.result, 0);
    ft_fault_set(FT_FAULT_EIO, 1, 1);
    move(engine, &sync);
    assert_int_equal(sync.result, -EIO);
    engine->row->close(engine);
    free(buffer);
}

static void flip_changes_one_bit(void **state)
{
    void *buffer = aligned_buffer(PIECE);
    ft_io_engine *engine = open_engine("fault:null");
    ft_fault_set(FT_FAULT_FLIP, 1, 1);
    ft_io_request request = read_request(buffer, PIECE);
    move(engine, &request);
    assert_int_equal(differing_bits(buffer, PIECE, PIECE), 1);
    move(engine, &request);
    assert_int_equal(differing_bits(buffer, PIECE, PIECE), 0);
    ft_fault_set(FT_FAULT_FLIP, 1, 1);
    request.op = FT_IO_WRITE;
    move(engine, &request);
    assert_int_equal(differing_bits(buffer, PIECE, PIECE), 0);  // the caller's bytes are whole again
    engine->row->close(engine);
    free(buffer);
}

static void misplace_gives_the_neighbour(void **state)
{
    void *buffer = aligned_buffer(PIECE);
    ft_io_engine *engine = open_engine("fault:null");
    ft_fault_set(FT_FAULT_MISPLACE, 1, 2);
    ft_io_request request = read_request(buffer, 8 * BLOCK);
    move(engine, &request);
    assert_int_equal(differing_bits(buffer, PIECE, 7 * BLOCK), 0);
    request = read_request(buffer, 0);
    move(engine, &request);
    assert_int_equal(differing_bits(buffer, PIECE, BLOCK), 0);
    engine->row->close(engine);
    free(buffer);
}

// Submits n reads at once and stores the order they come back in.
static void order_of(ft_io_engine *engine, int n, int *order)
{
    ft_io_request requests[DEPTH], *pointers[DEPTH], *done[DEPTH];
    char *buffer = aligned_buffer((size_t)n * PIECE);
    for (int i = 0; i < n; i++) {
        requests[i] = read_request(buffer + (size_t)i * PIECE, (int64_t)i * PIECE);
        pointers[i] = &requests[i];
    }
    assert_ok(engine->row->submit(engine, pointers, n));
    for (int got = 0; got < n;) {
        int count = engine->row->reap(engine, done, DEPTH, true);
        assert_true(count >= 1);
        for (int i = 0; i < count; i++) order[got++] = (int)(done[i] - requests);
    }
    for (int i = 0; i < n; i++)
        assert_int_equal(differing_bits((uint64_t *)(buffer + (size_t)i * PIECE), PIECE, (uint64_t)i * PIECE), 0);
    free(buffer);
}

static void late_waits_for_two_later_ones(void **state)
{
    int order[4];
    ft_io_engine *engine = open_engine("fault:null");
    ft_fault_set(FT_FAULT_LATE, 1, 1);
    order_of(engine, 4, order);
    static const int expected[] = {1, 2, 0, 3};
    assert_memory_equal(order, expected, sizeof expected);
    ft_fault_set(FT_FAULT_LATE, 4, 1);  // nothing follows: it may not be held for ever
    order_of(engine, 4, order);
    assert_int_equal(order[3], 3);
    engine->row->close(engine);
}

static void reorder_swaps_with_the_successor(void **state)
{
    int order[4];
    ft_io_engine *engine = open_engine("fault:null");
    ft_fault_set(FT_FAULT_REORDER, 2, 1);
    order_of(engine, 4, order);
    static const int expected[] = {0, 2, 1, 3};
    assert_memory_equal(order, expected, sizeof expected);
    ft_fault_set(FT_FAULT_REORDER, 1, 4);  // all held: released one by one
    order_of(engine, 4, order);
    engine->row->close(engine);
}

static void broken_engine_fails_submit(void **state)
{
    void *buffer = aligned_buffer(PIECE);
    ft_io_engine *engine = open_engine("fault:null");
    ft_io_request request = read_request(buffer, 0), *pointer = &request;
    ft_fault_set(FT_FAULT_BROKEN, 1, 1);
    assert_int_equal(engine->row->submit(engine, &pointer, 1), FT_E_IO);
    engine->row->close(engine);
    free(buffer);
}

// A string with the result of each of 200 requests: the faults of a spec.
static void faults_of(const char *name, char results[201])
{
    void *buffer = aligned_buffer(PIECE);
    ft_io_engine *engine = open_engine(name);
    for (int i = 0; i < 200; i++) {
        ft_io_request request = read_request(buffer, PIECE);
        move(engine, &request);
        bool flipped = differing_bits(buffer, PIECE, PIECE) == 1;
        results[i] = request.result == -EIO ? 'e' : request.result < PIECE ? 's' : flipped ? 'f' : '.';
    }
    results[200] = 0;
    engine->row->close(engine);
    free(buffer);
}

static int count(const char *text, char wanted)
{
    int n = 0;
    for (; *text != 0; text++) n += *text == wanted;
    return n;
}

static void seed_decides_the_faults(void **state)
{
    char a[201], b[201], c[201];
    faults_of("fault:null,seed=7,eio=0.1,short=0.2,flip=0.3", a);
    faults_of("fault:null,seed=7,eio=0.1,short=0.2,flip=0.3", b);
    faults_of("fault:null,seed=8,eio=0.1,short=0.2,flip=0.3", c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    assert_in_range(count(a, 'e'), 8, 36);  // 20, 40 and 60 expected; five standard deviations are about 21, 28 and 32
    assert_in_range(count(a, 's'), 16, 68);
    assert_in_range(count(a, 'f'), 28, 92);
}

static void probability_one_hits_every_request(void **state)
{
    char results[201];
    faults_of("fault:null,eio=1", results);
    assert_int_equal(count(results, 'e'), 200);
    faults_of("fault:null,eio=0", results);
    assert_int_equal(count(results, '.'), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_come_at_the_chosen_request), cmocka_unit_test(kinds_leave_other_requests_alone),
        cmocka_unit_test(flip_changes_one_bit),              cmocka_unit_test(misplace_gives_the_neighbour),
        cmocka_unit_test(late_waits_for_two_later_ones),     cmocka_unit_test(reorder_swaps_with_the_successor),
        cmocka_unit_test(broken_engine_fails_submit),        cmocka_unit_test(seed_decides_the_faults),
        cmocka_unit_test(probability_one_hits_every_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
