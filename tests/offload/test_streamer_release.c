// Leases: a caller that runs ahead of its own queue, groups released late, out of order, unread or from two queues; slots are
// refilled only behind the work that reads them. (A copy queue of the CPU device stands for an asynchronous compute queue.)
#include <signal.h>
#include <sys/wait.h>

#include "common/log.h"
#include "stamped_run.h"

enum { LAYERS = 6, SWEEPS = 3, VISITS = 2 * LAYERS * SWEEPS };

static const stamped_run_options base = {.model = {.layers = LAYERS, .drives = 2, .group_bytes = 16 << 10}, .homes = "nnh",
                                         .slots = 2, .host_slots = 2, .piece_bytes = 8 << 10};

static int layer_of(int64_t number)
{
    int64_t at = number % (2 * LAYERS);
    return (int)(at < LAYERS ? at : 2 * LAYERS - 1 - at);
}

static ft_lease acquire(stamped_run *r, int64_t number)
{
    ft_lease lease;
    ok(ft_streamer_acquire(r->streamer, layer_of(number), number % (2 * LAYERS) < LAYERS ? FT_FORWARD : FT_BACKWARD, &lease));
    return lease;
}

// The groups of a visit are copied out by `queue` and released at once; what was copied is looked at when all is over.
static void visit_asynchronously(stamped_run *r, int64_t number, ft_queue *queue, char *copy)
{
    ft_lease lease = acquire(r, number);
    for (int group = FT_GROUP_COUNT - 1; group >= 0; group--) {
        const ft_extent *extent = &lease.record->extent[group];
        ok(ft_streamer_await(r->streamer, &lease, (ft_group)group, queue));
        ok(ft_copy_d2d(queue, copy + extent->offset, lease.base + extent->offset, extent->bytes));
        ok(ft_streamer_release(r->streamer, &lease, (ft_group)group, queue));
    }
}

static void run_asynchronously(const stamped_run_options *options, int queues)
{
    stamped_run r;
    ft_queue *queue[2];
    stamped_open(&r, options);
    for (int i = 0; i < queues; i++) ok(ft_queue_create(r.device, FT_QUEUE_COPY, "async", &queue[i]));
    int64_t bytes = r.plan.slot_bytes;
    char *copies = malloc((size_t)(VISITS * bytes));
    ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, SWEEPS));
    for (int64_t i = 0; i < VISITS; i++) visit_asynchronously(&r, i, queue[i % queues], copies + i * bytes);
    for (int i = 0; i < queues; i++) ok(ft_queue_sync(queue[i]));
    for (int64_t i = 0; i < VISITS; i++) {
        const ft_record *record = &r.plan.layout.record[layer_of(i)];
        stamped_check(copies + i * bytes, layer_of(i), 0, record->bytes);
    }
    free(copies);
    ft_streamer_close(r.streamer);
    r.streamer = NULL;
    for (int i = 0; i < queues; i++) ft_queue_destroy(queue[i]);
    stamped_close(&r);
}

static void test_slots_are_refilled_behind_asynchronous_work(void **state)
{
    stamped_run_options options = base;
    for (; options.slots <= 3; options.slots++) run_asynchronously(&options, 1);
    options.model.uneven = true;
    options.slots = 2;
    run_asynchronously(&options, 1);
}

// At the turn the same load is read by both queues.
static void test_two_queues_may_share_a_slot(void **state)
{
    run_asynchronously(&base, 2);
}

static void release(stamped_run *r, const ft_lease *lease, ft_group group)
{
    stamped_check_group(lease, group);
    ok(ft_streamer_release(r->streamer, lease, group, r->queue));
}

// Three of four slots are on loan all the time; groups come back one by one, the oldest visit's last.
static void test_leases_may_be_held_while_slots_last(void **state)
{
    stamped_run r;
    stamped_run_options options = base;
    options.slots = 4;
    stamped_open(&r, &options);
    ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, SWEEPS));
    ft_lease held[3];
    for (int64_t i = 0; i < VISITS + 3; i++) {
        ft_lease *lease = &held[i % 3];
        if (i >= 3) for (int group = 0; group < FT_GROUP_MATRICES; group++) release(&r, lease, (ft_group)(3 - group));
        if (i >= VISITS) continue;
        *lease = acquire(&r, i);
        for (int group = 0; group < FT_GROUP_COUNT; group++) ok(ft_streamer_await(r.streamer, lease, (ft_group)group, r.queue));
        release(&r, lease, FT_GROUP_SMALL);
    }
    stamped_close(&r);
}

