// How fast the drives of a store deliver: a short read of what is there, all drives at once, through the same threads and rings
// the run will use, with as much in flight.
#include <pthread.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "offload/machine_internal.h"
#include "offload/streamer.h"

#define PROBE_BYTES ((int64_t)512 << 20)  // per drive at most, in the probe of every run: several windows
#define PROBE_SECONDS 0.3

typedef struct drive_probe drive_probe;

typedef struct {
    ft_store *store;
    drive_probe *drive;
    int64_t bytes;                        // per drive at most
    double limit_s;
    double begin;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    int running;                          // drives that still read
} probe;

struct drive_probe {
    probe *all;
    uint32_t number;
    int64_t next;                         // stripe to look at next
    int64_t bytes;
    double seconds;                       // until its last stripe came
    int pending;
    ft_drive_request request[FT_STREAM_DRIVE_WINDOW];
    char *buffer;
};

// The drive's next stripe, or false when it has read enough.
static bool submit_next(drive_probe *d, ft_drive_request *request)
{
    ft_store *store = d->all->store;
    while (d->next < store->n_stripes && store->stripe[d->next].drive != d->number) d->next++;
    if (d->next >= store->n_stripes || d->bytes >= d->all->bytes || ft_now_s() - d->all->begin > d->all->limit_s) return false;
    const ft_stripe *stripe = &store->stripe[d->next++];
    request->offset = stripe->offset;
    request->bytes = stripe->bytes;
    ft_drive_submit(store->drive[d->number], request);
    return true;
}

static void finish_drive(drive_probe *d)
{
    pthread_mutex_lock(&d->all->mutex);
    if (--d->all->running == 0) pthread_cond_signal(&d->all->idle);
    pthread_mutex_unlock(&d->all->mutex);
}

// On the drive's thread; a drive's fields are only touched here once its first requests are out. A read that fails counts for
// nothing: the run's own reads, which try twice, say what is wrong and where.
static void stripe_done(ft_drive_request *request)
{
    drive_probe *d = request->user;
    if (request->status == FT_OK) {
        d->bytes += request->bytes;
        d->seconds = ft_now_s() - d->all->begin;
    }
    if (submit_next(d, request)) return;
    if (--d->pending == 0) finish_drive(d);
}

// The first stripes are chosen before any is submitted: from the first submission on, a drive's fields belong to its thread.
static void start_drive(drive_probe *d)
{
    const ft_store *store = d->all->store;
    for (int i = 0; i < FT_STREAM_DRIVE_WINDOW; i++)
        d->request[i] = (ft_drive_request){.op = FT_IO_READ, .file = store->file[d->number], .buffer = d->buffer + (int64_t)i * FT_STRIPE_BYTES,
                                           .complete = stripe_done, .user = d};
    int64_t found[FT_STREAM_DRIVE_WINDOW], n = 0;
    for (; d->next < store->n_stripes && n < FT_STREAM_DRIVE_WINDOW; d->next++)
        if (store->stripe[d->next].drive == d->number) found[n++] = d->next;
    d->pending = (int)n;
    if (n == 0) finish_drive(d);
    for (int64_t i = 0; i < n; i++) {
        d->request[i].offset = store->stripe[found[i]].offset;
        d->request[i].bytes = store->stripe[found[i]].bytes;
    }
    for (int64_t i = 0; i < n; i++) ft_drive_submit(store->drive[d->number], &d->request[i]);
}

static double slowest_rate(const probe *p)
{
    double rate = 0;
    for (int i = 0; i < p->store->n_drives; i++) {
        const drive_probe *d = &p->drive[i];
        if (d->seconds <= 0) continue;
        double own = (double)d->bytes / d->seconds;
        if (rate == 0 || own < rate) rate = own;
    }
    return rate;
}

// A record is spread evenly over the drives: it is there when the slowest has its part.
static double rate_together(const probe *p)
{
    double bytes = 0, seconds = 0;
    for (int i = 0; i < p->store->n_drives; i++) {
        bytes += (double)p->drive[i].bytes;
        if (p->drive[i].seconds > seconds) seconds = p->drive[i].seconds;
    }
    return seconds > 0 ? bytes / seconds : 0;
}

static ft_status allocate(probe *p)
{
    FT_ALLOC_CHECK(p->drive = FT_NEW_ARRAY(drive_probe, p->store->n_drives));
    for (int i = 0; i < p->store->n_drives; i++) {
        p->drive[i] = (drive_probe){.all = p, .number = (uint32_t)i};
        p->drive[i].buffer = ft_malloc((size_t)FT_STREAM_DRIVE_WINDOW * FT_STRIPE_BYTES + FT_IO_ALIGN);
        FT_ALLOC_CHECK(p->drive[i].buffer);
    }
    return FT_OK;
}

static void run(probe *p)
{
    char *unaligned[FT_MAX_DRIVES];
    for (int i = 0; i < p->store->n_drives; i++) {
        unaligned[i] = p->drive[i].buffer;
        p->drive[i].buffer += FT_IO_ALIGN - (uintptr_t)p->drive[i].buffer % FT_IO_ALIGN;
    }
    p->running = p->store->n_drives;
    p->begin = ft_now_s();
    for (int i = 0; i < p->store->n_drives; i++) start_drive(&p->drive[i]);
    pthread_mutex_lock(&p->mutex);
    while (p->running > 0) pthread_cond_wait(&p->idle, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->store->n_drives; i++) p->drive[i].buffer = unaligned[i];
}

ft_status ft_machine_read_store(ft_machine *machine, ft_store *store, int64_t bytes, double seconds)
{
    probe p = {.store = store, .bytes = bytes, .limit_s = seconds};
    pthread_mutex_init(&p.mutex, NULL);
    pthread_cond_init(&p.idle, NULL);
    ft_status status = allocate(&p);
    if (status == FT_OK) run(&p);
    if (status == FT_OK && slowest_rate(&p) > 0) {
        machine->nvme_read = slowest_rate(&p);
        machine->nvme_read_all = rate_together(&p);
        char *assumed = strstr(machine->source, ", drives assumed");
        if (assumed) *assumed = 0;
    }
    machine->drives = store->n_drives;
    for (int i = 0; p.drive && i < store->n_drives; i++) ft_free(p.drive[i].buffer);
    ft_free(p.drive);
    pthread_cond_destroy(&p.idle);
    pthread_mutex_destroy(&p.mutex);
    return status;
}

ft_status ft_machine_probe_drives(ft_machine *machine, ft_store *store)
{
    return ft_machine_read_store(machine, store, PROBE_BYTES, PROBE_SECONDS);
}
