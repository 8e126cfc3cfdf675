// What the files of the streamer share. Not for use outside them.
//
//   streamer.c            open, close, statistics
//   streamer_schedule.c   the plan's schedule: checked, and what walkers ask of it
//   streamer_walk.c       the loop both walkers run, and how it is stopped
//   streamer_reader.c     NVMe -> host ring              (reader thread, drives' threads)
//   streamer_feeder.c     host -> layer slots            (feeder thread)
//   streamer_visits.c     start, cancel, acquire, await, release
//   streamer_stripe.c     one stripe, read and verified, at most twice
//   streamer_verify.c     stripes checked again while the run goes on; streamer_scrub.c: in host memory
//   streamer_load.c       what open brings in
//   streamer_units.c      units at home in host memory, and the interface of all units
//   streamer_spill*.c     units at home on NVMe          (spill thread, drives' threads)
//   embedding.c           rows of the embedding
//   meter*.c, trace.c     where the time goes
//
// One lock guards all host-side state that more than one thread touches; each thread that waits has its own condition. Device
// queues are used by one thread each: `h2d` by the feeder (by open and cancel while it is idle), a unit's queues by the caller,
// the spill's by the spill thread. Device order comes from events; a thread waits for an event only after it has seen, under the
// lock, that the event was recorded.
#ifndef FT_OFFLOAD_STREAMER_INTERNAL_H
#define FT_OFFLOAD_STREAMER_INTERNAL_H

#include <pthread.h>

#include "offload/streamer.h"

#define FT_STREAM_POISON 0xA5
#define FT_STREAM_IO_ALIGN 4096

static inline int64_t ft_stream_round(int64_t bytes)
{
    return (bytes + FT_STREAM_IO_ALIGN - 1) / FT_STREAM_IO_ALIGN * FT_STREAM_IO_ALIGN;
}

// --- Stripes ----------------------------------------------------------------------------------------------------------------
typedef struct ft_stripe_read ft_stripe_read;
struct ft_stripe_read {
    ft_drive_request request;
    ft_streamer *streamer;
    const ft_stripe *stripe;
    bool again;                  // this is the second attempt
    double asked_s;              // when the drive was asked
    // Called once, with the lock held, on the drive's thread; a failure is the streamer's by then.
    void (*done)(ft_stripe_read *read, ft_status status);
    void *owner;
};
// Reads the stripe into dst. `done` and `owner` are set by the caller.
void ft_stripe_read_start(ft_streamer *streamer, ft_stripe_read *read, const ft_stripe *stripe, void *dst);

// --- Layer slots and ring slots -------------------------------------------------------------------------------------------
// One load of a slot, with the visits that use it. A slot has two of them: the next load begins, region by region, while groups
// of the last one are still held.
typedef struct {
    uint64_t generation;         // 0 = none
    const ft_record *record;
    unsigned issued;             // bit per group: its copies are queued and `loaded` is recorded
    int64_t visits;              // the feeder has passed so far
    int64_t planned_visits;      // until the slot is loaded again (ft_schedule_visits_of_load)
    int64_t releases[FT_GROUP_COUNT];
    ft_queue *queue[FT_GROUP_COUNT];  // of the last await or release
    ft_event *loaded[FT_GROUP_COUNT], *released[FT_GROUP_COUNT];
    // Of the issued groups: the drive whose bytes came last, -1 = the record lives in host memory, and when.
    int drive[FT_GROUP_COUNT];
    double arrived_s[FT_GROUP_COUNT];
    unsigned cleared;            // groups of the slot's load before this one that its copies, or later ones, have waited for
} ft_slot_load;

typedef struct {
    char *base;
    uint64_t generation;         // loads begun
    ft_slot_load load[2];        // [generation & 1]
    // Of the caller: its own walk over the same schedule, compared with the above in await and release.
    uint64_t acquired_generation;
    int64_t acquired[2];         // leases given out, [generation & 1]
} ft_layer_slot;

typedef struct {
    char *base;
    int64_t fills, copied;       // loads begun by the reader; loads whose copies out are queued, `drained` recorded
    int64_t visit;               // of the last fill
    ft_event *drained;
    ft_stripe_read *read;        // [stripes of the largest record]
    bool *arrived;               // [the same]
    int last_drive[FT_GROUP_COUNT];  // of the stripe of the group that came last, and when
    double last_s[FT_GROUP_COUNT];
} ft_ring_slot;

// --- Walkers ----------------------------------------------------------------------------------------------------------------
typedef struct {
    ft_streamer *streamer;
    // One visit. FT_E_STOPPED if told to stop; any other failure becomes the streamer's.
    ft_status (*visit)(ft_streamer *streamer, int64_t number, const ft_visit *visit);
    pthread_cond_t wake;
    pthread_t thread;
    bool started;
    int64_t at;                  // next visit
    bool idle;
} ft_walker;

// --- Units ------------------------------------------------------------------------------------------------------------------
typedef struct {
    ft_unit_class unit_class;
    ft_tier home;
    int64_t bytes;
    char *host;                  // HOST home
    int64_t first_piece, n_pieces;   // NVME home: pieces of the spill
    int64_t stored_through;      // NVME home: number of the last piece of its last store, -1 = none
    ft_event *stored, *loaded;
    // Called for (caller only); with their last copy queued and `stored` or `loaded` recorded (under the lock).
    int64_t stores, loads, stores_issued, loads_issued;
} ft_unit;

typedef struct ft_spill ft_spill;

// --- The streamer -----------------------------------------------------------------------------------------------------------
typedef struct ft_row_window ft_row_window;  // embedding.c
typedef struct ft_verify ft_verify;          // streamer_verify.c

