// Weights that go bad while a run uses them: wherever the bytes live, a changed one is found within the promised number of steps,
// or in the very step that checks all; the error says where it lies and who is at fault. A good run is never disturbed.
#include <fcntl.h>

#include "offload/streamer_verify.h"
#include "stamped_run.h"

enum { LAYERS = 5, STRIPES = 4, SWEEPS = 2 };

typedef struct {
    stamped_run run;
    void *device, *host;
} checked_run;

static const stamped_run_options base = {.model = {.layers = LAYERS, .drives = 2, .group_bytes = 8 << 10, .uneven = true}, .slots = 2, .host_slots = 2};

static void open_run(checked_run *c, const char *homes, ft_resource binding, int64_t stripes)
{
    stamped_run_options options = base;
    options.homes = homes;
    stamped_open(&c->run, &options);
    c->run.plan.binding = binding;
    int64_t bytes = ft_verify_bytes(&c->run.plan.layout);
    assert_int_equal(bytes, c->run.model.store.n_stripes * 8);
    c->device = malloc((size_t)bytes);
    c->host = malloc((size_t)bytes);
    if (stripes > 0)
        ok(ft_streamer_verify_open(c->run.streamer, &(ft_verify_options){.stripes = stripes, .ops = ft_ops_for(FT_DEVICE_CPU), .device = c->device,
                                                                         .host = c->host}));
}

static void close_run(checked_run *c)
{
    stamped_close(&c->run);
    free(c->device);
    free(c->host);
}

// A visit; `spoil` is a stripe that is changed in the layer's slot once it is there.
static ft_status visit(checked_run *c, int layer, ft_direction direction, const ft_stripe *spoil)
{
    stamped_run *r = &c->run;
    ft_lease lease;
    FT_TRY(ft_streamer_acquire(r->streamer, layer, direction, &lease));
    for (int group = 0; group < FT_GROUP_COUNT; group++) {
        const ft_extent *extent = &lease.record->extent[group];
        FT_TRY(ft_streamer_await(r->streamer, &lease, (ft_group)group, r->queue));
        if (spoil && spoil->record == (uint32_t)layer && spoil->record_offset >= extent->offset && spoil->record_offset < extent->offset + extent->bytes)
            ((char *)(uintptr_t)lease.base)[spoil->record_offset + 77] ^= 4;
        FT_TRY(ft_streamer_release(r->streamer, &lease, (ft_group)group, r->queue));
    }
    return FT_OK;
}

static ft_status step(checked_run *c, const ft_stripe *spoil)
{
    ft_streamer *s = c->run.streamer;
    FT_TRY(ft_streamer_start(s, FT_SWEEP_TRAIN, SWEEPS));
    ft_streamer_verify_begin(s, SWEEPS);
    for (int i = 0; i < SWEEPS * 2 * LAYERS; i++) {
        int at = i % (2 * LAYERS);
        FT_TRY(visit(c, at < LAYERS ? at : 2 * LAYERS - 1 - at, at < LAYERS ? FT_FORWARD : FT_BACKWARD, spoil));
    }
    FT_TRY(ft_streamer_verify_collect(s, c->run.queue));
    FT_TRY(ft_queue_sync(c->run.queue));
    return ft_streamer_verify_end(s);
}

static void flip_in_file(const checked_run *c, const ft_stripe *stripe)
{
    char path[512], byte;
    stamped_drive_path(&c->run.model, (int)stripe->drive, "data", path);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, stripe->offset + 1000), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, stripe->offset + 1000), 1);
    close(fd);
}

// Changes a bit where the stripe lives.
static void flip_at_home(const checked_run *c, const ft_stripe *stripe)
{
    int record = (int)stripe->record;
    const void *memory = ft_streamer_host_record(c->run.streamer, record);
    if (memory == NULL) memory = ft_streamer_resident(c->run.streamer, record);
    if (memory == NULL) flip_in_file(c, stripe);
    else ((char *)(uintptr_t)memory)[stripe->record_offset + 1000] ^= 1;
}

