#include "bench/link_drives.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/fio.h"
#include "common/file.h"
#include "common/memory.h"
#include "io/drive_pump.h"
#include "offload/pool.h"
#include "offload/store.h"

enum { MOST_REQUESTS = FT_PUMP_REQUESTS, LEAST_REQUESTS = 16 };
#define MOST_IN_FLIGHT ((int64_t)1 << 30)  // per drive
#define FILE_NAME "ft-bench.dat"

typedef struct {
    char *path;
    ft_drive_pump pump;
} reader;

struct ft_link_drives {
    const ft_bench_options *options;
    ft_pool *pool;
    int64_t bytes;              // of each file
    int64_t window_bytes;       // of each drive's share of the pool
    int64_t at;                 // where the next part begins
    int64_t chunk;
    int depth, requests;
    int n;
    const char *paths[FT_MAX_DRIVES];
    reader reader[];
};

// ---- requests: stripes of the store, or a transfer where that is larger; as many as keep the drive's depth busy.

static int64_t request_bytes(int64_t chunk)
{
    return chunk > FT_STRIPE_BYTES ? chunk : FT_STRIPE_BYTES;
}

static int request_count(int64_t chunk, int depth)
{
    int64_t each = request_bytes(chunk), n = depth * chunk / each + 2;
    if (n < LEAST_REQUESTS) n = LEAST_REQUESTS;
    if (n > MOST_REQUESTS) n = MOST_REQUESTS;
    return (int)(n * each <= MOST_IN_FLIGHT ? n : MOST_IN_FLIGHT / each);
}

static ft_status read_range(ft_link_drives *d, int64_t begin, int64_t end, double *rate)
{
    ft_status status = FT_OK;
    double ended_s = 0;
    for (int i = 0; i < d->n; i++) {
        ft_drive_pump *pump = &d->reader[i].pump;
        pump->begin = begin;
        pump->end = end;
        ft_drive_pump_begin(pump);
    }
    for (int i = 0; i < d->n; i++) {
        ft_status own = ft_drive_pump_wait(&d->reader[i].pump);
        if (status == FT_OK) status = own;
        if (d->reader[i].pump.ended_s > ended_s) ended_s = d->reader[i].pump.ended_s;
    }
    *rate = (double)(d->n * (end - begin)) / (ended_s - d->reader[0].pump.begun_s);
    return status;
}

ft_status ft_link_drives_read(void *drives, double *rate)
{
    ft_link_drives *d = drives;
    return read_range(d, 0, d->bytes, rate);
}

ft_status ft_link_drives_read_part(ft_link_drives *d, int64_t bytes, double *rate)
{
    if (bytes > d->bytes) bytes = d->bytes;
    if (d->at + bytes > d->bytes) d->at = 0;
    int64_t begin = d->at;
    d->at += bytes;
    return read_range(d, begin, begin + bytes, rate);
}

ft_status ft_link_drives_fio(void *drives, double *rate)
{
    ft_link_drives *d = drives;
    bool registered = strstr(ft_link_drives_engine(d), "+registered") != NULL;
    ft_fio_job job = {.files = d->paths, .n_files = d->n, .bytes_each = d->bytes, .block = d->chunk, .depth = d->depth, .registered = registered};
    return ft_fio_run(&job, rate);
}

// ---- open and close

static ft_status open_drive(ft_link_drives *d, int i)
{
    ft_drive_pump *pump = &d->reader[i].pump;
    ft_drive_options options = {.engine = d->options->engine, .depth = d->depth, .chunk_bytes = (uint32_t)d->chunk};
    FT_TRY(ft_drive_open(&pump->drive, d->options->nvme[i], &options));
    FT_TRY(ft_drive_open_file(pump->drive, FILE_NAME, false, &pump->file));
    return ft_pool_register(d->pool, pump->drive);
}

ft_status ft_link_drives_use(ft_link_drives *d, int64_t chunk, int depth)
{
    d->chunk = chunk;
    d->depth = depth;
    d->requests = request_count(chunk, depth);
    FT_ASSERT(d->requests * request_bytes(chunk) <= d->window_bytes, "%lld bytes at depth %d", (long long)chunk, depth);
    for (int i = 0; i < d->n; i++) {
        ft_drive_pump *pump = &d->reader[i].pump;
        ft_drive_close(pump->drive);
        pump->drive = NULL;
        pump->piece = request_bytes(chunk);
        pump->requests = d->requests;
        FT_TRY(open_drive(d, i));
    }
    return FT_OK;
}

const char *ft_link_drives_engine(const ft_link_drives *d)
{
    return ft_drive_engine(d->reader[0].pump.drive);
}

static ft_status make_file(ft_link_drives *d, int i)
{
    reader *r = &d->reader[i];
    FT_TRY(ft_make_directory(d->options->nvme[i]));
    r->path = ft_path_join(d->options->nvme[i], FILE_NAME);
    FT_ALLOC_CHECK(r->path);
    d->paths[i] = r->path;
    r->pump.buffer = ft_pool_take(d->pool, d->window_bytes);
    r->pump.op = FT_IO_READ;
    return ft_bench_random_file(r->path, d->bytes, d->options->seed + (uint64_t)i);
}

static ft_status prepare(ft_link_drives *d, ft_device *device, int64_t chunk, int depth)
{
    int64_t most = request_count(chunk, depth) * request_bytes(chunk), least = (int64_t)LEAST_REQUESTS * FT_STRIPE_BYTES;
    d->window_bytes = most > least ? most : least;
    FT_TRY(ft_pool_create(&d->pool, device, d->n * d->window_bytes, -1));
    for (int i = 0; i < d->n; i++) FT_TRY(make_file(d, i));
    return FT_OK;
}

ft_status ft_link_drives_open(ft_link_drives **drives, const ft_bench_options *options, ft_device *device, int64_t most_chunk, int most_depth)
{
    if (options->n_nvme < 1 || options->n_nvme > FT_MAX_DRIVES) return ft_error(FT_E_USAGE, "give --nvme DIR[,DIR...], at most %d", FT_MAX_DRIVES);
    if (options->bytes < (int64_t)LEAST_REQUESTS * FT_STRIPE_BYTES) return ft_error(FT_E_USAGE, "--bytes must be at least 64M");
    ft_link_drives *d = ft_calloc(1, sizeof *d + (size_t)options->n_nvme * sizeof d->reader[0]);
    FT_ALLOC_CHECK(d);
    d->options = options;
    d->n = options->n_nvme;
    d->bytes = options->bytes / FT_STRIPE_BYTES * FT_STRIPE_BYTES;
    ft_status status = prepare(d, device, most_chunk, most_depth);
    if (status == FT_OK) *drives = d;
    else ft_link_drives_close(d);
    return status;
}

void ft_link_drives_close(ft_link_drives *d)
{
    if (d == NULL) return;
    for (int i = 0; i < d->n; i++) {
        ft_drive_close(d->reader[i].pump.drive);
        if (d->reader[i].path) unlink(d->reader[i].path);
        ft_free(d->reader[i].path);
    }
    ft_pool_destroy(d->pool);
    ft_free(d);
}
