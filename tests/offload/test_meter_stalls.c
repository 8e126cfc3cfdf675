// Whom the compute waits for, told by name: the slow one of two drives, the link, or a spilled unit. And the timeline of it.
#include <jansson.h>
#include <math.h>

#include "common/log.h"
#include "stamped_run.h"

enum { LAYERS = 4 };

static const stamped_run_options base = {.model = {.layers = LAYERS, .drives = 2, .group_bytes = 64 << 10}, .homes = "n", .slots = 2,
                                         .host_slots = 2, .piece_bytes = 32 << 10};

// The drive's every transfer is 5 ms late.
static void slow_down(stamped_run *r, int d)
{
    char path[512];
    ft_drive_options io = {.engine = "fault:posix,slow=1.0"};
    stamped_drive_path(&r->model, d, "", path);
    ft_drive_close(r->model.store.drive[d]);
    ok(ft_drive_open(&r->model.store.drive[d], path, &io));
    ok(ft_drive_open_file(r->model.store.drive[d], "data", false, &r->model.store.file[d]));
}

static void open_streamer(stamped_run *r, const char *trace)
{
    ok(ft_streamer_open(&r->streamer, &(ft_streamer_options){.plan = &r->plan, .store = &r->model.store, .device = r->device, .pool = r->pool,
                                                             .hbm = &r->arena, .copy_piece_bytes = base.piece_bytes, .trace = trace}));
}

static void one_step(stamped_run *r, ft_meter_step *step)
{
    ft_meter *meter = ft_streamer_meter(r->streamer);
    ok(ft_meter_step_begin(meter, r->queue));
    ok(stamped_sweeps(r, FT_SWEEP_TRAIN, 2));
    ok(ft_meter_step_end(meter, r->queue, step));
    assert_true(step->stall_s <= step->wall_s && step->h2d_s <= step->wall_s && step->nvme_s <= step->wall_s * 1.0001);
    assert_true(fabs(step->stall_s - step->stall_h2d_s - step->stall_nvme_s - step->stall_spill_s) < 1e-9);
    assert_int_equal(step->dropped, 0);
}

static void check_slow_drive(int slow)
{
    stamped_run r;
    ft_meter_step step;
    stamped_prepare(&r, &base);
    slow_down(&r, slow);
    open_streamer(&r, NULL);
    one_step(&r, &step);
    assert_int_equal(step.stall_drive, slow);
    assert_true(step.stall_nvme_s > 0.3 * step.wall_s && step.stall_spill_s == 0);
    assert_true(step.drive[slow].stall_s > 2 * step.drive[1 - slow].stall_s);
    assert_true(step.drive[slow].busy_s > step.drive[1 - slow].busy_s && step.drive[slow].slowest_s >= 0.005);
    assert_true(step.nvme_s >= step.drive[slow].busy_s * 0.9999);
    int64_t read = step.drive[0].bytes_read + step.drive[1].bytes_read;
    assert_int_equal(read, stamped_load_bytes(&r.plan, r.plan.cold[FT_SWEEP_TRAIN], FT_SWEEP_TRAIN, true) +
                               stamped_load_bytes(&r.plan, r.plan.steady[FT_SWEEP_TRAIN], FT_SWEEP_TRAIN, true));
    assert_int_equal(step.h2d_bytes, read);
    char path[512];
    stamped_drive_path(&r.model, slow, "", path);
    assert_string_equal(ft_meter_drive_name(ft_streamer_meter(r.streamer), slow), path);
    ft_streamer_stats stats;
    ft_streamer_get_stats(r.streamer, &stats);
    assert_true(stats.stall_drive_s[slow] >= step.drive[slow].stall_s && stats.stall_nvme_s >= step.stall_nvme_s);
    assert_true(fabs(stats.stall_s - stats.stall_h2d_s - stats.stall_nvme_s - stats.stall_spill_s) < 1e-9);
    stamped_close(&r);
}

static void test_a_slow_drive_is_told_by_name(void **state)
{
    check_slow_drive(0);
    check_slow_drive(1);
}