static void check_message(const checked_run *c, const ft_stripe *stripe)
{
    char path[512], offset[64];
    int record = (int)stripe->record;
    stamped_drive_path(&c->run.model, (int)stripe->drive, "data", path);
    snprintf(offset, sizeof offset, "offset %lld", (long long)stripe->offset);
    const char *blamed = ft_streamer_host_record(c->run.streamer, record) ? "host memory changed"
                         : ft_streamer_resident(c->run.streamer, record)  ? "in the device's memory"
                                                                           : "are not what was written there";
    if (!strstr(ft_error_message(), path) || !strstr(ft_error_message(), offset) || !strstr(ft_error_message(), blamed))
        fail_msg("\"%s\" does not name %s, %s and \"%s\"", ft_error_message(), path, offset, blamed);
    assert_true(ft_streamer_suspect(c->run.streamer));
    ft_lease lease;
    assert_int_equal(ft_streamer_acquire(c->run.streamer, 0, FT_FORWARD, &lease), FT_E_CORRUPT);
}

// Steps until the change of the stripe is found.
static int64_t steps_to_find(const char *homes, ft_resource binding, int64_t index, bool all)
{
    checked_run c;
    open_run(&c, homes, binding, STRIPES);
    const ft_stripe *stripe = &c.run.model.store.stripe[index];
    for (int i = 0; i < 3; i++) ok(step(&c, NULL));
    flip_at_home(&c, stripe);
    int64_t promised = ft_streamer_verify_steps(c.run.streamer), steps = 0;
    ft_status status = FT_OK;
    if (all) ft_streamer_verify_all(c.run.streamer);
    for (; status == FT_OK && steps < promised; steps++) status = step(&c, NULL);
    if (status != FT_E_CORRUPT) fail_msg("homes %s, stripe %lld: not found in %lld steps", homes, (long long)index, (long long)steps);
    check_message(&c, stripe);
    close_run(&c);
    return steps;
}

static const char *const all_homes[] = {"n", "h", "d", "nhd", "nnhh"};
static const ft_resource bindings[] = {FT_RESOURCE_COMPUTE, FT_RESOURCE_H2D};

static int64_t stripes_of(const char *homes)
{
    checked_run c;
    open_run(&c, homes, FT_RESOURCE_COMPUTE, 0);
    int64_t n = c.run.model.store.n_stripes;
    close_run(&c);
    return n;
}

static void test_a_change_is_found_within_the_promised_steps(void **state)
{
    int64_t n = stripes_of("n"), longest = 0;
    for (size_t h = 0; h < sizeof all_homes / sizeof *all_homes; h++)
        for (int b = 0; b < 2; b++)
            for (int64_t i = h % 3; i < n; i += 3) {
                int64_t steps = steps_to_find(all_homes[h], bindings[b], i, false);
                if (steps > longest) longest = steps;
            }
    assert_in_range(longest, 3, (n + STRIPES - 1) / STRIPES);
}

static void test_a_step_that_checks_all_finds_any_change(void **state)
{
    int64_t n = stripes_of("n");
    for (size_t h = 0; h < sizeof all_homes / sizeof *all_homes; h++)
        for (int64_t i = h % 4; i < n; i += 4) assert_int_equal(steps_to_find(all_homes[h], bindings[i % 2], i, true), 1);
}

// Bytes that go wrong on their way to the device, or there.
static void test_a_bad_copy_is_told_from_a_bad_drive(void **state)
{
    for (int home = 0; home < 2; home++) {
        checked_run c;
        open_run(&c, home ? "h" : "n", FT_RESOURCE_H2D, 1 << 20);
        const ft_stripe *stripe = ft_store_locate(&c.run.model.store, 2, c.run.plan.layout.record[2].extent[FT_GROUP_DOWN].offset);
        ok(step(&c, NULL));
        ft_status status = FT_OK;
        for (int i = 0; i < 2 * SWEEPS && status == FT_OK; i++) status = step(&c, stripe);
        assert_int_equal(status, FT_E_CORRUPT);
        assert_non_null(strstr(ft_error_message(), home ? "right on the drive and in host memory" : "right on the drive and were wrong in the device"));
        assert_true(ft_streamer_suspect(c.run.streamer));
        close_run(&c);
    }
}

