// Announcements: dropped at any point and begun again, refused where they contradict, and plans refused that contradict themselves.
#include "stamped_run.h"

enum { LAYERS = 5 };

static const stamped_run_options base = {.model = {.layers = LAYERS, .drives = 2, .group_bytes = 16 << 10}, .homes = "nnhdn",
                                         .slots = 2, .host_slots = 2};

static void test_a_sweep_can_be_dropped_after_any_visit(void **state)
{
    stamped_run r;
    stamped_open(&r, &base);
    for (int64_t visits = 0; visits <= 4 * LAYERS; visits++) {
        ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, 2));
        ok(stamped_visits(&r, FT_SWEEP_TRAIN, 0, visits));
        ok(ft_streamer_cancel(r.streamer));
        ok(stamped_sweeps(&r, visits % 2 ? FT_SWEEP_TRAIN : FT_SWEEP_EVALUATE, 1));
    }
    stamped_close(&r);
}

// A signal arrives amid a layer: some groups were read, some released, some neither.
static void test_leases_on_loan_are_dropped_with_the_sweep(void **state)
{
    stamped_run r;
    stamped_open(&r, &base);
    for (int groups = 0; groups <= 2 * FT_GROUP_COUNT; groups++) {
        ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, 3));
        ft_lease lease;
        ok(stamped_visits(&r, FT_SWEEP_TRAIN, 0, groups % 4));
        ok(ft_streamer_acquire(r.streamer, groups % 4, FT_FORWARD, &lease));
        for (int i = 0; i < groups; i++) {
            if (i % 2) ok(ft_streamer_release(r.streamer, &lease, (ft_group)(i / 2), r.queue));
            else ok(ft_streamer_await(r.streamer, &lease, (ft_group)(i / 2), r.queue));
        }
        ok(ft_streamer_cancel(r.streamer));
    }
    ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 2));
    stamped_close(&r);
}

// Work that still reads a slot when its sweep is dropped reads what it was promised.
static void test_a_cancel_waits_for_work_that_reads_slots(void **state)
{
    stamped_run r;
    stamped_run_options options = base;
    options.homes = "h";
    options.model.group_bytes = 1 << 20;
    stamped_open(&r, &options);
    ft_queue *queue;
    ok(ft_queue_create(r.device, FT_QUEUE_COPY, "async", &queue));
    char *copy = malloc((size_t)r.plan.slot_bytes);
    ft_lease lease;
    ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, 1));
    ok(ft_streamer_acquire(r.streamer, 0, FT_FORWARD, &lease));
    for (int group = 0; group < FT_GROUP_COUNT; group++) ok(ft_streamer_await(r.streamer, &lease, (ft_group)group, queue));
    for (int i = 0; i < 20; i++) ok(ft_copy_d2d(queue, copy, lease.base, lease.record->bytes));
    ok(ft_streamer_cancel(r.streamer));
    ok(stamped_sweeps(&r, FT_SWEEP_EVALUATE, 1));
    stamped_check(copy, 0, 0, lease.record->bytes);
    free(copy);
    ft_streamer_close(r.streamer);
    r.streamer = NULL;
    ft_queue_destroy(queue);
    stamped_close(&r);
}

static void test_close_needs_no_cancel(void **state)
{
    for (int64_t visits = 0; visits < 2 * LAYERS; visits += 3) {
        stamped_run r;
        stamped_open(&r, &base);
        ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, 3));
        ok(stamped_visits(&r, FT_SWEEP_TRAIN, 0, visits));
        stamped_close(&r);
    }
}

static void test_left_over_visits_refuse_a_new_announcement(void **state)
{
    stamped_run r;
    stamped_open(&r, &base);
    ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, 1));
    ok(stamped_visits(&r, FT_SWEEP_TRAIN, 0, 2 * LAYERS - 1));
    assert_int_equal(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, 1), FT_E_INTERNAL);
    assert_string_equal(ft_error_message(), "streamer: 1 announced visits are left over");
    ok(stamped_visits(&r, FT_SWEEP_TRAIN, 2 * LAYERS - 1, 2 * LAYERS));
    ft_lease lease;
    assert_int_equal(ft_streamer_acquire(r.streamer, 0, FT_FORWARD, &lease), FT_E_INTERNAL);
    ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 1));
    stamped_close(&r);
}

