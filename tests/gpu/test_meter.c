// The meter on a GPU: what the device waited by its own clock, spans cut to steps, and what two events cost.
#include "gpu/gpu.h"

#include <math.h>
#include <stdio.h>

#include "common/log.h"
#include "offload/meter.h"

enum { FILLS = 200, PAIRS = 500 };

static const int64_t bytes = (int64_t)256 << 20;
static ft_queue *copies;
static ft_meter *meter;
static char *memory;

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static int setup(void **state)
{
    ft_device *device = ft_queue_device(t_queue());
    ok(ft_queue_create(device, FT_QUEUE_COPY, "copies", &copies));
    ok(ft_meter_open(&meter, &(ft_meter_options){.device = device, .queue = copies}));
    memory = t_device(2 * bytes);
    t_sync();
    return 0;
}

static int teardown(void **state)
{
    ok(ft_queue_sync(copies));
    t_sync();
    ft_meter_close(meter);
    ft_queue_destroy(copies);
    t_free();
    return 0;
}

static void fills(ft_queue *queue, int n)
{
    for (int i = 0; i < n; i++) ok(ft_fill(queue, queue == copies ? memory : memory + bytes, i, bytes));
}

// The meter reads spans that began before its clocks were aligned last.
static void an_earlier_event_is_a_negative_time_away(void **state)
{
    ft_event *first, *second;
    double forth, back;
    ok(ft_event_create(ft_queue_device(t_queue()), &first));
    ok(ft_event_create(ft_queue_device(t_queue()), &second));
    ok(ft_event_record(first, t_queue()));
    fills(t_queue(), 20);
    ok(ft_event_record(second, t_queue()));
    t_sync();
    ok(ft_event_elapsed(first, second, &forth));
    ok(ft_event_elapsed(second, first, &back));
    assert_true(forth > 0 && fabs(forth + back) < 1e-6);
    ft_event_destroy(first);
    ft_event_destroy(second);
}

// The host queues a wait for a copy and goes on; the device stands still until the copy is through.
static void a_stall_is_what_the_device_waited(void **state)
{
    ft_event *loaded;
    ft_meter_step step;
    ok(ft_event_create(ft_queue_device(t_queue()), &loaded));
    ok(ft_meter_step_begin(meter, t_queue()));
    double begin = ft_now_s();
    ok(ft_meter_begin(meter, FT_TRACK_H2D, copies));
    fills(copies, FILLS);
    ok(ft_meter_end(meter, FT_TRACK_H2D, copies, (ft_span_label){.kind = FT_SPAN_GROUP, .bytes = FILLS * bytes}));
    ok(ft_event_record(loaded, copies));
    ok(ft_meter_begin(meter, FT_TRACK_COMPUTE, t_queue()));
    ok(ft_meter_begin(meter, FT_TRACK_STALL, t_queue()));
    ok(ft_event_wait(loaded, t_queue()));
    ok(ft_meter_end_wait(meter, t_queue(), (ft_span_label){.kind = FT_SPAN_WAIT_H2D}, -1, 0));
    fills(t_queue(), FILLS / 4);
    ok(ft_meter_end(meter, FT_TRACK_COMPUTE, t_queue(), (ft_span_label){.kind = FT_SPAN_FORWARD}));
    double queued = ft_now_s() - begin;
    t_sync();
    ok(ft_meter_step_end(meter, t_queue(), &step));
    printf("  queued in %.3f ms; step %.3f ms: copies %.3f ms, stall %.3f ms, computing %.3f ms\n", 1e3 * queued, 1e3 * step.wall_s,
           1e3 * step.h2d_s, 1e3 * step.stall_s, 1e3 * step.compute_s);
    assert_true(step.h2d_s > 0.002 && step.stall_h2d_s == step.stall_s);
    assert_true(fabs(step.stall_s - step.h2d_s) < 0.1 * step.h2d_s + 1e-3);
    assert_true(step.compute_s > 0.1 * step.h2d_s && step.compute_s < 0.6 * step.h2d_s);
    assert_true(step.compute_s + step.stall_s <= step.wall_s * 1.001);
    ft_event_destroy(loaded);
}

static void a_copy_is_shared_by_the_steps_it_lasts_for(void **state)
{
    ft_meter_step step;
    double busy = 0, wall = 0;
    ok(ft_meter_step_begin(meter, t_queue()));
    ok(ft_meter_begin(meter, FT_TRACK_H2D, copies));
    fills(copies, FILLS);
    ok(ft_meter_end(meter, FT_TRACK_H2D, copies, (ft_span_label){.kind = FT_SPAN_GROUP}));
    for (int i = 0; i < 4; i++) {
        if (i == 3) ok(ft_queue_sync(copies));
        ok(ft_meter_step_end(meter, t_queue(), &step));
        assert_true(step.h2d_s <= step.wall_s * 1.0001);
        busy += step.h2d_s;
        wall += step.wall_s;
    }
    printf("  %.3f of %.3f ms\n", 1e3 * busy, 1e3 * wall);
    assert_true(busy > 0.5 * wall);
}

// On the device, and on the host that queues them.
static void spans_are_cheap(void **state)
{
    double device[2], host[2];
    ft_event *begin, *end;
    ft_meter_step step;
    ok(ft_event_create(ft_queue_device(t_queue()), &begin));
    ok(ft_event_create(ft_queue_device(t_queue()), &end));
    ok(ft_meter_step_begin(meter, t_queue()));
    for (int metered = 0; metered < 2; metered++) {
        ok(ft_event_record(begin, t_queue()));
        double start = ft_now_s();
        for (int i = 0; i < PAIRS; i++) {
            if (metered) ok(ft_meter_begin(meter, FT_TRACK_COMPUTE, t_queue()));
            ok(ft_fill(t_queue(), memory + bytes, i, 16 << 20));
            if (metered) ok(ft_meter_end(meter, FT_TRACK_COMPUTE, t_queue(), (ft_span_label){.kind = FT_SPAN_FORWARD}));
        }
        host[metered] = ft_now_s() - start;
        ok(ft_event_record(end, t_queue()));
        t_sync();
        ok(ft_event_elapsed(begin, end, &device[metered]));
    }
    double start = ft_now_s();
    ok(ft_meter_step_end(meter, t_queue(), &step));
    printf("  a span: %.2f us of the device, %.2f us of the host; the end of the step %.1f us\n", 1e6 * (device[1] - device[0]) / PAIRS,
           1e6 * (host[1] - host[0]) / PAIRS, 1e6 * (ft_now_s() - start));
    assert_int_equal(step.dropped, 0);
    assert_true(device[1] - device[0] < PAIRS * 20e-6);
    ft_event_destroy(begin);
    ft_event_destroy(end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_earlier_event_is_a_negative_time_away),
        cmocka_unit_test(a_stall_is_what_the_device_waited),
        cmocka_unit_test(a_copy_is_shared_by_the_steps_it_lasts_for),
        cmocka_unit_test(spans_are_cheap),
    };
    t_queue();
    return cmocka_run_group_tests(tests, setup, teardown);
}
