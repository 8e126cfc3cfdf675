// The streamer: executes the plan's schedule. Bytes of frozen records go NVMe -> host ring -> layer slot (or host -> slot, or
// are resident), just ahead of the visit that needs them; units of other classes (boundaries, masters, moments, gradients) are
// stored and loaded beside them on queues of their own.
//
// Threads: one reader thread walks the schedule and fills the host ring through the drives' threads; one feeder thread walks
// it and copies ring or host records into layer slots on the H2D copy queue, matrix group by matrix group, in pieces; the
// caller's thread acquires, awaits groups and releases. Each stage may run ahead as far as its slots allow: a region of a slot
// is refilled once the groups of its last visit that lie there were released, a ring slot once the copy out of it has
// finished. In the steady state the caller blocks only where data is late (counted as stall), and nothing allocates.
// Every function below is called from one thread, the caller's; queues handed in outlive the streamer.
//
// Every stripe is hashed the first time it is read; a failed or corrupt stripe is read once more, then the streamer stops:
// acquire returns the error naming drive, file and offset, and every later call returns it again.
// Slots carry (record, generation) stamps, set when a load is issued and asserted in await and release.
#ifndef FT_OFFLOAD_STREAMER_H
#define FT_OFFLOAD_STREAMER_H

#include "common/memory.h"
#include "offload/meter.h"
#include "offload/plan.h"
#include "offload/pool.h"
#include "offload/store.h"

// Stripes in flight per drive, in the run and in the probe of its drives: enough to keep 32 transfers of 1 MiB busy with as much
// again queued, few enough that spilled units and a cancel do not wait behind a whole layer.
#define FT_STREAM_DRIVE_WINDOW 16

typedef struct ft_streamer ft_streamer;

// A copy over the link where nothing else was tuned; what measures the link measures with it.
#define FT_STREAM_COPY_PIECE ((int64_t)16 << 20)

typedef struct {
    const ft_plan *plan;
    ft_store *store;
    ft_device *device;
    ft_pool *pool;              // ft_streamer_pool_bytes are taken from it, and what the units take
    ft_arena *hbm;              // PINNED_RECORDS, HEAD and SLOTS lines are taken from it
    int64_t copy_piece_bytes;   // 0 = FT_STREAM_COPY_PIECE
    const char *trace;          // file of a timeline of the last spans, written at close (offload/trace.h); NULL = none
    bool poison;                // overwrite what becomes free (slots and ring with 0xA5), to catch use after release in tests
} ft_streamer_options;

// Takes memory, starts the threads, loads what lives on the device or in host memory (with progress for large models).
// FT_E_INTERNAL if the plan's schedule contradicts its homes and slots. Plan, store, device, pool and arena outlive the
// streamer. The embedding of a tied model goes to the device as well as to its home: it is the head's matrix.
ft_status ft_streamer_open(ft_streamer **streamer, const ft_streamer_options *options);
// No work that reads slots may be queued any more. Fails nothing: errors were told by the calls before. NULL is accepted.
void ft_streamer_close(ft_streamer *streamer);
// Host memory open takes from the pool: records that live there, the ring, the embedding (whole, or row buffers when its home
// is NVME). Units come on top: each HOST unit its bytes rounded up to 4 KiB, NVME units together ft_spill_pool_bytes of the
// largest (64 MiB at most).
int64_t ft_streamer_pool_bytes(const ft_plan *plan);
int64_t ft_spill_pool_bytes(int64_t largest_unit);

// Announces `sweeps` (at least 1) sweeps of a mode. Prefetch runs ahead inside the announced sweeps only; between them it
// continues without a break. The first sweep follows the cold schedule, or the steady one if the last announcement was of the
// same mode and consumed. FT_E_INTERNAL if announced visits are left over.
ft_status ft_streamer_start(ft_streamer *streamer, ft_sweep_mode mode, int64_t sweeps);
// Drops announced visits that were not consumed (an interrupted step) and waits for what is in flight, work of the caller's
// queues that reads slots included. Leases end here: groups not yet released must not be released afterwards.
ft_status ft_streamer_cancel(ft_streamer *streamer);

// A layer on loan: its record's bytes at `base`, group by group once awaited.
typedef struct {
    int layer;
    ft_direction direction;
    const ft_record *record;
    const char *base;           // device address of the record's byte 0
    int32_t slot;               // -1 resident
    uint64_t generation;        // number of loads into the slot so far, this one included
} ft_lease;

