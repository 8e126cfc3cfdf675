// Queues keep their order, and events order queues: the work an event covers is done before what waits for it starts.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/memory.h"
#include "device/device.h"

enum { BIG = 32 << 20 };  // a copy that takes milliseconds

typedef struct {
    ft_device *device;
    ft_queue *compute, *in, *out;
    ft_event *event;
    unsigned char *a, *b;  // BIG bytes each
} fixture;

static int setup(void **state)
{
    fixture *f = FT_NEW(fixture);
    assert_int_equal(ft_device_open(&f->device, "cpu", 0), FT_OK);
    assert_int_equal(ft_queue_create(f->device, FT_QUEUE_COMPUTE, "compute", &f->compute), FT_OK);
    assert_int_equal(ft_queue_create(f->device, FT_QUEUE_COPY, "in", &f->in), FT_OK);
    assert_int_equal(ft_queue_create(f->device, FT_QUEUE_COPY, "out", &f->out), FT_OK);
    assert_int_equal(ft_event_create(f->device, &f->event), FT_OK);
    assert_int_equal(ft_device_alloc(f->device, BIG, (void **)&f->a), FT_OK);
    assert_int_equal(ft_device_alloc(f->device, BIG, (void **)&f->b), FT_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    ft_event_destroy(f->event);
    ft_queue_destroy(f->compute);
    ft_queue_destroy(f->in);
    ft_queue_destroy(f->out);
    ft_device_free(f->device, f->a);
    ft_device_free(f->device, f->b);
    ft_device_close(f->device);
    ft_free(f);
    return 0;
}

static void events_of_a_compute_queue_tell_the_time_between(void **state)
{
    fixture *f = *state;
    double seconds = -1, apart = -1;
    ft_event *end;
    assert_int_equal(ft_event_create(f->device, &end), FT_OK);
    assert_int_equal(ft_event_record(f->event, f->compute), FT_OK);
    assert_int_equal(ft_event_elapsed(f->event, end, &seconds), FT_E_INTERNAL);
    assert_int_equal(ft_fill(f->compute, f->a, 1, BIG), FT_OK);
    assert_int_equal(ft_event_record(end, f->compute), FT_OK);
    assert_int_equal(ft_event_elapsed(f->event, end, &seconds), FT_OK);
    assert_true(seconds > BIG / 1e12 && seconds < 10);
    assert_int_equal(ft_event_elapsed(f->event, f->event, &apart), FT_OK);
    assert_true(apart == 0);
    ft_event_destroy(end);
}

static void a_compute_queue_is_done_when_the_call_returns(void **state)
{
    fixture *f = *state;
    bool done = false;
    assert_int_equal(ft_fill(f->compute, f->a, 7, 100), FT_OK);
    assert_int_equal(f->a[99], 7);
    assert_int_equal(ft_copy_d2d(f->compute, f->b, f->a, 100), FT_OK);
    assert_int_equal(f->b[99], 7);
    assert_int_equal(ft_event_record(f->event, f->compute), FT_OK);
    assert_int_equal(ft_event_query(f->event, &done), FT_OK);
    assert_true(done);
}

static void a_copy_queue_keeps_its_order(void **state)
{
    fixture *f = *state;
    // Each step overwrites what the one before wrote; a swapped pair would show in the last byte.
    for (int i = 1; i <= 3000; i++) {
        assert_int_equal(ft_fill(f->in, f->a, i & 0xFF, 512), FT_OK);
        assert_int_equal(ft_copy_h2d(f->in, f->b + i, f->a, 512), FT_OK);
    }
    assert_int_equal(ft_queue_sync(f->in), FT_OK);
    for (int i = 1; i <= 3000; i++) assert_int_equal(f->b[i], i & 0xFF);
    assert_int_equal(f->b[3511], 3000 & 0xFF);
}

static void a_copy_queue_waits_for_an_event_of_another(void **state)
{
    fixture *f = *state;
    for (int round = 1; round <= 4; round++) {
        assert_int_equal(ft_fill(f->in, f->a, round, BIG), FT_OK);
        assert_int_equal(ft_event_record(f->event, f->in), FT_OK);
        assert_int_equal(ft_event_wait(f->event, f->out), FT_OK);
        assert_int_equal(ft_copy_d2h(f->out, f->b, f->a + BIG - 4096, 4096), FT_OK);
        assert_int_equal(ft_queue_sync(f->out), FT_OK);
        assert_int_equal(f->b[0], round);
        assert_int_equal(f->b[4095], round);
    }
}

static void a_compute_queue_waits_for_a_copy(void **state)
{
    fixture *f = *state;
    assert_int_equal(ft_fill(f->in, f->a, 9, BIG), FT_OK);
    assert_int_equal(ft_event_record(f->event, f->in), FT_OK);
    assert_int_equal(ft_event_wait(f->event, f->compute), FT_OK);
    assert_int_equal(f->a[BIG - 1], 9);
}

static void sync_and_query_see_the_last_record(void **state)
{
    fixture *f = *state;
    bool done = false;
    assert_int_equal(ft_event_query(f->event, &done), FT_OK);
    assert_true(done);  // never recorded: nothing to wait for
    assert_int_equal(ft_event_wait(f->event, f->out), FT_OK);
    assert_int_equal(ft_event_sync(f->event), FT_OK);
    for (int round = 1; round <= 3; round++) {
        assert_int_equal(ft_fill(f->in, f->a, round, BIG), FT_OK);
        assert_int_equal(ft_event_record(f->event, f->in), FT_OK);
        assert_int_equal(ft_event_sync(f->event), FT_OK);
        assert_int_equal(f->a[BIG - 1], round);
        assert_int_equal(ft_event_query(f->event, &done), FT_OK);
        assert_true(done);
    }
}

static void a_wait_keeps_the_record_it_was_made_for(void **state)
{
    fixture *f = *state;
    ft_event *gate;
    ft_queue *third;
    assert_int_equal(ft_event_create(f->device, &gate), FT_OK);
    assert_int_equal(ft_queue_create(f->device, FT_QUEUE_COPY, "third", &third), FT_OK);
    // `out` waits for a long fill; then the event is recorded again on an idle queue, which must not release `out` early.
    assert_int_equal(ft_fill(f->in, f->a, 5, BIG), FT_OK);
    assert_int_equal(ft_event_record(gate, f->in), FT_OK);
    assert_int_equal(ft_event_wait(gate, f->out), FT_OK);
    assert_int_equal(ft_event_record(gate, third), FT_OK);
    ft_event_destroy(gate);
    assert_int_equal(ft_copy_d2d(f->out, f->b, f->a + BIG - 1, 1), FT_OK);
    assert_int_equal(ft_queue_sync(f->out), FT_OK);
    assert_int_equal(f->b[0], 5);
    ft_queue_destroy(third);
}

static void destroying_a_queue_finishes_its_work(void **state)
{
    fixture *f = *state;
    ft_queue *queue;
    assert_int_equal(ft_queue_create(f->device, FT_QUEUE_COPY, "a queue with a long name", &queue), FT_OK);
    assert_int_equal(ft_fill(queue, f->a, 3, BIG), FT_OK);
    assert_int_equal(ft_copy_d2d(queue, f->b, f->a, BIG), FT_OK);
    ft_queue_destroy(queue);
    assert_int_equal(f->b[BIG - 1], 3);
}

// Large copies may take another path than small ones; neither loses or adds a byte at any alignment.
static void copies_of_any_size_and_alignment_are_exact(void **state)
{
    fixture *f = *state;
    static const int64_t sizes[] = {0, 1, 63, 65, 4096, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (5 << 20) + 77};
    for (int64_t i = 0; i < BIG; i++) f->a[i] = (unsigned char)(i * 131 >> 3);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int64_t from = 1 + 7 * (int64_t)k, to = 64 + 13 * (int64_t)k;
        memset(f->b, 0xEE, (size_t)(sizes[k] + to + 64));
        assert_int_equal(ft_copy_h2d(f->in, f->b + to, f->a + from, sizes[k]), FT_OK);
        assert_int_equal(ft_queue_sync(f->in), FT_OK);
        assert_memory_equal(f->b + to, f->a + from, (size_t)sizes[k]);
        for (int64_t i = 0; i < to; i++) assert_int_equal(f->b[i], 0xEE);
        for (int64_t i = to + sizes[k]; i < to + sizes[k] + 64; i++) assert_int_equal(f->b[i], 0xEE);
    }
}

