// A streaming loop in small: an io thread fills host slots, a copy queue moves them to device slots, a compute queue uses them,
// another copy queue writes results back; slots are reused through events only. Under the thread sanitizer this finds a missing
// edge; without it a wrong value does.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "common/memory.h"
#include "device/device.h"

enum { SLOTS = 2, WORDS = 1024, ROUNDS = 2000 };

typedef struct {
    ft_device *device;
    ft_queue *compute, *in, *out;
    ft_event *loaded[SLOTS], *used[SLOTS], *stored[SLOTS];
    uint64_t *host_in[SLOTS], *slot[SLOTS], *result[SLOTS], *host_out;
    uint64_t sum;
} stream;

static void open_stream(stream *s)
{
    assert_int_equal(ft_device_open(&s->device, "cpu", 0), FT_OK);
    assert_int_equal(ft_queue_create(s->device, FT_QUEUE_COMPUTE, "compute", &s->compute), FT_OK);
    assert_int_equal(ft_queue_create(s->device, FT_QUEUE_COPY, "in", &s->in), FT_OK);
    assert_int_equal(ft_queue_create(s->device, FT_QUEUE_COPY, "out", &s->out), FT_OK);
    for (int i = 0; i < SLOTS; i++) {
        assert_int_equal(ft_event_create(s->device, &s->loaded[i]), FT_OK);
        assert_int_equal(ft_event_create(s->device, &s->used[i]), FT_OK);
        assert_int_equal(ft_event_create(s->device, &s->stored[i]), FT_OK);
        assert_int_equal(ft_device_alloc(s->device, WORDS * 8, (void **)&s->host_in[i]), FT_OK);
        assert_int_equal(ft_device_alloc(s->device, WORDS * 8, (void **)&s->slot[i]), FT_OK);
        assert_int_equal(ft_device_alloc(s->device, WORDS * 8, (void **)&s->result[i]), FT_OK);
    }
    assert_int_equal(ft_device_alloc(s->device, ROUNDS * 8, (void **)&s->host_out), FT_OK);
}

static void close_stream(stream *s)
{
    ft_queue_destroy(s->compute);
    ft_queue_destroy(s->in);
    ft_queue_destroy(s->out);
    for (int i = 0; i < SLOTS; i++) {
        ft_event_destroy(s->loaded[i]);
        ft_event_destroy(s->used[i]);
        ft_event_destroy(s->stored[i]);
        ft_device_free(s->device, s->host_in[i]);
        ft_device_free(s->device, s->slot[i]);
        ft_device_free(s->device, s->result[i]);
    }
    ft_device_free(s->device, s->host_out);
    ft_device_close(s->device);
}

static void load(stream *s, int round)
{
    int i = round % SLOTS;
    ft_event_sync(s->loaded[i]);  // the host buffer is free once its last copy is done
    for (int k = 0; k < WORDS; k++) s->host_in[i][k] = (uint64_t)round * WORDS + (uint64_t)k;
    ft_event_wait(s->used[i], s->in);
    ft_copy_h2d(s->in, s->slot[i], s->host_in[i], WORDS * 8);
    ft_event_record(s->loaded[i], s->in);
}

static void use(stream *s, int round)
{
    int i = round % SLOTS;
    ft_event_wait(s->loaded[i], s->compute);
    ft_event_wait(s->stored[i], s->compute);
    uint64_t sum = 0;
    for (int k = 0; k < WORDS; k++) sum += s->slot[i][k];
    s->result[i][0] = sum;
    ft_event_record(s->used[i], s->compute);
    ft_event_wait(s->used[i], s->out);
    ft_copy_d2h(s->out, &s->host_out[round], s->result[i], 8);
    ft_event_record(s->stored[i], s->out);
}

static void slots_reused_through_events_never_mix(void **state)
{
    stream s = {0};
    open_stream(&s);
    load(&s, 0);
    for (int round = 0; round < ROUNDS; round++) {
        if (round + 1 < ROUNDS) load(&s, round + 1);
        use(&s, round);
    }
    assert_int_equal(ft_queue_sync(s.out), FT_OK);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        assert_int_equal(s.host_out[round], round * WORDS * WORDS + (uint64_t)WORDS * (WORDS - 1) / 2);
    }
    close_stream(&s);
}

typedef struct {
    ft_event *event;
    int64_t *counter;
    int64_t seen;
} watcher;

static void *watch(void *argument)
{
    watcher *w = argument;
    bool done = false;
    while (!done) ft_event_query(w->event, &done);
    ft_event_sync(w->event);
    w->seen = *w->counter;
    return NULL;
}

static void any_thread_may_watch_an_event(void **state)
{
    stream s = {0};
    open_stream(&s);
    int64_t source = 42, counter = 0;
    for (int i = 0; i < 500; i++) ft_copy_d2d(s.in, s.slot[0], s.host_in[0], WORDS * 8);
    ft_copy_h2d(s.in, &counter, &source, 8);
    ft_event_record(s.loaded[0], s.in);
    watcher watchers[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        watchers[i] = (watcher){s.loaded[0], &counter, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, watch, &watchers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(watchers[i].seen, 42);
    }
    close_stream(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_reused_through_events_never_mix),
        cmocka_unit_test(any_thread_may_watch_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
