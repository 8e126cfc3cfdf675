#include "bench/link_sweep.h"

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "offload/streamer.h"

struct ft_link_sweep {
    ft_device *device;
    ft_store *store;
    ft_plan plan;
    ft_machine machine;
    void *hbm;
    ft_arena arena;
    ft_pool *pool;
    ft_streamer *streamer;
    ft_queue *queue;
    int64_t sweeps;             // of a sample
};

// ---- the store

static ft_store_options store_options(const ft_bench_options *options)
{
    return (ft_store_options){.nvme = options->nvme, .n_nvme = options->n_nvme, .format = FT_BASE_FP8,
                              .io = {.engine = options->engine, .depth = options->depth, .chunk_bytes = (uint32_t)options->chunk}};
}

ft_status ft_link_store_make(const ft_bench_options *options, char **id_out)
{
    char *model = ft_path_join(options->nvme[0], "ft-bench-model"), id[FT_HASH_TEXT];
    FT_ALLOC_CHECK(model);
    ft_store_options store = store_options(options);
    ft_status status = ft_bench_write_model(options, model);
    if (status == FT_OK) status = ft_store_id(model, FT_BASE_FP8, id);
    if (status == FT_OK) status = ft_store_prepare(model, &store, NULL);
    if (status == FT_OK && (*id_out = ft_strdup(id)) == NULL) status = FT_E_NOMEM;
    ft_remove_tree(model);
    ft_free(model);
    return status;
}

void ft_link_store_remove(const ft_bench_options *options, char *id)
{
    if (id) ft_store_remove(options->nvme, options->n_nvme, id);
    ft_free(id);
}

// ---- sweeps

static ft_status visit(ft_link_sweep *s, int64_t layer, ft_direction direction)
{
    ft_lease lease;
    FT_TRY(ft_streamer_acquire(s->streamer, (int)layer, direction, &lease));
    for (int group = 0; group < FT_GROUP_COUNT; group++) {
        if (lease.record->extent[group].bytes == 0) continue;
        FT_TRY(ft_streamer_await(s->streamer, &lease, (ft_group)group, s->queue));
        FT_TRY(ft_streamer_release(s->streamer, &lease, (ft_group)group, s->queue));
    }
    return FT_OK;
}

static ft_status run_sweeps(ft_link_sweep *s, int64_t sweeps)
{
    FT_TRY(ft_streamer_start(s->streamer, FT_SWEEP_EVALUATE, sweeps));
    for (int64_t i = 0; i < sweeps; i++)
        for (int64_t layer = 0; layer < s->plan.layout.shape.layers; layer++) FT_TRY(visit(s, layer, FT_FORWARD));
    return ft_queue_sync(s->queue);
}

static int64_t bytes_moved(const ft_link_sweep *s)
{
    ft_streamer_stats stats;
    ft_streamer_get_stats(s->streamer, &stats);
    return stats.class_load[FT_UNIT_BASE];
}

ft_status ft_link_sweep_run(void *sweep, double *rate)
{
    ft_link_sweep *s = sweep;
    int64_t before = bytes_moved(s);
    double start = ft_now_s();
    FT_TRY(run_sweeps(s, s->sweeps));
    *rate = (double)(bytes_moved(s) - before) / (ft_now_s() - start);
    return FT_OK;
}

// ---- open and close

// A machine with room for everything: where the bytes live is said, and nothing is computed.
static ft_status make_plan(ft_link_sweep *s, ft_tier home)
{
    bool cpu = ft_device_get_info(s->device)->kind == FT_DEVICE_CPU;
    s->machine = (ft_machine){.device = ft_device_get_info(s->device)->kind, .gpus = 1, .nodes = 1, .hbm_bytes = INT64_MAX / 4,
                              .host_bytes = INT64_MAX / 4, .drives = s->store->n_drives, .nvme_bytes = INT64_MAX / 4, .gemm_bf16 = 1, .gemm_fp8 = 1,
                              .attention_forward = 1, .attention_backward = 1, .hbm = 1, .h2d = 1, .d2h = 1, .dram = 1, .nvme_read = 1,
                              .nvme_write = 1};
    ft_plan_request request = {.layout = &s->store->layout, .machine = &s->machine, .compute = cpu ? FT_COMPUTE_F32 : FT_COMPUTE_BF16, .gpus = 1,
                               .sequence_len = 1, .micro_batch_size = 1, .accumulation = 1, .head_chunk = 1, .prefetch_depth = 2,
                               .base_placement = home, .pinned_hbm = 0, .pinned_host = home == FT_TIER_HOST ? FT_PLAN_AUTO : 0,
                               .boundary = FT_PLAN_AUTO};
    return ft_plan_make(&s->plan, &request);
}

static ft_status start_streamer(ft_link_sweep *s, int64_t piece)
{
    int64_t hbm = s->plan.tier_bytes[FT_TIER_HBM];
    FT_TRY(ft_device_alloc(s->device, hbm, &s->hbm));
    ft_arena_init(&s->arena, "device", s->hbm, (size_t)hbm);
    FT_TRY(ft_pool_create(&s->pool, s->device, s->plan.tier_bytes[FT_TIER_HOST], -1));
    FT_TRY(ft_queue_create(s->device, FT_QUEUE_COMPUTE, "compute", &s->queue));
    ft_streamer_options options = {.plan = &s->plan, .store = s->store, .device = s->device, .pool = s->pool, .hbm = &s->arena, .copy_piece_bytes = piece};
    FT_TRY(ft_streamer_open(&s->streamer, &options));
    return ft_streamer_units_ready(s->streamer);
}

static ft_status open_sweep(ft_link_sweep *s, const ft_bench_options *options, const char *id, ft_tier home, int64_t piece, int64_t sample_bytes)
{
    ft_store_options store = store_options(options);
    FT_TRY(ft_store_open(&s->store, NULL, id, &store));
    FT_TRY(make_plan(s, home));
    FT_TRY(start_streamer(s, piece));
    int64_t before = bytes_moved(s);
    FT_TRY(run_sweeps(s, 1));
    int64_t each = bytes_moved(s) - before;
    if (each == 0) return ft_error(FT_E_USAGE, "offload: --layers must be at least 4, or the slots hold them all");
    s->sweeps = (sample_bytes + each - 1) / each;
    if (s->sweeps < 2) s->sweeps = 2;
    return FT_OK;
}

ft_status ft_link_sweep_open(ft_link_sweep **sweep, const ft_bench_options *options, ft_device *device, const char *id, ft_tier home, int64_t piece,
                             int64_t sample_bytes)
{
    ft_link_sweep *s = FT_NEW(ft_link_sweep);
    FT_ALLOC_CHECK(s);
    *s = (ft_link_sweep){.device = device};
    ft_status status = open_sweep(s, options, id, home, piece, sample_bytes);
    if (status == FT_OK) *sweep = s;
    else ft_link_sweep_close(s);
    return status;
}

void ft_link_sweep_close(ft_link_sweep *s)
{
    if (s == NULL) return;
    if (s->streamer) ft_streamer_close(s->streamer);
    if (s->queue) ft_queue_destroy(s->queue);
    ft_pool_destroy(s->pool);
    if (s->hbm) ft_device_free(s->device, s->hbm);
    ft_plan_free(&s->plan);
    if (s->store) ft_store_close(s->store);
    ft_free(s);
}
