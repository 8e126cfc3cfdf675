// Thousands of visits of tiny records over schedules drawn at random, on a caller that runs ahead of its queue, with announcements
// dropped now and then. Under the thread sanitizer this finds a missing edge; without it a wrong word does.
#include "stamped_run.h"

enum { LAYERS = 9, ROUNDS = 60, SWEEPS = 4, VISITS = 2 * LAYERS };

// Slots and ring slots at random. A steady sweep may not rely on what it finds, so each slot's first use is a load.
static void draw_sweep(stamped_run *r, ft_visit *visits)
{
    int32_t occupant[STAMPED_LAYERS_MAX];
    for (int i = 0; i < STAMPED_LAYERS_MAX; i++) occupant[i] = -1;
    for (int i = 0; i < VISITS; i++) {
        ft_visit *visit = &visits[i];
        ft_tier home = (ft_tier)r->plan.home[visit->layer];
        if (home == FT_TIER_HBM) continue;
        visit->slot = (int32_t)(stamped_random(r) % r->plan.slots);
        for (int32_t slot = 0; slot < r->plan.slots; slot++)
            if (occupant[slot] == visit->layer && stamped_random(r) % 2) visit->slot = slot;
        visit->load = occupant[visit->slot] != visit->layer;
        visit->host_slot = home == FT_TIER_NVME && visit->load ? (int32_t)(stamped_random(r) % r->plan.host_slots) : -1;
        occupant[visit->slot] = visit->layer;
    }
}

typedef struct {
    ft_queue *queue;
    char *copies;
    int64_t pending;           // visits whose copies have not been looked at
    int layer[4 * VISITS];
} ahead;

static void look(stamped_run *r, ahead *a)
{
    ok(ft_queue_sync(a->queue));
    for (int64_t i = 0; i < a->pending; i++)
        stamped_check(a->copies + i * r->plan.slot_bytes, a->layer[i], 0, r->plan.layout.record[a->layer[i]].bytes);
    a->pending = 0;
}

static void visit(stamped_run *r, ahead *a, int number)
{
    ft_lease lease;
    int layer = number < LAYERS ? number : VISITS - 1 - number;
    ok(ft_streamer_acquire(r->streamer, layer, number < LAYERS ? FT_FORWARD : FT_BACKWARD, &lease));
    if (a->pending == 4 * VISITS) look(r, a);
    char *copy = a->copies + a->pending * r->plan.slot_bytes;
    a->layer[a->pending++] = layer;
    uint32_t first = stamped_random(r);
    for (uint32_t i = 0; i < FT_GROUP_COUNT; i++) {
        ft_group group = (ft_group)((first + 2 * i) % FT_GROUP_COUNT);
        const ft_extent *extent = &lease.record->extent[group];
        ok(ft_streamer_await(r->streamer, &lease, group, a->queue));
        ok(ft_copy_d2d(a->queue, copy + extent->offset, lease.base + extent->offset, extent->bytes));
        ok(ft_streamer_release(r->streamer, &lease, group, a->queue));
    }
}

static void run(int64_t slots, int64_t host_slots, int drives)
{
    stamped_run r;
    stamped_run_options options = {.model = {.layers = LAYERS, .drives = drives, .group_bytes = 4 << 10, .uneven = true}, .homes = "nnhnd",
                                   .slots = (int)slots, .host_slots = (int)host_slots, .piece_bytes = 4 << 10};
    stamped_prepare(&r, &options);
    r.random = (uint64_t)(slots * 100 + host_slots * 10 + drives);
    draw_sweep(&r, r.plan.cold[FT_SWEEP_TRAIN]);
    draw_sweep(&r, r.plan.steady[FT_SWEEP_TRAIN]);
    ok(stamped_try_open(&r, &options));
    ahead a = {.copies = malloc((size_t)(4 * VISITS * r.plan.slot_bytes))};
    ok(ft_queue_create(r.device, FT_QUEUE_COPY, "ahead", &a.queue));
    for (int round = 0; round < ROUNDS; round++) {
        int64_t visits = round % 7 == 3 ? stamped_random(&r) % (SWEEPS * VISITS) : SWEEPS * VISITS;
        ok(ft_streamer_start(r.streamer, FT_SWEEP_TRAIN, SWEEPS));
        for (int64_t i = 0; i < visits; i++) visit(&r, &a, (int)(i % VISITS));
        if (visits < SWEEPS * VISITS) ok(ft_streamer_cancel(r.streamer));
    }
    look(&r, &a);
    free(a.copies);
    ft_streamer_close(r.streamer);
    r.streamer = NULL;
    ft_queue_destroy(a.queue);
    stamped_close(&r);
}

static void test_random_schedules_hold_for_thousands_of_visits(void **state)
{
    run(1, 1, 1);
    run(2, 1, 3);
    run(3, 2, 2);
    run(5, 4, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_schedules_hold_for_thousands_of_visits),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
