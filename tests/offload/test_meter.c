// The meter by itself: unions of spans cut to steps, wherever the copies are when a step ends.
#include "stamped.h"

#include <math.h>

#include "common/log.h"
#include "offload/meter.h"

enum { BYTES = 16 << 20 };

typedef struct {
    ft_device *device;
    ft_queue *compute, *in, *out;
    char *memory;
    ft_meter *meter;
} fixture;

static void open_fixture(fixture *f)
{
    ok(ft_device_open(&f->device, "cpu", 0));
    ok(ft_queue_create(f->device, FT_QUEUE_COMPUTE, "compute", &f->compute));
    ok(ft_queue_create(f->device, FT_QUEUE_COPY, "in", &f->in));
    ok(ft_queue_create(f->device, FT_QUEUE_COPY, "out", &f->out));
    ok(ft_device_alloc(f->device, 2 * BYTES, (void **)&f->memory));
    ok(ft_meter_open(&f->meter, &(ft_meter_options){.device = f->device, .queue = f->in}));
    ok(ft_meter_open_track(f->meter, FT_TRACK_UNITS_IN));
}

static void close_fixture(fixture *f)
{
    ok(ft_queue_sync(f->in));
    ok(ft_queue_sync(f->out));
    ft_meter_close(f->meter);
    ft_device_free(f->device, f->memory);
    ft_queue_destroy(f->compute);
    ft_queue_destroy(f->in);
    ft_queue_destroy(f->out);
    ft_device_close(f->device);
}

static const ft_span_label group = {.kind = FT_SPAN_GROUP, .layer = 3, .part = 1, .bytes = BYTES};

static void fill(fixture *f, ft_track track, ft_queue *queue, int times)
{
    ok(ft_meter_begin(f->meter, track, queue));
    for (int i = 0; i < times; i++) ok(ft_fill(queue, queue == f->in ? f->memory : f->memory + BYTES, i, BYTES));
    ok(ft_meter_end(f->meter, track, queue, group));
}

static void test_a_copy_is_busy_while_it_runs_and_not_when_it_is_asked_for(void **state)
{
    fixture f;
    ft_meter_step step;
    open_fixture(&f);
    ok(ft_meter_step_begin(f.meter, f.compute));
    double begin = ft_now_s();
    fill(&f, FT_TRACK_H2D, f.in, 100);
    ok(ft_queue_sync(f.in));
    double seconds = ft_now_s() - begin;
    usleep(30000);
    ok(ft_meter_step_end(f.meter, f.compute, &step));
    if (step.h2d_s < 0.3 * seconds || step.h2d_s > seconds + 1e-3) fail_msg("%g of %g s", step.h2d_s, seconds);
    assert_true(step.wall_s >= seconds + 0.03 && step.wall_s < ft_now_s() - begin + 1e-3);
    assert_int_equal(step.h2d_bytes, BYTES);
    assert_true(step.compute_s == 0 && step.d2h_s == 0 && step.stall_s == 0 && step.dropped == 0 && step.stall_drive == -1);
    close_fixture(&f);
}

// Two queues of one direction at once are one busy link.
static void test_spans_that_overlap_count_once(void **state)
{
    fixture f;
    ft_meter_step step;
    open_fixture(&f);
    ok(ft_meter_step_begin(f.meter, f.compute));
    double begin = ft_now_s();
    fill(&f, FT_TRACK_H2D, f.in, 100);
    fill(&f, FT_TRACK_UNITS_IN, f.out, 100);
    ok(ft_queue_sync(f.in));
    ok(ft_queue_sync(f.out));
    double seconds = ft_now_s() - begin;
    ok(ft_meter_step_end(f.meter, f.compute, &step));
    if (step.h2d_s < 0.3 * seconds || step.h2d_s > seconds + 1e-3) fail_msg("%g of %g s", step.h2d_s, seconds);
    assert_int_equal(step.h2d_bytes, 2 * BYTES);
    close_fixture(&f);
}

// Ten steps end while one long span is under way: each has all of its time, and nothing is lost or counted twice.
static void test_a_span_is_shared_by_the_steps_it_lasts_for(void **state)
{
    fixture f;
    ft_meter_step step;
    open_fixture(&f);
    double begin = ft_now_s(), busy = 0, wall = 0;
    ok(ft_meter_step_begin(f.meter, f.compute));
    int64_t bytes = 0;  // of the step in which the span ends, which on a busy machine is not the last one
    fill(&f, FT_TRACK_H2D, f.in, 160);
    for (int i = 0; i < 10; i++) {
        usleep(2000);
        ok(ft_meter_step_end(f.meter, f.compute, &step));
        assert_true(step.h2d_s <= step.wall_s * 1.0001);
        busy += step.h2d_s;
        wall += step.wall_s;
        bytes += step.h2d_bytes;
    }
    ok(ft_queue_sync(f.in));
    ok(ft_meter_step_end(f.meter, f.compute, &step));
    busy += step.h2d_s;
    wall += step.wall_s;
    bytes += step.h2d_bytes;
    assert_true(busy > 0 && busy <= wall + 1e-4 && wall <= ft_now_s() - begin);
    assert_int_equal(bytes, BYTES);
    assert_int_equal(ft_meter_steps(f.meter), 11);
    close_fixture(&f);
}