// A group comes back while others of its layer are still read: the refill must not touch those.
static void test_a_released_group_is_refilled_while_others_are_read(void **state)
{
    stamped_run r;
    stamped_run_options options = base;
    options.homes = "h";
    options.slots = 1;
    stamped_open(&r, &options);
    ok(ft_streamer_start(r.streamer, FT_SWEEP_EVALUATE, 1));
    ft_lease lease, next;
    ok(ft_streamer_acquire(r.streamer, 0, FT_FORWARD, &lease));
    for (int group = 0; group < FT_GROUP_COUNT; group++) ok(ft_streamer_await(r.streamer, &lease, (ft_group)group, r.queue));
    release(&r, &lease, FT_GROUP_SMALL);
    release(&r, &lease, FT_GROUP_QKV);
    ok(ft_streamer_acquire(r.streamer, 1, FT_FORWARD, &next));
    ok(ft_streamer_await(r.streamer, &next, FT_GROUP_QKV, r.queue));  // comes in although o, gate+up and down are on loan
    stamped_check_group(&next, FT_GROUP_QKV);
    for (int group = FT_GROUP_O; group < FT_GROUP_MATRICES; group++) release(&r, &lease, (ft_group)group);
    for (int group = 0; group < FT_GROUP_COUNT; group++) {
        ok(ft_streamer_await(r.streamer, &next, (ft_group)group, r.queue));
        release(&r, &next, (ft_group)group);
    }
    ok(ft_streamer_cancel(r.streamer));
    stamped_close(&r);
}

// Layers of different shapes: a group on loan that the slot's next layer does not touch holds up nobody.
static void test_a_held_group_delays_only_what_overwrites_it(void **state)
{
    enum { HELD = 2 };  // its norms lie behind all of layer HELD + 2, which takes the same slot
    stamped_run r;
    stamped_run_options options = base;
    options.model.layers = 6;
    options.model.uneven = true;
    options.homes = "h";
    stamped_open(&r, &options);
    const ft_record *record = r.plan.layout.record;
    assert_true(record[HELD].extent[FT_GROUP_SMALL].offset >= record[HELD + 2].bytes);
    ft_lease lease, held = {0};
    ok(ft_streamer_start(r.streamer, FT_SWEEP_EVALUATE, 1));
    for (int layer = 0; layer < 6; layer++) {
        ok(ft_streamer_acquire(r.streamer, layer, FT_FORWARD, &lease));
        for (int group = 0; group < FT_GROUP_COUNT; group++) {
            ok(ft_streamer_await(r.streamer, &lease, (ft_group)group, r.queue));
            if (layer == HELD && group == FT_GROUP_SMALL) held = lease;
            else release(&r, &lease, (ft_group)group);
        }
    }
    release(&r, &held, FT_GROUP_SMALL);
    stamped_close(&r);
}

static void test_groups_may_be_released_unread(void **state)
{
    stamped_run r;
    stamped_open(&r, &base);
    ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, SWEEPS));
    for (int64_t i = 0; i < VISITS; i++) {
        ft_lease lease = acquire(&r, i);
        ft_group read = (ft_group)(i % FT_GROUP_COUNT);
        for (int group = 0; group < FT_GROUP_COUNT; group++) {
            if (group == (int)read) continue;
            ok(ft_streamer_release(r.streamer, &lease, (ft_group)group, r.queue));
        }
        ok(ft_streamer_await(r.streamer, &lease, read, r.queue));
        release(&r, &lease, read);
    }
    stamped_close(&r);
}

