// A streamer over a stamped store: a plan made by hand, sweeps that check every group they are given.
#ifndef TESTS_OFFLOAD_STAMPED_RUN_H
#define TESTS_OFFLOAD_STAMPED_RUN_H

#include "offload/streamer.h"
#include "stamped.h"

typedef struct {
    stamped_options model;
    const char *homes;       // per layer 'd'evice, 'h'ost or 'n'vme, repeated to the number of layers
    char embed;              // 0 = 'h'
    int slots, host_slots;
    int64_t piece_bytes;
    int64_t unit_pool_bytes; // room for units
    const char *trace;
} stamped_run_options;

typedef struct {
    stamped_store model;
    ft_plan plan;
    ft_device *device;
    ft_pool *pool;
    void *hbm;
    ft_arena arena;
    ft_queue *queue;         // compute queue: work is done when a call returns
    ft_streamer *streamer;
    uint64_t random;
} stamped_run;

STAMPED uint32_t stamped_random(stamped_run *r)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((r->random ^ r->random >> 29) * 0x9E3779B97F4A7C15u >> 33);
}

STAMPED ft_tier stamped_tier(char home)
{
    return home == 'd' ? FT_TIER_HBM : home == 'h' ? FT_TIER_HOST : FT_TIER_NVME;
}

// The j-th streamed layer always uses slot j % slots; what is there already is not loaded again.
STAMPED void stamped_sweep_visits(const ft_plan *plan, ft_sweep_mode mode, ft_visit *visits, int32_t *occupant)
{
    int64_t layers = plan->layout.shape.layers, loads = 0;
    for (int64_t i = 0; i < plan->n_visits[mode]; i++) {
        int64_t layer = i < layers ? i : 2 * layers - 1 - i, streamed = 0;
        for (int64_t j = 0; j < layer; j++) streamed += plan->home[j] != FT_TIER_HBM;
        ft_visit *visit = &visits[i];
        *visit = (ft_visit){.layer = (int32_t)layer, .direction = i < layers ? FT_FORWARD : FT_BACKWARD, .slot = -1, .host_slot = -1};
        if (plan->home[layer] == FT_TIER_HBM) continue;
        visit->slot = (int32_t)(streamed % plan->slots);
        visit->load = occupant[visit->slot] != visit->layer;
        occupant[visit->slot] = visit->layer;
        if (visit->load && plan->home[layer] == FT_TIER_NVME) visit->host_slot = (int32_t)(loads++ % plan->host_slots);
    }
}

STAMPED void stamped_schedule(ft_plan *plan)
{
    int32_t occupant[STAMPED_LAYERS_MAX];
    for (int mode = 0; mode < FT_SWEEP_MODES; mode++) {
        plan->n_visits[mode] = plan->layout.shape.layers * (mode == FT_SWEEP_TRAIN ? 2 : 1);
        plan->cold[mode] = FT_NEW_ARRAY(ft_visit, plan->n_visits[mode]);
        plan->steady[mode] = FT_NEW_ARRAY(ft_visit, plan->n_visits[mode]);
        for (int i = 0; i < STAMPED_LAYERS_MAX; i++) occupant[i] = -1;
        stamped_sweep_visits(plan, (ft_sweep_mode)mode, plan->cold[mode], occupant);
        stamped_sweep_visits(plan, (ft_sweep_mode)mode, plan->steady[mode], occupant);
    }
}

STAMPED void stamped_plan(stamped_run *r, const stamped_run_options *options)
{
    ft_plan *plan = &r->plan;
    plan->layout = r->model.store.layout;
    int layers = options->model.layers;
    plan->home = FT_NEW_ARRAY(uint8_t, layers + 2);
    plan->keep = FT_NEW_ARRAY(uint8_t, layers);
    for (int i = 0; i < layers; i++) plan->home[i] = (uint8_t)stamped_tier(options->homes[(size_t)i % strlen(options->homes)]);
    for (int i = 0; i < layers; i++) plan->keep[i] = (uint8_t)(i % 2);
    plan->home[layers] = (uint8_t)stamped_tier(options->embed ? options->embed : 'h');
    plan->home[layers + 1] = FT_TIER_HBM;
    plan->slots = options->slots;
    plan->host_slots = options->host_slots;
    plan->slot_bytes = plan->layout.layer_bytes_max;
    stamped_schedule(plan);
}