static void nothing_is_allocated_after_creation(void **state)
{
    fixture *f = *state;
    int64_t before = ft_memory_allocations();
    for (int i = 0; i < 5000; i++) {  // several times around the ring
        assert_int_equal(ft_copy_h2d(f->in, f->b, f->a, 64), FT_OK);
        assert_int_equal(ft_event_record(f->event, f->in), FT_OK);
        assert_int_equal(ft_event_wait(f->event, f->out), FT_OK);
    }
    assert_int_equal(ft_queue_sync(f->out), FT_OK);
    assert_int_equal(ft_memory_allocations(), before);
}

#define QUEUE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(a_compute_queue_is_done_when_the_call_returns),
        QUEUE_TEST(events_of_a_compute_queue_tell_the_time_between),
        QUEUE_TEST(a_copy_queue_keeps_its_order),
        QUEUE_TEST(a_copy_queue_waits_for_an_event_of_another),
        QUEUE_TEST(a_compute_queue_waits_for_a_copy),
        QUEUE_TEST(sync_and_query_see_the_last_record),
        QUEUE_TEST(a_wait_keeps_the_record_it_was_made_for),
        QUEUE_TEST(destroying_a_queue_finishes_its_work),
        QUEUE_TEST(copies_of_any_size_and_alignment_are_exact),
        QUEUE_TEST(nothing_is_allocated_after_creation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