static void test_a_stall_is_no_computing_and_its_cause_is_split_where_the_bytes_came(void **state)
{
    fixture f;
    ft_meter_step step;
    open_fixture(&f);
    ok(ft_meter_step_begin(f.meter, f.compute));
    ok(ft_meter_begin(f.meter, FT_TRACK_COMPUTE, f.compute));
    usleep(20000);
    ok(ft_meter_begin(f.meter, FT_TRACK_STALL, f.compute));
    usleep(30000);
    ok(ft_meter_end_wait(f.meter, f.compute, (ft_span_label){.kind = FT_SPAN_WAIT_H2D}, -1, 0));
    ok(ft_meter_begin(f.meter, FT_TRACK_STALL, f.compute));
    usleep(10000);
    ok(ft_meter_end(f.meter, FT_TRACK_STALL, f.compute, (ft_span_label){.kind = FT_SPAN_WAIT_SPILL}));
    ok(ft_meter_end(f.meter, FT_TRACK_COMPUTE, f.compute, (ft_span_label){.kind = FT_SPAN_FORWARD}));
    ok(ft_meter_step_end(f.meter, f.compute, &step));
    assert_true(step.stall_h2d_s >= 0.03 && step.stall_spill_s >= 0.01 && step.stall_nvme_s == 0);
    assert_true(fabs(step.stall_s - step.stall_h2d_s - step.stall_spill_s) < 1e-9);
    assert_true(step.compute_s >= 0.02 && step.compute_s + step.stall_s <= step.wall_s + 1e-6);
    close_fixture(&f);
}

// The ring of spans is full of copies that wait; what has no place is counted, and the next ones have theirs again.
static void test_spans_without_a_place_are_counted(void **state)
{
    fixture f;
    ft_meter_step step;
    ft_event *event;
    open_fixture(&f);
    ok(ft_event_create(f.device, &event));
    ok(ft_meter_step_begin(f.meter, f.compute));
    for (int i = 0; i < 20; i++) ok(ft_fill(f.out, f.memory + BYTES, 1, BYTES));
    ok(ft_event_record(event, f.out));
    ok(ft_event_wait(event, f.in));
    for (int i = 0; i < 100; i++) {
        ok(ft_meter_begin(f.meter, FT_TRACK_H2D, f.in));
        ok(ft_fill(f.in, f.memory, 1, 4096));
        ok(ft_meter_end(f.meter, FT_TRACK_H2D, f.in, group));
    }
    ok(ft_queue_sync(f.in));
    ok(ft_meter_step_end(f.meter, f.compute, &step));
    assert_true(step.dropped > 0 && step.dropped < 100);
    assert_int_equal(step.h2d_bytes, (100 - step.dropped) * BYTES);
    fill(&f, FT_TRACK_H2D, f.in, 1);
    ok(ft_queue_sync(f.in));
    ok(ft_meter_step_end(f.meter, f.compute, &step));
    assert_int_equal(step.dropped, 0);
    assert_int_equal(step.h2d_bytes, BYTES);
    ft_event_destroy(event);
    close_fixture(&f);
}

static void test_a_span_without_an_end_is_forgotten_and_nothing_is_allocated(void **state)
{
    fixture f;
    ft_meter_step step;
    open_fixture(&f);
    int64_t allocations = ft_memory_allocations();
    for (int i = 0; i < 2 * FT_METER_STEPS; i++) {
        ok(ft_meter_step_begin(f.meter, f.compute));
        ok(ft_meter_begin(f.meter, FT_TRACK_COMPUTE, f.compute));
        for (int visit = 0; visit < 50; visit++) {
            ok(ft_meter_begin(f.meter, FT_TRACK_COMPUTE, f.compute));
            ok(ft_meter_end(f.meter, FT_TRACK_COMPUTE, f.compute, (ft_span_label){.kind = FT_SPAN_FORWARD, .bytes = 1}));
        }
        ok(ft_meter_step_end(f.meter, f.compute, &step));
        assert_true(step.compute_s <= step.wall_s && step.dropped == 0);
    }
    assert_int_equal(ft_memory_allocations(), allocations);
    assert_int_equal(ft_meter_steps(f.meter), FT_METER_STEPS);
    close_fixture(&f);
}

static void test_medians_are_of_each_number(void **state)
{
    fixture f;
    ft_meter_step step, median;
    open_fixture(&f);
    assert_int_equal(ft_meter_median(f.meter, &median), FT_E_INTERNAL);
    for (int i = 0; i < 5; i++) {
        ok(ft_meter_step_begin(f.meter, f.compute));
        ok(ft_meter_begin(f.meter, FT_TRACK_COMPUTE, f.compute));
        usleep(i == 4 ? 40000 : 4000);
        ok(ft_meter_end(f.meter, FT_TRACK_COMPUTE, f.compute, (ft_span_label){.kind = FT_SPAN_FORWARD}));
        ok(ft_meter_step_end(f.meter, f.compute, &step));
    }
    assert_true(step.compute_s >= 0.04);
    ok(ft_meter_median(f.meter, &median));
    assert_true(median.compute_s >= 0.004 && median.compute_s < step.compute_s && median.wall_s >= median.compute_s);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_is_busy_while_it_runs_and_not_when_it_is_asked_for),
        cmocka_unit_test(test_spans_that_overlap_count_once),
        cmocka_unit_test(test_a_span_is_shared_by_the_steps_it_lasts_for),
        cmocka_unit_test(test_a_stall_is_no_computing_and_its_cause_is_split_where_the_bytes_came),
        cmocka_unit_test(test_spans_without_a_place_are_counted),
        cmocka_unit_test(test_a_span_without_an_end_is_forgotten_and_nothing_is_allocated),
        cmocka_unit_test(test_medians_are_of_each_number),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