struct ft_streamer {
    const ft_plan *plan;
    ft_store *store;
    ft_device *device;
    ft_pool *pool;
    int64_t piece_bytes;
    bool poison;
    ft_queue *h2d;
    char **device_record, **host_record;  // [n_records], NULL where a record is not there
    ft_layer_slot *slot;                  // [plan->slots]
    ft_ring_slot *ring;                   // [plan->host_slots]

    pthread_mutex_t lock;
    pthread_cond_t caller_wake;
    ft_walker reader, feeder;
    bool stop, cancel;
    ft_status status;                     // the error everything stopped with
    char message[FT_ERROR_MESSAGE_BYTES];
    // The announcement; written while both walkers are idle.
    ft_sweep_mode mode;
    bool warm;                            // the slots are as the steady schedule of `mode` expects them
    bool cold_first;
    int64_t total;                        // visits announced
    int64_t acquired;                     // of them by the caller (caller only)
    int in_flight[FT_MAX_DRIVES];         // stripes asked of each drive
    int64_t requests;                     // drive requests of any kind not yet completed
    ft_streamer_stats stats;              // stalls are the meter's
    ft_meter *meter;

    ft_unit *unit;
    int64_t n_units;
    bool units_ready;
    ft_queue *unit_h2d, *unit_d2h;
    ft_event *unit_before;
    ft_spill *spill;                      // NULL without NVME units

    ft_row_window *rows;                  // NULL if the embedding's home is HOST
    ft_verify *verify;                    // NULL where nothing is checked after its first read
    bool suspect;                         // ft_streamer_suspect
};

// streamer_walk.c
ft_status ft_walker_start(ft_walker *walker, ft_streamer *streamer, const char *name,
                          ft_status (*visit)(ft_streamer *streamer, int64_t number, const ft_visit *visit));
void ft_walker_join(ft_walker *walker);  // after stop was set and everyone woken
ft_status ft_stream_thread(pthread_t *thread, const char *name, void *(*function)(void *), void *argument);
// These expect the lock to be held.
void ft_stream_fail(ft_streamer *streamer, ft_status status);  // with this thread's message; the first failure counts
void ft_stream_wake_all(ft_streamer *streamer);
ft_status ft_stream_error(ft_streamer *streamer);              // the failure as this thread's error, FT_OK if none
static inline bool ft_stream_halted(const ft_streamer *s) { return s->status != FT_OK || s->stop || s->cancel; }
// A drive request ended: the last one may be what cancel or close waits for.
void ft_stream_request_ended(ft_streamer *streamer);

// streamer_schedule.c
ft_status ft_schedule_check(const ft_plan *plan);  // FT_E_INTERNAL names the visit that contradicts the plan
const ft_visit *ft_schedule_visit(const ft_streamer *streamer, int64_t number);  // of the announcement
// How many visits the load of this visit serves, announced or not, until the slot is loaded again; INT64_MAX if it never is.
int64_t ft_schedule_visits_of_load(const ft_streamer *streamer, int64_t number);
static inline const ft_record *ft_schedule_record(const ft_streamer *s, const ft_visit *visit)
{
    return &s->plan->layout.record[visit->layer];
}
static inline ft_tier ft_schedule_home(const ft_streamer *s, int record) { return (ft_tier)s->plan->home[record]; }
// The groups of a visit in the order in which they are brought in, FT_GROUP_COUNT of them.
ft_group ft_schedule_group(const ft_streamer *streamer, const ft_visit *visit, int i);

// streamer_reader.c, streamer_feeder.c
ft_status ft_reader_visit(ft_streamer *streamer, int64_t number, const ft_visit *visit);
ft_status ft_feeder_visit(ft_streamer *streamer, int64_t number, const ft_visit *visit);
// Queues a copy of host memory, cut into pieces that stay within the pool's slabs.
ft_status ft_stream_copy_in(ft_streamer *streamer, ft_queue *queue, char *dst, const char *src, int64_t bytes);
ft_status ft_stream_copy_out(ft_streamer *streamer, ft_queue *queue, char *dst, const char *src, int64_t bytes);

// streamer_load.c
ft_status ft_stream_load(ft_streamer *streamer);

// streamer_units.c
ft_span_label ft_unit_label(const ft_streamer *streamer, const ft_unit *unit, ft_span_kind kind, int64_t bytes);
ft_status ft_units_settle(ft_streamer *streamer);  // waits until nothing of them is in flight
void ft_units_close(ft_streamer *streamer);

// streamer_spill.c, streamer_spill_open.c
ft_status ft_spill_open(ft_streamer *streamer);    // for the units declared
// Appends an operation, in the order of `queue`; blocks while too many are pending.
ft_status ft_spill_push(ft_streamer *streamer, ft_unit *unit, bool load, char *device, ft_queue *queue);
void ft_spill_wake(ft_spill *spill);               // lock held
ft_status ft_spill_settle(ft_streamer *streamer);
void ft_spill_join(ft_spill *spill);               // after stop was set and everyone woken
void ft_spill_close(ft_spill *spill);              // no request is in flight any more

// streamer_verify.c
// Queues the hashes of the group's stripes that are due in this visit, behind the copy that `loaded` covers.
ft_status ft_verify_group(ft_streamer *streamer, const ft_lease *lease, ft_group group, ft_event *loaded, ft_queue *queue);
void ft_verify_close(ft_streamer *streamer);  // after stop was set and everyone woken

// embedding.c
int64_t ft_rows_pool_bytes(const ft_record *record);
ft_status ft_rows_open(ft_streamer *streamer);
void ft_rows_close(ft_streamer *streamer);

#endif
