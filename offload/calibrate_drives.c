// Drives: a file of random bytes on each is written and read back past the page cache, each drive alone and then all at once; the
// file has no name any more when its first byte is written. Where a store is open, it is what is read: nothing was cached on its
// behalf a moment ago.
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/drive_pump.h"
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

typedef struct {
    char *memory;                           // WINDOW pieces, and what aligns them
    ft_drive_pump pump;                     // of the whole file
} drive_test;

typedef struct {
    drive_test *drive;
    int n;
} drives;

// Whole files of these drives at once.
static ft_status move(drive_test *drive, int n, ft_io_op op)
{
    ft_status status = FT_OK;
    for (int i = 0; i < n; i++) {
        drive[i].pump.op = op;
        ft_drive_pump_begin(&drive[i].pump);
    }
    for (int i = 0; i < n; i++) {
        ft_status own = ft_drive_pump_wait(&drive[i].pump);
        if (status == FT_OK) status = own;
    }
    return status;
}

static double seconds_of(const drive_test *d)
{
    return d->pump.ended_s - d->pump.begun_s;
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

static ft_status open_file(ft_drive_pump *pump, const char *directory)
{
    char name[48];
    snprintf(name, sizeof name, ".ft-calibrate-%d", (int)getpid());
    FT_TRY(ft_drive_open_file(pump->drive, name, true, &pump->file));
    char *path = ft_path_join(directory, name);
    FT_ALLOC_CHECK(path);
    unlink(path);
    ft_free(path);
    return ft_drive_reserve(pump->drive, pump->file, pump->end);
}

static ft_status open_drive(drive_test *d, const ft_calibration *run, int number)
{
    ft_drive_options options = {.engine = run->io_engine ? run->io_engine : "auto"};
    ft_drive_pump *pump = &d->pump;
    *pump = (ft_drive_pump){.end = file_bytes(run, run->nvme[number]), .piece = PIECE, .requests = WINDOW};
    if (pump->end < LEAST_BYTES) return ft_error(FT_E_IO, "%s: too little room to measure with", run->nvme[number]);
    FT_TRY(ft_drive_open(&pump->drive, run->nvme[number], &options));
    FT_TRY(open_file(pump, run->nvme[number]));
    FT_ALLOC_CHECK(d->memory = ft_malloc((size_t)(WINDOW * PIECE + FT_IO_ALIGN)));
    pump->buffer = d->memory + (FT_IO_ALIGN - (uintptr_t)d->memory % FT_IO_ALIGN);
    fill(pump->buffer, (uint64_t)number + 1);
    return FT_OK;
}

static void close_drives(drives *all)
{
    for (int i = 0; i < all->n; i++) {
        ft_drive_close(all->drive[i].pump.drive);
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
        double own = (double)d->pump.end / seconds_of(d);
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
        bytes += (double)all->drive[i].pump.end;
        if (seconds_of(&all->drive[i]) > seconds) seconds = seconds_of(&all->drive[i]);
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
