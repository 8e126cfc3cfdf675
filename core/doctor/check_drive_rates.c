// What the drives deliver: each alone, then all at once, through the threads and rings of a run (offload/probe_drives.c).
//
// The probe reads the stripes of a store. Here the store is a file of random bytes on each drive, without a name, whose stripes
// are listed as often as the probe may want to read.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/rng.h"
#include "doctor/check.h"
#include "doctor/mount.h"
#include "io/drive.h"
#include "offload/machine.h"
#include "offload/store.h"

#define PIECE ((int64_t)16 << 20)       // bytes of one write
#define FILE_BYTES ((int64_t)256 << 20) // of a drive at most
#define WRITE_SECONDS 2.0               // of a drive at most
#define READ_BYTES ((int64_t)1 << 30)   // listed for a drive
#define SLOW 0.6                        // of the fastest drive's rate: it holds the others up

typedef struct {
    const char *name;      // as it was given
    char place[PATH_MAX];  // the directory that is measured
    ft_drive *drive;
    int file;
    int64_t bytes;
    double write, read;  // bytes/s
} probed;

// ---- files

static void fill_random(uint32_t *words, int64_t n)
{
    for (int64_t i = 0; i + 4 <= n; i += 4) {
        ft_rng_block block = ft_rng(7, FT_RNG_DATA, (uint32_t)i, 1, 0, 0);
        memcpy(words + i, block.word, sizeof block.word);
    }
}

static int64_t file_limit(const char *directory)
{
    struct statvfs fs;
    if (statvfs(directory, &fs) != 0) return 0;
    int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize / 4 / PIECE * PIECE;
    return room < FILE_BYTES ? room : FILE_BYTES;
}

// The file loses its name at once: nothing stays if the doctor is killed.
static ft_status open_file(probed *p, const ft_config *config)
{
    char name[64], path[PATH_MAX];
    const ft_drive_options options = {.engine = config->io_engine, .depth = (int)config->io_depth, .chunk_bytes = (uint32_t)config->io_chunk};
    snprintf(name, sizeof name, ".ft-doctor-%d", (int)getpid());
    if (snprintf(path, sizeof path, "%s/%s", p->place, name) >= (int)sizeof path) return ft_error(FT_E_INPUT, "%s: path too long", p->name);
    FT_TRY(ft_drive_open(&p->drive, p->place, &options));
    FT_TRY(ft_drive_open_file(p->drive, name, true, &p->file));
    unlink(path);
    return FT_OK;
}

static ft_status write_file(probed *p, void *buffer)
{
    int64_t limit = file_limit(p->place);
    if (limit < PIECE) return ft_error(FT_E_IO, "too little room for a probe; make room");
    double begin = ft_now_s();
    for (; p->bytes < limit && ft_now_s() - begin < WRITE_SECONDS; p->bytes += PIECE)
        FT_TRY(ft_drive_transfer(p->drive, FT_IO_WRITE, p->file, buffer, p->bytes, PIECE));
    FT_TRY(ft_drive_sync(p->drive, p->file));
    p->write = (double)p->bytes / (ft_now_s() - begin);
    return FT_OK;
}

// ---- rates

// Reads n drives at once. *read is of the slowest, *all of them together.
static ft_status read_drives(const probed *drives, int n, double *read, double *all)
{
    ft_machine machine = {0};
    int64_t each = READ_BYTES / FT_STRIPE_BYTES;
    ft_store store = {.n_drives = n, .n_stripes = n * each, .stripe = FT_NEW_ARRAY(ft_stripe, n * each)};
    FT_ALLOC_CHECK(store.stripe);
    for (int64_t i = 0; i < n * each; i++) {
        const probed *p = &drives[i % n];
        store.stripe[i] = (ft_stripe){.drive = (uint32_t)(i % n), .bytes = FT_STRIPE_BYTES, .offset = i / n * FT_STRIPE_BYTES % p->bytes};
    }
    for (int i = 0; i < n; i++) {
        store.drive[i] = drives[i].drive;
        store.file[i] = drives[i].file;
    }
    ft_status status = ft_machine_probe_drives(&machine, &store);
    ft_free(store.stripe);
    *read = machine.nvme_read;
    *all = machine.nvme_read_all;
    return status;
}