// Nothing is computed, so the copies are what is waited for.
static void test_host_records_wait_for_the_link_alone(void **state)
{
    stamped_run r;
    ft_meter_step step;
    stamped_run_options options = base;
    options.homes = "h";
    options.model.group_bytes = 4 << 20;
    stamped_prepare(&r, &options);
    open_streamer(&r, NULL);
    ft_meter *meter = ft_streamer_meter(r.streamer);
    ok(ft_meter_step_begin(meter, r.queue));
    ok(ft_streamer_start(r.streamer, FT_SWEEP_EVALUATE, 2));
    for (int visit = 0; visit < 2 * LAYERS; visit++) {
        ft_lease lease;
        ok(ft_streamer_acquire(r.streamer, visit % LAYERS, FT_FORWARD, &lease));
        for (int group = 0; group < FT_GROUP_COUNT; group++) {
            ok(ft_streamer_await(r.streamer, &lease, (ft_group)group, r.queue));
            ok(ft_streamer_release(r.streamer, &lease, (ft_group)group, r.queue));
        }
    }
    ok(ft_meter_step_end(meter, r.queue, &step));
    assert_true(step.stall_h2d_s > 0.2 * step.wall_s && step.stall_nvme_s == 0 && step.stall_spill_s == 0);
    assert_int_equal(step.stall_drive, -1);
    assert_true(step.nvme_s == 0);
    stamped_close(&r);
}

static void test_a_spilled_unit_is_a_cause_of_its_own(void **state)
{
    enum { BYTES = 8 << 20 };
    stamped_run r;
    ft_meter_step step;
    stamped_run_options options = base;
    options.unit_pool_bytes = ft_spill_pool_bytes(BYTES);
    stamped_prepare(&r, &options);
    slow_down(&r, 0);
    open_streamer(&r, NULL);
    int64_t unit = ft_streamer_unit_add(r.streamer, FT_UNIT_BOUNDARY, FT_TIER_NVME, BYTES);
    assert_int_equal(unit, 0);
    ok(ft_streamer_units_ready(r.streamer));
    void *memory;
    ok(ft_device_alloc(r.device, BYTES, &memory));
    ok(ft_meter_step_begin(ft_streamer_meter(r.streamer), r.queue));
    ok(ft_streamer_unit_store(r.streamer, unit, memory, r.queue));
    ok(ft_streamer_unit_load(r.streamer, unit, memory, r.queue));
    ok(ft_streamer_unit_loaded(r.streamer, unit, r.queue));
    ok(ft_meter_step_end(ft_streamer_meter(r.streamer), r.queue, &step));
    assert_true(step.stall_spill_s > 0.005 && step.stall_h2d_s == 0 && step.stall_nvme_s == 0);
    assert_true(step.d2h_s > 0 && step.h2d_s > 0);
    assert_int_equal(step.d2h_bytes, BYTES);
    assert_int_equal(step.drive[0].bytes_written + step.drive[1].bytes_written, BYTES);
    assert_int_equal(step.drive[0].bytes_read + step.drive[1].bytes_read, BYTES);
    ft_streamer_close(r.streamer);
    r.streamer = NULL;
    ft_device_free(r.device, memory);
    stamped_close(&r);
}

// --- The report -------------------------------------------------------------------------------------------------------------
static void expect(const ft_text *report, const char *wanted)
{
    if (strstr(report->data, wanted) == NULL) fail_msg("no \"%s\" in\n%s", wanted, report->data);
}

static void test_the_report_names_the_drive_that_is_slower_than_planned(void **state)
{
    stamped_run r;
    ft_meter_step step;
    ft_text report = {0};
    char path[512], line[600];
    stamped_prepare(&r, &base);
    r.plan.sweeps = 2;
    r.plan.machine.nvme_read = 2e9;
    r.plan.forward.seconds[FT_RESOURCE_NVME] = r.plan.backward.seconds[FT_RESOURCE_NVME] = 1e-3;
    slow_down(&r, 1);
    open_streamer(&r, NULL);
    const ft_meter *meter = ft_streamer_meter(r.streamer);
    assert_int_equal(ft_meter_report(meter, &r.plan, &report), FT_E_INTERNAL);
    ft_text_free(&report);
    for (int i = 0; i < 3; i++) one_step(&r, &step);
    ok(ft_meter_report(meter, &r.plan, &report));
    stamped_drive_path(&r.model, 1, "", path);
    snprintf(line, sizeof line, "nvme: drive %s delivered 0.0", path);
    expect(&report, line);
    expect(&report, " GB/s, planned 2.00\n");
    expect(&report, "(median of 3)");
    expect(&report, "The compute waited ");
    snprintf(line, sizeof line, " ms  %s\n", path);
    expect(&report, line);
    ft_text_free(&report);
    stamped_close(&r);
}

