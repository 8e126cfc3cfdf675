// ft-bench offload: each link and the whole path, beside their limits, in one run: every figure once a round, medians over rounds.
//
//   nvme to host       the drives' threads filling a registered pool            beside fio with the same transfers
//   host to device     copies in pieces on copy queues, in, out, and both       beside one copy of 1 GiB (CPU: memcpy)
//   host memory        all threads copying in pinned memory
//   streamed sweep     NVMe -> host ring -> layer slots through the streamer    beside the slower of the two links
//                      host memory -> layer slots through the streamer          beside the link
#include <stdio.h>

#include "bench/link_series.h"
#include "bench/link_sweep.h"
#include "bench/link_tune.h"
#include "common/text.h"
#include "offload/streamer.h"

#define SAMPLE_CPU ((int64_t)1 << 30)
#define SAMPLE_CUDA ((int64_t)8 << 30)

typedef enum { DRIVES, FIO, IN, IN_PEER, OUT, OUT_PEER, BOTH, BOTH_PEER, HOST_COPY, SWEEP_NVME, SWEEP_HOST, N_SERIES } figure;

typedef struct {
    ft_bench_options options;
    ft_device *device;
    ft_link_choice choice;
    ft_link_drives *drives;
    ft_link_copies *copies;
    char *store;
    ft_link_sweep *from_nvme, *from_host;
    ft_link_copy copy[N_SERIES];
    ft_link_series series[N_SERIES];
} links;

static bool on_cpu(const links *l)
{
    return ft_device_get_info(l->device)->kind == FT_DEVICE_CPU;
}

static void set_copy(links *l, figure at, unsigned directions, int64_t piece)
{
    l->copy[at] = (ft_link_copy){.copies = l->copies, .directions = directions, .piece = piece};
    l->series[at] = (ft_link_series){.call = ft_link_copy_run, .context = &l->copy[at]};
}

static ft_status measure(links *l)
{
    l->series[DRIVES] = (ft_link_series){.call = ft_link_drives_read, .context = l->drives};
    l->series[FIO] = (ft_link_series){.call = ft_link_drives_fio, .context = l->drives, .optional = true};
    set_copy(l, IN, FT_LINK_IN, l->choice.copy_piece);
    set_copy(l, OUT, FT_LINK_OUT, l->choice.copy_piece);
    set_copy(l, BOTH, FT_LINK_BOTH, l->choice.copy_piece);
    if (on_cpu(l)) {
        l->series[IN_PEER] = (ft_link_series){.call = ft_link_copy_memcpy, .context = l->copies};
    } else {
        set_copy(l, IN_PEER, FT_LINK_IN, 0);
        set_copy(l, OUT_PEER, FT_LINK_OUT, 0);
        set_copy(l, BOTH_PEER, FT_LINK_BOTH, 0);
    }
    l->series[HOST_COPY] = (ft_link_series){.call = ft_link_copy_host, .context = l->copies};
    l->series[SWEEP_NVME] = (ft_link_series){.call = ft_link_sweep_run, .context = l->from_nvme};
    l->series[SWEEP_HOST] = (ft_link_series){.call = ft_link_sweep_run, .context = l->from_host};
    return ft_link_measure(l->series, N_SERIES, l->options.repeat);
}

// ---- what was measured

static void add(const links *l, ft_bench_report *report, const char *name, figure at, const char *peer, figure peer_at)
{
    double value = l->series[at].median, other = peer ? l->series[peer_at].median : 0;
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "GB/s", .value = value / 1e9, .peer_name = other > 0 ? peer : NULL,
                                                   .peer_value = other / 1e9});
}

static void add_sweep(const links *l, ft_bench_report *report, const char *name, figure at, const char *limit, figure limit_at)
{
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "GB/s", .value = l->series[at].median / 1e9, .bound_name = limit,
                                                   .bound = l->series[limit_at].median / 1e9});
}

static void report_all(const links *l, ft_bench_report *report)
{
    bool cpu = on_cpu(l), drives_limit = l->series[DRIVES].median < l->series[IN].median;
    const char *peer = cpu ? "memcpy of 1 GiB" : "one copy of 1 GiB";
    add(l, report, "nvme to host", DRIVES, "fio", FIO);
    add(l, report, "host to device arena", IN, peer, IN_PEER);
    add(l, report, "device to host", OUT, cpu ? NULL : peer, OUT_PEER);
    add(l, report, "both directions at once, sum", BOTH, cpu ? NULL : "two copies of 1 GiB", BOTH_PEER);
    add(l, report, "host memory copy, read + write", HOST_COPY, NULL, HOST_COPY);
    add_sweep(l, report, "streamed sweep", SWEEP_NVME, drives_limit ? "nvme to host" : "host to device", drives_limit ? DRIVES : IN);
    add_sweep(l, report, "sweep from host memory", SWEEP_HOST, "host to device", IN);
    if (!report->json)
        printf("  engine %s, %lld KiB chunks, depth %d, %d drive(s); copies of %lld MiB\n", ft_link_drives_engine(l->drives),
               (long long)l->choice.io_chunk >> 10, l->choice.io_depth, l->options.n_nvme, (long long)l->choice.copy_piece >> 20);
}

