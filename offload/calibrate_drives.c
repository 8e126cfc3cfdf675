// Drives: a file of random bytes on each is written and read back past the page cache, each drive alone and then all at once; the
// file has no name any more when its first byte is written. Where a store is open, it is what is read: nothing was cached on its
// behalf a moment ago.
#include <pthread.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/drive.h"
#include "offload/calibrate_internal.h"
#include "offload/machine_internal.h"
#include "offload/store.h"

enum { WINDOW = 8 };                        // requests in flight on each drive, which cuts them into its own transfers
#define PIECE ((int64_t)8 << 20)
#define USUAL_BYTES ((int64_t)1 << 30)
#define WRITTEN_BESIDE_STORE ((int64_t)256 << 20)
#define STORE_BYTES ((int64_t)1 << 30)      // read from each drive of a store at most
#define STORE_SECONDS 1.0
#define LEAST_BYTES ((int64_t)4 << 20)      // less room says nothing

typedef struct drive_test drive_test;

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    int running;                            // drives that still move bytes
    double begin;
    ft_io_op op;
} transfer;

struct drive_test {
    ft_drive *drive;
    int file;
    char *memory, *buffer;                  // WINDOW pieces; buffer is memory, aligned
    int64_t bytes;                          // of the file
    transfer *transfer;
    int64_t next;                           // offset of the next request
    int pending;
    ft_status status;
    char message[256];
    double seconds;                         // of the last transfer
    ft_drive_request request[WINDOW];
};

typedef struct {
    drive_test *drive;
    int n;
} drives;

// ---- moving bytes

static bool submit_next(drive_test *d, ft_drive_request *request)
{
    int64_t left = d->bytes - d->next;
    if (left <= 0 || d->status != FT_OK) return false;
    request->offset = d->next;
    request->bytes = left < PIECE ? left : PIECE;
    d->next += request->bytes;
    ft_drive_submit(d->drive, request);
    return true;
}

// On the drive's thread, to which its fields belong from the first submission on.
static void piece_done(ft_drive_request *request)
{
    drive_test *d = request->user;
    transfer *t = d->transfer;
    if (request->status != FT_OK && d->status == FT_OK) {
        d->status = request->status;
        snprintf(d->message, sizeof d->message, "%s", request->message);
    }
    if (submit_next(d, request) || --d->pending > 0) return;
    d->seconds = ft_now_s() - t->begin;
    pthread_mutex_lock(&t->mutex);
    if (--t->running == 0) pthread_cond_signal(&t->idle);
    pthread_mutex_unlock(&t->mutex);
}

// The first requests are cut before any is submitted.
static void start(drive_test *d, transfer *t)
{
    int64_t pieces = (d->bytes + PIECE - 1) / PIECE, n = pieces < WINDOW ? pieces : WINDOW;
    d->transfer = t;
    d->pending = (int)n;
    d->next = n * PIECE < d->bytes ? n * PIECE : d->bytes;
    for (int64_t i = 0; i < n; i++) {
        int64_t offset = i * PIECE, left = d->bytes - offset;
        d->request[i] = (ft_drive_request){.op = t->op, .file = d->file, .buffer = d->buffer + offset, .offset = offset,
                                           .bytes = left < PIECE ? left : PIECE, .complete = piece_done, .user = d};
    }
    for (int64_t i = 0; i < n; i++) ft_drive_submit(d->drive, &d->request[i]);
}

// Whole files of these drives at once; each drive's seconds are set.
static ft_status move(drive_test *drive, int n, ft_io_op op)
{
    transfer t = {.running = n, .op = op};
    pthread_mutex_init(&t.mutex, NULL);
    pthread_cond_init(&t.idle, NULL);
    t.begin = ft_now_s();
    for (int i = 0; i < n; i++) start(&drive[i], &t);
    pthread_mutex_lock(&t.mutex);
    while (t.running > 0) pthread_cond_wait(&t.idle, &t.mutex);
    pthread_mutex_unlock(&t.mutex);
    pthread_cond_destroy(&t.idle);
    pthread_mutex_destroy(&t.mutex);
    for (int i = 0; i < n; i++)
        if (drive[i].status != FT_OK) return ft_error_adopt(drive[i].status, drive[i].message);
    return FT_OK;
}

// ---- files

// Unlike any page the drive may have compressed or seen.
static void fill(char *buffer, uint64_t seed)
{
    uint64_t *word = (uint64_t *)(void *)buffer, state = seed * 0x9E3779B97F4A7C15u + 1;
    for (int64_t i = 0; i < WINDOW * PIECE / 8; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word[i] = state;
    }
}