// --- The timeline -----------------------------------------------------------------------------------------------------------
static int64_t check_track(json_t *events, int track, const char *first_word)
{
    double through = -1e18;
    int64_t bytes = 0;
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event) {
        const char *phase, *name;
        double begin, duration;
        int tid;
        json_int_t n;
        assert_int_equal(json_unpack(event, "{s:s}", "ph", &phase), 0);
        if (strcmp(phase, "X") != 0) continue;
        assert_int_equal(json_unpack(event, "{s:s, s:i, s:F, s:F, s:{s:I}}", "name", &name, "tid", &tid, "ts", &begin, "dur", &duration, "args",
                                     "bytes", &n), 0);
        if (tid != track) continue;
        assert_true(begin >= through - 0.002 && duration >= 0);  // printed to a nanosecond
        through = begin + duration;
        bytes += n;
        assert_int_equal(strncmp(name, first_word, strlen(first_word)), 0);
    }
    return bytes;
}

static bool names_track(json_t *events, int track, const char *wanted)
{
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event) {
        const char *name;
        int tid;
        if (json_unpack(event, "{s:i, s:{s:s}}", "tid", &tid, "args", "name", &name) == 0 && tid == track && strcmp(name, wanted) == 0) return true;
    }
    return false;
}

static void test_the_timeline_has_every_byte_on_tracks_without_overlap(void **state)
{
    stamped_run r;
    ft_meter_step step;
    char path[512], drive[512], name[600];
    stamped_prepare(&r, &base);
    snprintf(path, sizeof path, "%s/trace.json", r.model.directory);
    slow_down(&r, 1);
    open_streamer(&r, path);
    one_step(&r, &step);
    ft_streamer_close(r.streamer);
    r.streamer = NULL;
    json_error_t error;
    json_t *trace = json_load_file(path, 0, &error);
    if (trace == NULL) fail_msg("%s", error.text);
    json_t *events = json_object_get(trace, "traceEvents");
    assert_int_equal(check_track(events, FT_TRACK_H2D, "layer "), step.h2d_bytes);
    assert_true(check_track(events, FT_TRACK_STALL, "layer ") > 0);
    for (int d = 0; d < 2; d++) {
        assert_true(check_track(events, FT_TRACK_DRIVE + d, "read") >= step.drive[d].bytes_read);  // and what open read
        stamped_drive_path(&r.model, d, "", drive);
        snprintf(name, sizeof name, "drive %s", drive);
        assert_true(names_track(events, FT_TRACK_DRIVE + d, name));
    }
    assert_true(names_track(events, FT_TRACK_COMPUTE, "compute") && names_track(events, FT_TRACK_UNITS_IN, "boundaries in"));
    json_decref(trace);
    stamped_close(&r);
}

static void test_a_trace_that_cannot_be_written_is_told_at_open(void **state)
{
    stamped_run r;
    stamped_prepare(&r, &base);
    assert_int_equal(ft_streamer_open(&r.streamer, &(ft_streamer_options){.plan = &r.plan, .store = &r.model.store, .device = r.device,
                                                                          .pool = r.pool, .hbm = &r.arena, .trace = "/nonexistent/trace.json"}),
                     FT_E_IO);
    assert_non_null(strstr(ft_error_message(), "/nonexistent/trace.json"));
    stamped_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slow_drive_is_told_by_name),
        cmocka_unit_test(test_host_records_wait_for_the_link_alone),
        cmocka_unit_test(test_a_spilled_unit_is_a_cause_of_its_own),
        cmocka_unit_test(test_the_report_names_the_drive_that_is_slower_than_planned),
        cmocka_unit_test(test_the_timeline_has_every_byte_on_tracks_without_overlap),
        cmocka_unit_test(test_a_trace_that_cannot_be_written_is_told_at_open),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