// ---- tuning

static void add_choice(ft_bench_report *report, const char *name, const char *unit, double value)
{
    if (report->json) ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = unit, .value = value});
}

// Before what is measured next, which does not change it.
static ft_status keep_choice(links *l, ft_bench_report *report)
{
    const ft_link_choice *c = &l->choice;
    char line[192], chunk[FT_HUMAN_BYTES], piece[FT_HUMAN_BYTES];
    int files;
    FT_TRY(ft_link_choice_keep(c, &l->options, l->device, &files));
    snprintf(line, sizeof line, "chosen: drives %s x %d, copies of %s; %s", ft_human_bytes(chunk, (double)c->io_chunk), c->io_depth,
             ft_human_bytes(piece, (double)c->copy_piece),
             files > 0 ? "kept for the runs of this user" : "not kept: this device has no calibrated machine file yet; name a model by --geometry to make one");
    ft_bench_report_note(report, line);
    add_choice(report, "chosen: size of a drive's transfer", "KiB", (double)c->io_chunk / 1024);
    add_choice(report, "chosen: transfers in flight", "transfers", c->io_depth);
    add_choice(report, "chosen: size of a copy", "KiB", (double)c->copy_piece / 1024);
    return FT_OK;
}

static ft_status tune(links *l, ft_bench_report *report)
{
    FT_TRY(ft_tune_drives(l->drives, l->options.repeat, report, &l->choice));
    FT_TRY(ft_tune_copies(l->copies, l->options.repeat, report, &l->choice));
    l->options.chunk = l->choice.io_chunk;
    l->options.depth = l->choice.io_depth;
    return keep_choice(l, report);
}

// ---- open and close

static ft_status open_links(links *l)
{
    bool tuning = l->options.tune;
    int64_t chunk = tuning && l->options.chunk < FT_TUNE_MOST_CHUNK ? FT_TUNE_MOST_CHUNK : l->options.chunk;
    int depth = tuning && l->options.depth < FT_TUNE_MOST_DEPTH ? FT_TUNE_MOST_DEPTH : l->options.depth;
    FT_TRY(ft_link_drives_open(&l->drives, &l->options, l->device, chunk, depth));
    return ft_link_copies_open(&l->copies, l->device);
}

static ft_status open_sweeps(links *l)
{
    int64_t sample = on_cpu(l) ? SAMPLE_CPU : SAMPLE_CUDA;
    FT_TRY(ft_link_store_make(&l->options, &l->store));
    FT_TRY(ft_link_sweep_open(&l->from_nvme, &l->options, l->device, l->store, FT_TIER_NVME, l->choice.copy_piece, l->options.bytes));
    return ft_link_sweep_open(&l->from_host, &l->options, l->device, l->store, FT_TIER_HOST, l->choice.copy_piece, sample);
}

static void close_links(links *l)
{
    ft_link_sweep_close(l->from_host);
    ft_link_sweep_close(l->from_nvme);
    ft_link_store_remove(&l->options, l->store);
    ft_link_copies_close(l->copies);
    ft_link_drives_close(l->drives);
    ft_device_close(l->device);
}

static ft_status run(links *l, ft_bench_report *report)
{
    FT_TRY(open_links(l));
    if (l->options.tune) FT_TRY(tune(l, report));
    FT_TRY(ft_link_drives_use(l->drives, l->choice.io_chunk, l->choice.io_depth));
    FT_TRY(open_sweeps(l));
    FT_TRY(measure(l));
    report_all(l, report);
    return FT_OK;
}

ft_status ft_bench_offload(const ft_bench_options *options, ft_bench_report *report)
{
    if (options->layers > 0 && options->layers < 4) return ft_error(FT_E_USAGE, "offload: --layers must be at least 4, or the slots hold them all");
    links l = {.options = *options, .choice = {.io_chunk = options->chunk, .io_depth = options->depth, .copy_piece = FT_STREAM_COPY_PIECE}};
    FT_TRY(ft_device_open(&l.device, options->device, 0));
    ft_bench_report_device(report, ft_device_get_info(l.device));
    ft_status status = run(&l, report);
    close_links(&l);
    return status;
}