static void test_steady_sweeps_start_where_the_last_one_ended(void **state)
{
    stamped_run r;
    stamped_run_options options = base;
    options.homes = "n";
    stamped_open(&r, &options);
    int64_t cold = stamped_load_bytes(&r.plan, r.plan.cold[FT_SWEEP_TRAIN], FT_SWEEP_TRAIN, false);
    int64_t steady = stamped_load_bytes(&r.plan, r.plan.steady[FT_SWEEP_TRAIN], FT_SWEEP_TRAIN, false);
    assert_true(steady < cold);
    int64_t expected = 0, sweeps[][2] = {{1, 0}, {0, 2}, {1, 1}};  // cold and steady ones of each announcement
    for (int i = 0; i < 3; i++) {
        if (i == 2) ok(ft_streamer_cancel(r.streamer));  // nothing to drop, but the slots are given up
        ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, sweeps[i][0] + sweeps[i][1]));
        expected += sweeps[i][0] * cold + sweeps[i][1] * steady;
        ft_streamer_stats stats;
        ft_streamer_get_stats(r.streamer, &stats);
        assert_int_equal(stats.bytes_h2d, expected);
    }
    stamped_close(&r);
}

// --- Plans that contradict themselves ---------------------------------------------------------------------------------------
static void refuse(void (*spoil)(ft_plan *plan), const char *expected)
{
    stamped_run r;
    stamped_prepare(&r, &base);
    spoil(&r.plan);
    assert_int_equal(stamped_try_open(&r, &base), FT_E_INTERNAL);
    if (strstr(ft_error_message(), expected) == NULL) fail_msg("\"%s\" does not say \"%s\"", ft_error_message(), expected);
    stamped_close(&r);
}

static void spoil_load(ft_plan *plan) { plan->cold[FT_SWEEP_EVALUATE][1].load = false; }
static void spoil_steady(ft_plan *plan) { plan->steady[FT_SWEEP_TRAIN][2].load = false; }
static void spoil_slot(ft_plan *plan) { plan->cold[FT_SWEEP_TRAIN][0].slot = 2; }
static void spoil_home(ft_plan *plan) { plan->home[0] = FT_TIER_HBM; }
static void spoil_host_slot(ft_plan *plan) { plan->cold[FT_SWEEP_TRAIN][0].host_slot = -1; }
static void spoil_layer(ft_plan *plan) { plan->cold[FT_SWEEP_TRAIN][0].layer = LAYERS; }
static void spoil_size(ft_plan *plan) { plan->slot_bytes -= 4096; }

static void test_a_contradictory_schedule_is_refused(void **state)
{
    refuse(spoil_load, "visit 1 (layer 1, slot 1, host slot 1) of mode evaluate: the slot holds another layer");
    refuse(spoil_steady, "of mode train: the slot holds another layer");
    refuse(spoil_slot, "there is no such slot");
    refuse(spoil_home, "a layer has a slot unless it lives on the device");
    refuse(spoil_host_slot, "there is no such host slot");
    refuse(spoil_layer, "there is no such layer");
    refuse(spoil_size, "the layer is larger than the slot");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sweep_can_be_dropped_after_any_visit),
        cmocka_unit_test(test_leases_on_loan_are_dropped_with_the_sweep),
        cmocka_unit_test(test_a_cancel_waits_for_work_that_reads_slots),
        cmocka_unit_test(test_close_needs_no_cancel),
        cmocka_unit_test(test_left_over_visits_refuse_a_new_announcement),
        cmocka_unit_test(test_steady_sweeps_start_where_the_last_one_ended),
        cmocka_unit_test(test_a_contradictory_schedule_is_refused),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