STAMPED int64_t stamped_hbm_bytes(const ft_plan *plan)
{
    int64_t bytes = plan->slots * (int64_t)ft_arena_round((size_t)plan->slot_bytes);
    for (int i = 0; i < plan->layout.n_records; i++)
        if (plan->home[i] == FT_TIER_HBM || (plan->layout.shape.tied && i == ft_layout_embed(&plan->layout)))
            bytes += (int64_t)ft_arena_round((size_t)plan->layout.record[i].bytes);
    return bytes;
}

// Everything but the streamer.
STAMPED void stamped_prepare(stamped_run *r, const stamped_run_options *options)
{
    *r = (stamped_run){.random = 1};
    stamped_store_open(&r->model, &options->model);
    stamped_plan(r, options);
    ok(ft_device_open(&r->device, "cpu", 0));
    ok(ft_queue_create(r->device, FT_QUEUE_COMPUTE, "compute", &r->queue));
    int64_t hbm = stamped_hbm_bytes(&r->plan);
    ok(ft_device_alloc(r->device, hbm, &r->hbm));
    ft_arena_init(&r->arena, "hbm", r->hbm, (size_t)hbm);
    ok(ft_pool_create(&r->pool, r->device, ft_streamer_pool_bytes(&r->plan) + options->unit_pool_bytes, -1));
}

STAMPED ft_status stamped_try_open(stamped_run *r, const stamped_run_options *options)
{
    return ft_streamer_open(&r->streamer, &(ft_streamer_options){.plan = &r->plan, .store = &r->model.store, .device = r->device,
                                                                 .pool = r->pool, .hbm = &r->arena, .poison = true,
                                                                 .copy_piece_bytes = options->piece_bytes, .trace = options->trace});
}

STAMPED void stamped_open(stamped_run *r, const stamped_run_options *options)
{
    stamped_prepare(r, options);
    ok(stamped_try_open(r, options));
}

STAMPED void stamped_close(stamped_run *r)
{
    ft_streamer_close(r->streamer);
    ft_pool_destroy(r->pool);
    ft_device_free(r->device, r->hbm);
    ft_queue_destroy(r->queue);
    ft_device_close(r->device);
    for (int mode = 0; mode < FT_SWEEP_MODES; mode++) {
        ft_free(r->plan.cold[mode]);
        ft_free(r->plan.steady[mode]);
    }
    ft_free(r->plan.home);
    ft_free(r->plan.keep);
    stamped_store_close(&r->model);
}

STAMPED void stamped_check_group(const ft_lease *lease, ft_group group)
{
    const ft_extent *extent = &lease->record->extent[group];
    stamped_check(lease->base + extent->offset, lease->layer, extent->offset, extent->bytes);
}

// One visit: every group awaited and checked, then released, in an order drawn anew.
STAMPED ft_status stamped_visit(stamped_run *r, int layer, ft_direction direction)
{
    ft_lease lease;
    FT_TRY(ft_streamer_acquire(r->streamer, layer, direction, &lease));
    uint32_t first = stamped_random(r), step = 1 + stamped_random(r) % (FT_GROUP_COUNT - 1);  // 5 is prime: every step visits all
    for (uint32_t i = 0; i < FT_GROUP_COUNT; i++) {
        ft_group group = (ft_group)((first + i * step) % FT_GROUP_COUNT);
        FT_TRY(ft_streamer_await(r->streamer, &lease, group, r->queue));
        stamped_check_group(&lease, group);
        FT_TRY(ft_streamer_release(r->streamer, &lease, group, r->queue));
    }
    return FT_OK;
}

STAMPED ft_status stamped_visits(stamped_run *r, ft_sweep_mode mode, int64_t begin, int64_t end)
{
    int64_t layers = r->plan.layout.shape.layers, n = r->plan.n_visits[mode];
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i % n;
        FT_TRY(stamped_visit(r, (int)(at < layers ? at : 2 * layers - 1 - at), at < layers ? FT_FORWARD : FT_BACKWARD));
    }
    return FT_OK;
}

STAMPED ft_status stamped_sweeps(stamped_run *r, ft_sweep_mode mode, int64_t sweeps)
{
    FT_TRY(ft_streamer_start(r->streamer, mode, sweeps));
    return stamped_visits(r, mode, 0, sweeps * r->plan.n_visits[mode]);
}

// Bytes that a sweep's loads move; from_nvme counts only those of NVMe records.
STAMPED int64_t stamped_load_bytes(const ft_plan *plan, const ft_visit *visits, ft_sweep_mode mode, bool from_nvme)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < plan->n_visits[mode]; i++)
        if (visits[i].load && (!from_nvme || plan->home[visits[i].layer] == FT_TIER_NVME))
            bytes += plan->layout.record[visits[i].layer].bytes;
    return bytes;
}

#endif
