// Wherever records live, whatever the depth, drives and sweeps: every group handed out holds exactly its record's bytes, and the
// counters say exactly what the schedule says.
#include "offload/plan_internal.h"
#include "stamped_run.h"

enum { LAYERS = 7 };

static const char *const placements[] = {"d", "h", "n", "nh", "dn", "ddh", "hnd", "ndnnh"};

static void check_stats(const stamped_run *r, int64_t cold[2], int64_t steady[2], int64_t sweeps[2])
{
    ft_streamer_stats stats;
    ft_streamer_get_stats(r->streamer, &stats);
    int64_t h2d = 0, nvme = 0;
    for (int mode = 0; mode < FT_SWEEP_MODES; mode++) {
        ft_sweep_mode m = (ft_sweep_mode)mode;
        h2d += cold[mode] * stamped_load_bytes(&r->plan, r->plan.cold[mode], m, false);
        h2d += steady[mode] * stamped_load_bytes(&r->plan, r->plan.steady[mode], m, false);
        nvme += cold[mode] * stamped_load_bytes(&r->plan, r->plan.cold[mode], m, true);
        nvme += steady[mode] * stamped_load_bytes(&r->plan, r->plan.steady[mode], m, true);
        assert_int_equal(cold[mode] + steady[mode], sweeps[mode]);
    }
    assert_int_equal(stats.bytes_h2d, h2d);
    assert_int_equal(stats.class_load[FT_UNIT_BASE], h2d);
    assert_int_equal(stats.bytes_nvme_read, nvme);
    assert_int_equal(stats.bytes_d2h, 0);
    assert_int_equal(stats.stripes_reread, 0);
    assert_true(stats.stripes_verified <= r->model.store.n_stripes);
}

// Training sweeps in two announcements, then evaluation, then training again.
static void run_schedule(const stamped_run_options *options, bool plans_own)
{
    stamped_run r;
    stamped_prepare(&r, options);
    if (plans_own) ft_plan_schedule(&r.plan);
    ok(stamped_try_open(&r, options));
    assert_int_equal(r.arena.used, stamped_hbm_bytes(&r.plan));  // the plan's lines are what is taken
    assert_int_equal(ft_pool_used(r.pool), ft_streamer_pool_bytes(&r.plan));
    ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 1));
    ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 2));
    ok(stamped_sweeps(&r, FT_SWEEP_EVALUATE, 2));
    ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 1));
    check_stats(&r, (int64_t[2]){2, 1}, (int64_t[2]){2, 1}, (int64_t[2]){4, 2});
    stamped_close(&r);
}

static void run(const stamped_run_options *options)
{
    run_schedule(options, false);
}

static void test_every_placement_and_depth_delivers_the_right_bytes(void **state)
{
    for (size_t p = 0; p < sizeof placements / sizeof *placements; p++) {
        for (int depth = 1; depth <= 4; depth++) {
            stamped_run_options options = {.model = {.layers = LAYERS, .drives = depth % 2 ? 1 : 3, .group_bytes = 12 << 10},
                                           .homes = placements[p], .slots = depth + 1, .host_slots = depth};
            run_schedule(&options, false);
            run_schedule(&options, true);
        }
    }
}

static void test_a_single_slot_works(void **state)
{
    stamped_run_options options = {.model = {.layers = LAYERS, .drives = 2, .group_bytes = 8 << 10}, .homes = "n", .slots = 1,
                                   .host_slots = 1};
    run(&options);
}

static void test_more_slots_than_layers_load_once(void **state)
{
    stamped_run_options options = {.model = {.layers = 3, .drives = 2, .group_bytes = 8 << 10}, .homes = "n", .slots = 4, .host_slots = 2};
    run(&options);
}

static void test_layers_of_different_sizes_share_slots(void **state)
{
    stamped_run_options options = {.model = {.layers = 13, .drives = 3, .group_bytes = 16 << 10, .uneven = true},
                                   .homes = "nnh", .slots = 2, .host_slots = 2, .piece_bytes = 8 << 10};
    for (; options.slots <= 4; options.slots++) run(&options);
}

// Extents of more than one stripe, copies that end within stripes.
static void test_large_groups_cross_stripes_and_pieces(void **state)
{
    stamped_run_options options = {.model = {.layers = 3, .drives = 3, .group_bytes = (FT_STRIPE_BYTES * 3) / 2}, .homes = "n", .slots = 2,
                                   .host_slots = 1, .piece_bytes = 3 << 20};
    run(&options);
}

static void test_residents_are_where_they_were_planned(void **state)
{
    stamped_run r;
    stamped_run_options options = {.model = {.layers = 4, .drives = 2, .group_bytes = 8 << 10, .tied = true}, .homes = "dhn", .slots = 2,
                                   .host_slots = 1};
    stamped_open(&r, &options);
    const int embed = 4, head = 5;
    for (int i = 0; i < r.plan.layout.n_records; i++) {
        const void *device = ft_streamer_resident(r.streamer, i), *host = ft_streamer_host_record(r.streamer, i);
        assert_int_equal(device != NULL, i == 0 || i == 3 || i == embed || i == head);
        assert_int_equal(host != NULL, i == 1 || i == embed);
        if (device != NULL) stamped_check(device, i, 0, r.plan.layout.record[i].bytes);
        if (host != NULL) stamped_check(host, i, 0, r.plan.layout.record[i].bytes);
    }
    stamped_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_placement_and_depth_delivers_the_right_bytes),
        cmocka_unit_test(test_a_single_slot_works),
        cmocka_unit_test(test_more_slots_than_layers_load_once),
        cmocka_unit_test(test_layers_of_different_sizes_share_slots),
        cmocka_unit_test(test_large_groups_cross_stripes_and_pieces),
        cmocka_unit_test(test_residents_are_where_they_were_planned),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