static void test_a_good_run_checks_every_stripe_once_a_round(void **state)
{
    for (size_t h = 0; h < sizeof all_homes / sizeof *all_homes; h++) {
        for (int b = 0; b < 2; b++) {
            checked_run c;
            ft_streamer_stats stats;
            open_run(&c, all_homes[h], bindings[b], STRIPES);
            ok(stamped_sweeps(&c.run, FT_SWEEP_TRAIN, 1));  // first reads are counted apart
            int64_t rounds = ft_streamer_verify_steps(c.run.streamer), allocations = ft_memory_allocations();
            assert_int_equal(rounds, (c.run.model.store.n_stripes + STRIPES - 1) / STRIPES);
            ft_memory_seal();
            for (int64_t i = 0; i < rounds; i++) ok(step(&c, NULL));
            ft_streamer_get_stats(c.run.streamer, &stats);
            assert_int_equal(stats.stripes_sampled_device + stats.stripes_sampled_host, rounds * STRIPES);
            ft_streamer_verify_all(c.run.streamer);
            ok(step(&c, NULL));
            ft_streamer_get_stats(c.run.streamer, &stats);
            assert_int_equal(stats.stripes_sampled_device + stats.stripes_sampled_host, rounds * STRIPES + c.run.model.store.n_stripes);
            ft_memory_unseal();
            assert_int_equal(ft_memory_allocations(), allocations);
            ok(stamped_sweeps(&c.run, FT_SWEEP_TRAIN, 1));  // every byte is what it was
            close_run(&c);
        }
    }
}

static void test_without_checks_nothing_is_found(void **state)
{
    checked_run c;
    open_run(&c, "nhd", FT_RESOURCE_H2D, 0);
    assert_int_equal(ft_streamer_verify_steps(c.run.streamer), 0);
    ok(step(&c, NULL));
    for (int64_t i = 0; i < c.run.model.store.n_stripes; i += 2) flip_at_home(&c, &c.run.model.store.stripe[i]);
    ft_streamer_verify_all(c.run.streamer);
    for (int i = 0; i < 3; i++) ok(step(&c, NULL));
    assert_false(ft_streamer_suspect(c.run.streamer));
    close_run(&c);
}

// A step that is given up half way; what it was to check is of no account any more.
static void test_a_dropped_step_is_forgotten(void **state)
{
    checked_run c;
    open_run(&c, "nh", FT_RESOURCE_H2D, STRIPES);
    for (int round = 0; round < 4; round++) {
        ok(step(&c, NULL));
        ok(ft_streamer_start(c.run.streamer, FT_SWEEP_TRAIN, SWEEPS));
        ft_streamer_verify_begin(c.run.streamer, SWEEPS);
        for (int layer = 0; layer < LAYERS - 1; layer++) ok(visit(&c, layer, FT_FORWARD, NULL));
        ok(ft_streamer_cancel(c.run.streamer));
        ok(step(&c, NULL));
    }
    close_run(&c);
}

static void test_any_failed_allocation_is_one_clean_error(void **state)
{
    ft_status status = FT_E_NOMEM;
    int64_t n = 0;
    for (; status != FT_OK; n++) {
        checked_run c;
        open_run(&c, "nhd", FT_RESOURCE_H2D, 0);
        ft_memory_fail_after(n + 1);
        status = ft_streamer_verify_open(c.run.streamer, &(ft_verify_options){.stripes = STRIPES, .ops = ft_ops_for(FT_DEVICE_CPU), .device = c.device,
                                                                              .host = c.host});
        ft_memory_fail_after(0);
        if (status == FT_OK) ok(step(&c, NULL));
        else assert_int_equal(status, FT_E_NOMEM);
        close_run(&c);
    }
    assert_true(n > 4);
}

// A stripe that was never good is no reason to doubt what was computed before.
static void test_a_bad_first_read_is_not_suspect(void **state)
{
    for (int b = 0; b < 2; b++) {
        checked_run c;
        open_run(&c, "n", bindings[b], 1 << 20);
        // Of the last layer: its turn to be checked again comes before it is read at all.
        flip_in_file(&c, ft_store_locate(&c.run.model.store, LAYERS - 1, 0));
        assert_int_equal(step(&c, NULL), FT_E_CORRUPT);
        assert_false(ft_streamer_suspect(c.run.streamer));
        close_run(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_is_found_within_the_promised_steps),
        cmocka_unit_test(test_a_step_that_checks_all_finds_any_change),
        cmocka_unit_test(test_a_bad_copy_is_told_from_a_bad_drive),
        cmocka_unit_test(test_a_good_run_checks_every_stripe_once_a_round),
        cmocka_unit_test(test_without_checks_nothing_is_found),
        cmocka_unit_test(test_a_dropped_step_is_forgotten),
        cmocka_unit_test(test_a_bad_first_read_is_not_suspect),
        cmocka_unit_test(test_any_failed_allocation_is_one_clean_error),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
