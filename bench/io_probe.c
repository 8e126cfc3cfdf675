// ft-bench io: NVMe -> host through our drives (one thread and ring each), beside fio at the same engine, size and depth,
// alternated so that a machine whose speed drifts slows both.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/probes.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/drive.h"
#include "offload/pool.h"

#define STRIPE (4 << 20)
#define WINDOW 16  // stripes in flight per drive
#define MAX_DRIVES 32
#define MAX_REPEAT 31

typedef struct reader {
    ft_drive *drive;
    int file;
    int64_t next, bytes;       // next stripe to submit; bytes of the file
    int pending;               // requests not finished
    ft_drive_request request[WINDOW];
    ft_status status;
    char message[256];
    volatile int done;
} reader;

static void submit_at(reader *r, ft_drive_request *request, int64_t offset)
{
    request->offset = offset;
    request->bytes = STRIPE;
    ft_drive_submit(r->drive, request);
}

// On the drive's thread: the buffer is free again, so the next stripe goes out at once.
static void stripe_done(ft_drive_request *request)
{
    reader *r = request->user;
    if (request->status != FT_OK && r->status == FT_OK) {
        r->status = request->status;
        snprintf(r->message, sizeof r->message, "%s", request->message);
    }
    if (r->status == FT_OK && r->next < r->bytes) {
        r->next += STRIPE;
        submit_at(r, request, r->next - STRIPE);
        return;
    }
    if (--r->pending == 0) __atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
}

static ft_status read_all(reader *readers, int n, double *rate)
{
    double start = ft_now_s();
    for (int i = 0; i < n; i++) {
        reader *r = &readers[i];
        r->next = (int64_t)WINDOW * STRIPE;  // from here on the drive's thread counts
        r->done = 0;
        r->status = FT_OK;
        r->pending = WINDOW;
        for (int k = 0; k < WINDOW; k++) submit_at(r, &r->request[k], (int64_t)k * STRIPE);
    }
    int64_t bytes = 0;
    ft_status status = FT_OK;
    for (int i = 0; i < n; i++) {
        while (!__atomic_load_n(&readers[i].done, __ATOMIC_ACQUIRE)) usleep(200);
        bytes += readers[i].bytes;
        if (readers[i].status != FT_OK) status = ft_error_adopt(readers[i].status, readers[i].message);
    }
    *rate = (double)bytes / (ft_now_s() - start);
    return status;
}

static ft_status open_reader(reader *r, const ft_bench_options *options, int i, ft_pool *pool)
{
    ft_drive_options drive = {.engine = options->engine, .depth = options->depth, .chunk_bytes = (uint32_t)options->chunk};
    FT_TRY(ft_drive_open(&r->drive, options->nvme[i], &drive));
    FT_TRY(ft_drive_open_file(r->drive, "ft-bench.dat", false, &r->file));
    FT_TRY(ft_pool_register(pool, r->drive));
    r->bytes = options->bytes / STRIPE * STRIPE;
    for (int k = 0; k < WINDOW; k++)
        r->request[k] = (ft_drive_request){.op = FT_IO_READ, .file = r->file, .buffer = ft_pool_take(pool, STRIPE), .complete = stripe_done, .user = r};
    return FT_OK;
}

// Ours and fio in turn; medians. Without fio only ours.
static ft_status alternate(const ft_bench_options *options, reader *readers, char *const *paths, double *ours, double *fio)
{
    double mine[MAX_REPEAT], theirs[MAX_REPEAT];
    int repeat = options->repeat < MAX_REPEAT ? options->repeat : MAX_REPEAT, n_fio = 0;
    FT_TRY(read_all(readers, options->n_nvme, &mine[0]));  // warm-up
    for (int i = 0; i < repeat; i++) {
        FT_TRY(read_all(readers, options->n_nvme, &mine[i]));
        ft_status status = ft_bench_fio((const char *const *)paths, options->n_nvme, readers[0].bytes, options->chunk, options->depth, &theirs[i]);
        if (status == FT_OK) n_fio++;
        else if (i == 0) ft_warn("%s", ft_error_message());
    }
    *ours = ft_bench_median(mine, repeat);
    *fio = n_fio == repeat ? ft_bench_median(theirs, repeat) : 0;
    return FT_OK;
}

static ft_status measure(const ft_bench_options *options, ft_bench_report *report, reader *readers, char *const *paths)
{
    double ours, fio;
    FT_TRY(alternate(options, readers, paths, &ours, &fio));
    ft_bench_report_add(report, &(ft_bench_result){.name = "nvme to host", .unit = "GB/s", .value = ours / 1e9, .peer_name = fio > 0 ? "fio" : NULL, .peer_value = fio / 1e9});
    if (!report->json) printf("  engine %s, %lld KiB chunks, depth %d, %d drive(s)\n", ft_drive_engine(readers[0].drive), (long long)options->chunk / 1024, options->depth, options->n_nvme);
    return FT_OK;
}

ft_status ft_bench_io(const ft_bench_options *options, ft_bench_report *report)
{
    if (options->n_nvme < 1 || options->n_nvme > MAX_DRIVES) return ft_error(FT_E_USAGE, "io: give --nvme DIR[,DIR...]");
    if (options->bytes < (int64_t)WINDOW * STRIPE) return ft_error(FT_E_USAGE, "io: --bytes must be at least 64M");
    reader *readers = ft_calloc((size_t)options->n_nvme, sizeof *readers);
    char *paths[MAX_DRIVES] = {0};
    FT_ALLOC_CHECK(readers);
    ft_device *device = NULL;
    ft_pool *pool = NULL;
    ft_status status = ft_device_open(&device, "cpu", 0);
    if (status == FT_OK) status = ft_pool_create(&pool, device, (int64_t)options->n_nvme * WINDOW * STRIPE, -1);
    for (int i = 0; i < options->n_nvme && status == FT_OK; i++) {
        paths[i] = ft_path_join(options->nvme[i], "ft-bench.dat");
        if (paths[i] == NULL) status = FT_E_NOMEM;
        if (status == FT_OK) status = ft_bench_random_file(paths[i], options->bytes / STRIPE * STRIPE, options->seed + (uint64_t)i);
        if (status == FT_OK) status = open_reader(&readers[i], options, i, pool);
    }
    if (status == FT_OK) status = measure(options, report, readers, paths);
    for (int i = 0; i < options->n_nvme; i++) {
        if (readers[i].drive) ft_drive_close(readers[i].drive);
        if (paths[i]) unlink(paths[i]);
        ft_free(paths[i]);
    }
    if (pool) ft_pool_destroy(pool);
    if (device) ft_device_close(device);
    ft_free(readers);
    return status;
}