static void test_a_released_group_is_overwritten_when_asked_for(void **state)
{
    stamped_run r;
    stamped_open(&r, &base);
    ok(ft_streamer_start(r.streamer, FT_SWEEP_EVALUATE, 1));
    ft_lease lease;
    for (int layer = 0; layer < LAYERS; layer++) {
        ok(ft_streamer_acquire(r.streamer, layer, FT_FORWARD, &lease));
        for (int group = 0; group < FT_GROUP_COUNT; group++) {
            ok(ft_streamer_await(r.streamer, &lease, (ft_group)group, r.queue));
            ok(ft_streamer_release(r.streamer, &lease, (ft_group)group, r.queue));
        }
    }
    const ft_extent *extent = &lease.record->extent[FT_GROUP_DOWN];  // of the last layer: nothing is loaded over it
    for (int64_t at = 0; at < extent->bytes; at++) assert_int_equal((uint8_t)lease.base[extent->offset + at], 0xA5);
    stamped_close(&r);
}

static void test_waiting_for_a_late_disk_counts_as_stall(void **state)
{
    stamped_run r;
    stamped_open(&r, &base);
    double begin = ft_now_s();
    ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 1));
    ft_streamer_stats stats;
    ft_streamer_get_stats(r.streamer, &stats);
    assert_true(stats.stall_s > 0 && stats.stall_s < ft_now_s() - begin);
    stamped_close(&r);
}

// --- Broken promises of the caller end the process --------------------------------------------------------------------------
static void misuse_release_twice(stamped_run *r)
{
    ft_lease lease = acquire(r, 0);
    ok(ft_streamer_await(r->streamer, &lease, FT_GROUP_O, r->queue));
    ok(ft_streamer_release(r->streamer, &lease, FT_GROUP_O, r->queue));
    ft_streamer_release(r->streamer, &lease, FT_GROUP_O, r->queue);
}

static void misuse_wrong_layer(stamped_run *r)
{
    ft_lease lease;
    ft_streamer_acquire(r->streamer, 1, FT_FORWARD, &lease);
}

static void misuse_after_cancel(stamped_run *r)
{
    ft_lease lease = acquire(r, 0);
    ok(ft_streamer_await(r->streamer, &lease, FT_GROUP_O, r->queue));
    ok(ft_streamer_cancel(r->streamer));
    ok(ft_streamer_start(r->streamer, FT_SWEEP_TRAIN, 1));
    ft_streamer_release(r->streamer, &lease, FT_GROUP_O, r->queue);
}

static void misuse_stale_lease(stamped_run *r)
{
    ft_lease first = acquire(r, 0);
    for (int group = 0; group < FT_GROUP_COUNT; group++) ok(ft_streamer_release(r->streamer, &first, (ft_group)group, r->queue));
    ok(stamped_visits(r, FT_SWEEP_TRAIN, 1, 2 * LAYERS));
    ft_streamer_await(r->streamer, &first, FT_GROUP_O, r->queue);
}

static bool aborts(void (*misuse)(stamped_run *r))
{
    char directory[] = "/tmp/ft-test-XXXXXX";  // the child leaves its files behind
    assert_non_null(mkdtemp(directory));
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        setenv("TMPDIR", directory, 1);
        stamped_run r;
        stamped_open(&r, &base);
        ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, 1));
        misuse(&r);
        _exit(0);
    }
    assert_true(waitpid(child, &status, 0) == child);
    ok(ft_remove_tree(directory));
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_misuse_is_caught_by_the_stamps(void **state)
{
    assert_true(aborts(misuse_release_twice));
    assert_true(aborts(misuse_wrong_layer));
    assert_true(aborts(misuse_after_cancel));
    assert_true(aborts(misuse_stale_lease));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misuse_is_caught_by_the_stamps),
        cmocka_unit_test(test_slots_are_refilled_behind_asynchronous_work),
        cmocka_unit_test(test_two_queues_may_share_a_slot),
        cmocka_unit_test(test_leases_may_be_held_while_slots_last),
        cmocka_unit_test(test_a_released_group_is_refilled_while_others_are_read),
        cmocka_unit_test(test_a_held_group_delays_only_what_overwrites_it),
        cmocka_unit_test(test_groups_may_be_released_unread),
        cmocka_unit_test(test_a_released_group_is_overwritten_when_asked_for),
        cmocka_unit_test(test_waiting_for_a_late_disk_counts_as_stall),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
