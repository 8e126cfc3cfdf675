// ft-bench offload: each link and the whole path, beside their limits, in one run.
//
//   nvme to host       the drives' threads filling a host ring                  beside fio
//   host to device     the H2D queue copying into a device arena                beside memcpy of the same 1 GiB
//   streamed sweep     NVMe -> host ring -> layer slots through the streamer    beside the slower of the two links
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/probes.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "offload/streamer.h"

#define COPY_BYTES ((int64_t)1 << 30)
#define PIECE ((int64_t)16 << 20)
#define MAX_REPEAT 31

static void touch(char *memory, int64_t bytes, unsigned seed)
{
    uint32_t *words = (uint32_t *)(void *)memory;
    for (int64_t i = 0; i < bytes / 4; i++) words[i] = (uint32_t)i * 2654435761u + seed;
}

static ft_status copy_once(ft_queue *queue, char *device, const char *host, double *rate)
{
    double start = ft_now_s();
    for (int64_t at = 0; at < COPY_BYTES; at += PIECE) FT_TRY(ft_copy_h2d(queue, device + at, host + at, PIECE));
    FT_TRY(ft_queue_sync(queue));
    *rate = (double)COPY_BYTES / (ft_now_s() - start);
    return FT_OK;
}

// The H2D queue and memcpy in turn, over the same two gigabytes.
static ft_status measure_copies(const ft_bench_options *options, ft_device *device, ft_pool *pool, double *ours, double *peer)
{
    char *host = ft_pool_take(pool, COPY_BYTES);
    void *target;
    ft_queue *queue = NULL;
    FT_TRY(ft_device_alloc(device, COPY_BYTES, &target));
    touch(host, COPY_BYTES, 1);
    touch(target, COPY_BYTES, 2);
    double mine[MAX_REPEAT], theirs[MAX_REPEAT];
    int repeat = options->repeat < MAX_REPEAT ? options->repeat : MAX_REPEAT;
    ft_status status = ft_queue_create(device, FT_QUEUE_COPY, "h2d", &queue);
    if (status == FT_OK) status = copy_once(queue, target, host, &mine[0]);
    for (int i = 0; i < repeat && status == FT_OK; i++) {
        status = copy_once(queue, target, host, &mine[i]);
        double start = ft_now_s();
        memcpy(target, host, (size_t)COPY_BYTES);
        theirs[i] = (double)COPY_BYTES / (ft_now_s() - start);
    }
    if (status == FT_OK) {
        *ours = ft_bench_median(mine, repeat);
        *peer = ft_bench_median(theirs, repeat);
    }
    if (queue) ft_queue_destroy(queue);
    ft_device_free(device, target);
    return status;
}

typedef struct {
    ft_store *store;
    ft_plan plan;
    ft_machine machine;
    void *hbm;
    ft_arena arena;
    ft_pool *pool;
    ft_streamer *streamer;
    ft_queue *queue;
} sweep;

// Every layer on NVMe, nothing computed: what the path itself can carry.
static ft_status open_sweep(sweep *s, ft_device *device)
{
    s->machine = (ft_machine){.gpus = 1, .nodes = 1, .hbm_bytes = INT64_MAX / 4, .host_bytes = INT64_MAX / 4, .drives = s->store->n_drives,
                              .nvme_bytes = INT64_MAX / 4, .gemm_bf16 = 1, .gemm_fp8 = 1, .attention_forward = 1, .attention_backward = 1, .hbm = 1,
                              .h2d = 1, .d2h = 1, .dram = 1, .nvme_read = 1, .nvme_write = 1};
    ft_plan_request request = {.layout = &s->store->layout, .machine = &s->machine, .gpus = 1, .sequence_len = 1, .micro_batch_size = 1, .accumulation = 1,
                               .head_chunk = 1, .prefetch_depth = 2, .base_placement = FT_TIER_NVME, .pinned_hbm = 0, .pinned_host = 0,
                               .boundary = FT_PLAN_AUTO};
    FT_TRY(ft_plan_make(&s->plan, &request));
    int64_t hbm = s->plan.tier_bytes[FT_TIER_HBM];
    FT_TRY(ft_device_alloc(device, hbm, &s->hbm));
    ft_arena_init(&s->arena, "device", s->hbm, (size_t)hbm);
    FT_TRY(ft_pool_create(&s->pool, device, s->plan.tier_bytes[FT_TIER_HOST], -1));
    FT_TRY(ft_queue_create(device, FT_QUEUE_COMPUTE, "compute", &s->queue));
    ft_streamer_options options = {.plan = &s->plan, .store = s->store, .device = device, .pool = s->pool, .hbm = &s->arena};
    FT_TRY(ft_streamer_open(&s->streamer, &options));
    return ft_streamer_units_ready(s->streamer);
}