static void say_drive(ft_doctor *doctor, const probed *p, double fastest)
{
    if (p->read < SLOW * fastest)
        ft_check_note(doctor, p->name, "leave it out of --nvme, or put it on a link of its own: a layer has arrived when the slowest drive has its part",
                      "read %.2f GB/s, %.0f %% of the fastest; write %.2f GB/s", p->read / 1e9, 100 * p->read / fastest, p->write / 1e9);
    else
        ft_check_ok(doctor, p->name, "read %.2f GB/s, write %.2f GB/s (%s)", p->read / 1e9, p->write / 1e9, ft_drive_engine(p->drive));
}

static ft_status say_together(ft_doctor *doctor, const probed *drives, int n)
{
    double slowest, all, sum = 0;
    FT_TRY(read_drives(drives, n, &slowest, &all));
    for (int i = 0; i < n; i++) sum += drives[i].read;
    if (all < SLOW * sum)
        ft_check_note(doctor, "together", "drives behind one switch, one controller or one host bridge share its link: spread them over slots of several",
                      "read %.2f GB/s at once, %.0f %% of what they read alone", all / 1e9, 100 * all / sum);
    else
        ft_check_ok(doctor, "together", "read %.2f GB/s at once, %.0f %% of what they read alone", all / 1e9, 100 * all / sum);
    return FT_OK;
}

static ft_status measure(ft_doctor *doctor, probed *drives, int n)
{
    double fastest = 0, read, all;
    for (int i = 0; i < 2 * n; i++) {  // twice, the better counts: others may use the drive for a moment
        probed *p = &drives[i % n];
        FT_TRY(read_drives(p, 1, &read, &all));
        if (read > p->read) p->read = read;
        if (p->read > fastest) fastest = p->read;
    }
    for (int i = 0; i < n; i++) say_drive(doctor, &drives[i], fastest);
    return n > 1 ? say_together(doctor, drives, n) : FT_OK;
}

// ---- which

// Rates through the page cache, or of memory, say nothing about a drive.
static bool is_drive(const ft_doctor *doctor, const probed *p)
{
    char real[PATH_MAX];
    ft_mount mount;
    bool memory = realpath(p->place, real) && ft_mount_find(&mount, doctor->options->root, real) && mount.behind == FT_BEHIND_MEMORY;
    return !memory && strstr(ft_drive_engine(p->drive), "+direct") != NULL;
}

// Prepares the directories that can be measured; their number. Those that cannot be used at all have rows that say so.
static int open_drives(ft_doctor *doctor, probed *drives, void *buffer)
{
    int n = 0;
    for (int i = 0; i < doctor->config->nvme.n && n < FT_MAX_DRIVES; i++) {
        probed *p = &drives[n];
        *p = (probed){.name = doctor->config->nvme.items[i]};
        if (ft_check_drive_place(doctor, i, p->place) == NULL) continue;
        if (open_file(p, doctor->config) != FT_OK) {
            ft_drive_close(p->drive);
        } else if (!is_drive(doctor, p)) {
            ft_check_ok(doctor, p->name, "n/a: reads here are copies from memory");
            ft_drive_close(p->drive);
        } else if (write_file(p, buffer) != FT_OK) {
            ft_check_error(doctor, p->name, false, "look at dmesg for errors of the drive");
            ft_drive_close(p->drive);
        } else {
            n++;
        }
    }
    return n;
}

// Null and fault engines touch no drive, or break it on purpose.
static bool is_real(const char *engine)
{
    return strcmp(engine, "auto") == 0 || strcmp(engine, "io_uring") == 0 || strcmp(engine, "posix") == 0;
}

void ft_check_drive_rates(ft_doctor *doctor)
{
    probed drives[FT_MAX_DRIVES];
    void *buffer = NULL;
    if (!is_real(doctor->config->io_engine) || posix_memalign(&buffer, FT_IO_ALIGN, PIECE) != 0) return;
    fill_random(buffer, PIECE / 4);
    int n = open_drives(doctor, drives, buffer);
    if (measure(doctor, drives, n) != FT_OK) ft_check_error(doctor, NULL, false, "look at dmesg for errors of the drives");
    for (int i = 0; i < n; i++) ft_drive_close(drives[i].drive);
    free(buffer);
}