static int64_t file_bytes(const ft_calibration *run, const char *directory)
{
    struct statvfs fs;
    int64_t bytes = run->drive_bytes > 0 ? run->drive_bytes : run->store ? WRITTEN_BESIDE_STORE : USUAL_BYTES;
    if (statvfs(directory, &fs) != 0) return 0;
    int64_t quarter = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize / 4 / run->n_nvme;
    if (bytes > quarter) bytes = quarter;
    return bytes / FT_IO_ALIGN * FT_IO_ALIGN;
}

static ft_status open_file(drive_test *d, const char *directory)
{
    char name[48];
    snprintf(name, sizeof name, ".ft-calibrate-%d", (int)getpid());
    FT_TRY(ft_drive_open_file(d->drive, name, true, &d->file));
    char *path = ft_path_join(directory, name);
    FT_ALLOC_CHECK(path);
    unlink(path);
    ft_free(path);
    return ft_drive_reserve(d->drive, d->file, d->bytes);
}

static ft_status open_drive(drive_test *d, const ft_calibration *run, int number)
{
    ft_drive_options options = {.engine = run->io_engine ? run->io_engine : "auto"};
    d->bytes = file_bytes(run, run->nvme[number]);
    if (d->bytes < LEAST_BYTES) return ft_error(FT_E_IO, "%s: too little room to measure with", run->nvme[number]);
    FT_TRY(ft_drive_open(&d->drive, run->nvme[number], &options));
    FT_TRY(open_file(d, run->nvme[number]));
    FT_ALLOC_CHECK(d->memory = ft_malloc((size_t)(WINDOW * PIECE + FT_IO_ALIGN)));
    d->buffer = d->memory + (FT_IO_ALIGN - (uintptr_t)d->memory % FT_IO_ALIGN);
    fill(d->buffer, (uint64_t)number + 1);
    return FT_OK;
}

static void close_drives(drives *all)
{
    for (int i = 0; i < all->n; i++) {
        ft_drive_close(all->drive[i].drive);
        ft_free(all->drive[i].memory);
    }
    ft_free(all->drive);
}

// ---- rates

// The slowest of the drives, each moved alone.
static ft_status each_alone(ft_calibrator *c, drives *all, ft_io_op op, double *rate)
{
    *rate = 0;
    for (int i = 0; i < all->n; i++) {
        drive_test *d = &all->drive[i];
        FT_TRY(ft_calibrator_stopped(c));
        FT_TRY(move(d, 1, op));
        double own = (double)d->bytes / d->seconds;
        if (*rate == 0 || own < *rate) *rate = own;
    }
    return FT_OK;
}

// Bytes of all over the time until the last has its own: a record is spread evenly over the drives.
static ft_status all_together(drives *all, ft_io_op op, double *rate)
{
    double bytes = 0, seconds = 0;
    FT_TRY(move(all->drive, all->n, op));
    for (int i = 0; i < all->n; i++) {
        bytes += (double)all->drive[i].bytes;
        if (all->drive[i].seconds > seconds) seconds = all->drive[i].seconds;
    }
    *rate = bytes / seconds;
    return FT_OK;
}

static ft_status measure(ft_calibrator *c, drives *all, ft_machine *machine)
{
    double rate;
    FT_TRY(each_alone(c, all, FT_IO_WRITE, &rate));
    ft_calibrate_take(&machine->nvme_write, rate, "nvme_write");
    if (c->run->store) return ft_machine_read_store(machine, c->run->store, STORE_BYTES, STORE_SECONDS);
    FT_TRY(each_alone(c, all, FT_IO_READ, &rate));
    ft_calibrate_take(&machine->nvme_read, rate, "nvme_read");
    FT_TRY(all_together(all, FT_IO_READ, &rate));
    ft_calibrate_take(&machine->nvme_read_all, rate, "nvme_read_all");
    return FT_OK;
}

ft_status ft_calibrate_drives(ft_calibrator *c, ft_machine *machine)
{
    drives all = {.n = c->run->n_nvme};
    if (all.n == 0) return FT_OK;
    FT_ALLOC_CHECK(all.drive = FT_NEW_ARRAY(drive_test, all.n));
    ft_status status = FT_OK;
    for (int i = 0; i < all.n && status == FT_OK; i++) status = open_drive(&all.drive[i], c->run, i);
    if (status == FT_OK) status = measure(c, &all, machine);
    close_drives(&all);
    return status;
}