static void close_sweep(sweep *s, ft_device *device)
{
    if (s->streamer) ft_streamer_close(s->streamer);
    if (s->queue) ft_queue_destroy(s->queue);
    if (s->pool) ft_pool_destroy(s->pool);
    if (s->hbm) ft_device_free(device, s->hbm);
    ft_plan_free(&s->plan);
    if (s->store) ft_store_close(s->store);
}

static ft_status visit(sweep *s, int64_t layer, ft_direction direction)
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

static ft_status run_sweeps(sweep *s, int64_t sweeps)
{
    int64_t layers = s->plan.layout.shape.layers;
    FT_TRY(ft_streamer_start(s->streamer, FT_SWEEP_EVALUATE, sweeps));
    for (int64_t i = 0; i < sweeps; i++)
        for (int64_t layer = 0; layer < layers; layer++) FT_TRY(visit(s, layer, FT_FORWARD));
    return FT_OK;
}

// The first sweep hashes every stripe; the ones after it are the steady state.
static ft_status measure_sweep(const ft_bench_options *options, sweep *s, double *rate)
{
    FT_TRY(run_sweeps(s, 1));
    double rates[MAX_REPEAT];
    int repeat = options->repeat < MAX_REPEAT ? options->repeat : MAX_REPEAT;
    for (int i = 0; i < repeat; i++) {
        ft_streamer_stats before, after;
        ft_streamer_get_stats(s->streamer, &before);
        double start = ft_now_s();
        FT_TRY(run_sweeps(s, 2));
        double seconds = ft_now_s() - start;
        ft_streamer_get_stats(s->streamer, &after);
        rates[i] = (double)(after.bytes_nvme_read - before.bytes_nvme_read) / seconds;
    }
    *rate = ft_bench_median(rates, repeat);
    return FT_OK;
}

// A random model of the options' geometry becomes a store in the drive directories; the model itself is removed again.
static ft_status make_store(const ft_bench_options *options, sweep *s, char **id_out)
{
    char *model = ft_path_join(options->nvme[0], "ft-bench-model"), id[FT_HASH_TEXT];
    FT_ALLOC_CHECK(model);
    ft_store_options store = {.nvme = options->nvme, .n_nvme = options->n_nvme, .format = FT_BASE_FP8,
                              .io = {.engine = options->engine, .depth = options->depth, .chunk_bytes = (uint32_t)options->chunk}};
    ft_status status = ft_bench_write_model(options, model);
    if (status == FT_OK) status = ft_store_id(model, FT_BASE_FP8, id);
    if (status == FT_OK) status = ft_store_prepare(model, &store, NULL);
    if (status == FT_OK) status = ft_store_open(&s->store, model, id, &store);
    if (status == FT_OK) *id_out = ft_strdup(id);
    ft_remove_tree(model);
    ft_free(model);
    return status;
}

static ft_status run_links(const ft_bench_options *options, ft_bench_report *report, double *link)
{
    ft_device *device;
    ft_pool *pool = NULL;
    double ours = 0, peer = 0;
    FT_TRY(ft_device_open(&device, "cpu", 0));
    ft_status status = ft_pool_create(&pool, device, COPY_BYTES, -1);
    if (status == FT_OK) status = measure_copies(options, device, pool, &ours, &peer);
    if (pool) ft_pool_destroy(pool);
    ft_device_close(device);
    FT_TRY(status);
    *link = ours;
    ft_bench_report_add(report, &(ft_bench_result){.name = "host to device arena", .unit = "GB/s", .value = ours / 1e9, .peer_name = "memcpy of 1 GiB", .peer_value = peer / 1e9});
    return FT_OK;
}

static ft_status run_sweep(const ft_bench_options *options, ft_bench_report *report, double copy)
{
    sweep s = {0};
    ft_device *device;
    char *id = NULL;
    double rate = 0;
    FT_TRY(ft_device_open(&device, "cpu", 0));
    ft_status status = make_store(options, &s, &id);
    if (status == FT_OK) status = open_sweep(&s, device);
    if (status == FT_OK) status = measure_sweep(options, &s, &rate);
    double nvme = json_number_value(json_object_get(json_array_get(report->array, 0), "value")) * 1e9;
    double bound = nvme < copy ? nvme : copy;
    if (status == FT_OK)
        ft_bench_report_add(report, &(ft_bench_result){.name = "streamed sweep", .unit = "GB/s", .value = rate / 1e9,
                                                       .bound_name = nvme < copy ? "nvme to host" : "host to device", .bound = bound / 1e9});
    close_sweep(&s, device);
    if (id) ft_store_remove(options->nvme, options->n_nvme, id);
    ft_free(id);
    ft_device_close(device);
    return status;
}

ft_status ft_bench_offload(const ft_bench_options *options, ft_bench_report *report)
{
    double copy;
    if (options->layers > 0 && options->layers < 4) return ft_error(FT_E_USAGE, "offload: --layers must be at least 4, or the slots hold them all");
    FT_TRY(ft_bench_io(options, report));
    FT_TRY(run_links(options, report, &copy));
    return run_sweep(options, report, copy);
}