// The next visit of the schedule; `layer` and `direction` are asserted against it. Does not wait: several leases may be held,
// as long as they do not fill all slots.
ft_status ft_streamer_acquire(ft_streamer *streamer, int layer, ft_direction direction, ft_lease *lease);
// Makes `queue` wait until the group's bytes (codes, scales, vectors) are at the lease's base. Groups the record lacks are ready.
ft_status ft_streamer_await(ft_streamer *streamer, const ft_lease *lease, ft_group group, ft_queue *queue);
// The group's bytes are not read by work queued on `queue` after this call. Every existing group must be released once.
ft_status ft_streamer_release(ft_streamer *streamer, const ft_lease *lease, ft_group group, ft_queue *queue);

// Its meter, open as long as the streamer is: the caller adds the spans of its compute queue and marks the steps.
ft_meter *ft_streamer_meter(ft_streamer *streamer);

// Resident records outside the schedule.
const void *ft_streamer_resident(const ft_streamer *streamer, int record);  // device address, NULL if not resident
const void *ft_streamer_host_record(const ft_streamer *streamer, int record);  // host address, NULL if not host-resident

// --- Units: everything that is not frozen weights ---------------------------------------------------------------------------
// Operations on one unit take effect in the order of the calls; a load sees the store before it. A unit that was never stored
// loads as zeroes. NVME units travel through 16 bounce buffers of at most 4 MiB; each piece is hashed when it is written and checked
// when it comes back, and a failed or corrupt piece is tried once more.
typedef enum { FT_UNIT_BASE, FT_UNIT_MASTER, FT_UNIT_MOMENT, FT_UNIT_GRADIENT, FT_UNIT_BOUNDARY, FT_UNIT_CLASSES } ft_unit_class;

// Declares a unit before the first start: `bytes` at home in HOST (pool) or NVME (a spill file on each drive, its pieces spread
// over them). Returns its number, or a negative status.
int64_t ft_streamer_unit_add(ft_streamer *streamer, ft_unit_class unit_class, ft_tier home, int64_t bytes);
// After the last unit_add: takes the memory and reserves the spill files (nameless: they vanish with the process).
ft_status ft_streamer_units_ready(ft_streamer *streamer);
// Device -> home, after the work queued on `queue` so far. The source may be overwritten after unit_stored.
ft_status ft_streamer_unit_store(ft_streamer *streamer, int64_t unit, const void *src, ft_queue *queue);
// Home -> device, after the work queued on `queue` so far (which may still read dst). Usable after unit_loaded.
ft_status ft_streamer_unit_load(ft_streamer *streamer, int64_t unit, void *dst, ft_queue *queue);
// Make `queue` wait for the unit's last store (its source is free) or load (its target is filled).
ft_status ft_streamer_unit_stored(ft_streamer *streamer, int64_t unit, ft_queue *queue);
ft_status ft_streamer_unit_loaded(ft_streamer *streamer, int64_t unit, ft_queue *queue);

// Bytes since open returned, counted when a transfer is queued (NVMe: when it has ended well).
typedef struct {
    int64_t bytes_h2d, bytes_d2h, bytes_nvme_read, bytes_nvme_written;
    int64_t class_load[FT_UNIT_CLASSES], class_store[FT_UNIT_CLASSES];  // BASE: what went into layer slots
    // The caller's compute queue had nothing to do since open, in await and unit_*, host and device (offload/meter.h); what is
    // over when this is read. Together, and by cause: the link from host memory, the drives, units.
    double stall_s, stall_h2d_s, stall_nvme_s, stall_spill_s;
    double stall_drive_s[FT_MAX_DRIVES];  // stall_nvme_s by drive of the store
    int64_t stripes_verified, stripes_reread;  // open's own reads included; reread counts pieces of units too
    int64_t stripes_sampled_device, stripes_sampled_host;  // checked again (offload/streamer_verify.h)
} ft_streamer_stats;
// Of the caller's thread, as everything here.
void ft_streamer_get_stats(const ft_streamer *streamer, ft_streamer_stats *stats);

// Rows of the embedding for token ids, into host memory dst (row bytes of the record's dtype each), from wherever its home is.
// FT_E_INPUT names an id outside the vocabulary.
ft_status ft_streamer_embedding_rows(ft_streamer *streamer, void *dst, const int32_t *ids, int64_t n);

#endif
