// The meter: where a step's time went. Always on: it costs two timing events a span and some arithmetic at the end of a step;
// it allocates nothing after open and never waits for the device but in ft_meter_step_begin and _end, where the host has
// waited already.
//
// Spans lie on tracks. A device span is a pair of timing events around work on a queue, from a ring of the track that was made
// at open; a drive's span is a pair of host times. Spans of one track do not overlap. Device and host clocks are aligned at
// open and at both ends of every step (to about 50 us). On the CPU device an event's time is when the work before it was done,
// on copy queues too, so the same spans tell the same there.
//
// What counts in a step [begin, end]:
//   busy     union of a resource's spans, cut to the step. compute: layer visits, inputs, head and optimizer without the stalls
//            among them; h2d and d2h: copies of weights, of units and of spilled pieces together; drive: at least one transfer
//            with it, all drives: with any of them
//   stall    time the compute queue had nothing to do because data was late: from the end of the work before a wait to the
//            moment the wait was over, on the device's own clock. Both the host that waits for a copy to be queued and the
//            device that waits for it to finish are in it. Gaps below FT_METER_GAP_S are the clock's.
//   cause    of a wait for weights: until the bytes were in host memory the drive that was last with them, from then on the H2D
//            link (or the slot that the copy waited for); of a wait for a unit: spill
// Work of the copy queues that is under way at the end of a step counts there for what of it lies within, and the rest in the
// next one.
//
// Threads: one writer per track (compute and stalls: the caller; H2D: the feeder; units: the caller; spill: the spill thread);
// drives: any thread. ft_meter_step_* and _totals are called by the caller's thread.
#ifndef FT_OFFLOAD_METER_H
#define FT_OFFLOAD_METER_H

#include "common/text.h"
#include "device/device.h"
#include "offload/plan.h"
#include "offload/store.h"

typedef struct ft_meter ft_meter;

// Shorter gaps of the compute queue than this are not stalls: it is what two events cost on it.
#define FT_METER_GAP_S 10e-6
#define FT_METER_STEPS 256  // steps remembered for the report

typedef enum {
    FT_TRACK_COMPUTE,     // the caller's queue
    FT_TRACK_STALL,       // the same, where it waits
    FT_TRACK_H2D,         // weights
    FT_TRACK_UNITS_IN, FT_TRACK_UNITS_OUT,  // units at home in host memory
    FT_TRACK_SPILL_IN, FT_TRACK_SPILL_OUT,  // units at home on NVMe, between bounce buffers and device
    FT_TRACK_DEVICE_COUNT,
    FT_TRACK_DRIVE = FT_TRACK_DEVICE_COUNT,  // and one more for each further drive
} ft_track;

// What a span is of. `layer` and `part`: a layer and its group, -1 = none, all; or a unit's class and number.
typedef enum {
    FT_SPAN_FORWARD, FT_SPAN_BACKWARD, FT_SPAN_INPUTS, FT_SPAN_HEAD, FT_SPAN_OPTIMIZER,  // compute
    FT_SPAN_GROUP,                             // H2D: a matrix group of a layer, or a part of one
    FT_SPAN_UNIT,                              // units and spill
    FT_SPAN_READ, FT_SPAN_WRITE,               // drives
    FT_SPAN_WAIT_H2D, FT_SPAN_WAIT_DRIVE, FT_SPAN_WAIT_SPILL,  // stalls
    FT_SPAN_KINDS,
} ft_span_kind;

typedef struct {
    ft_span_kind kind;
    int32_t layer, part;
    int64_t bytes;
} ft_span_label;

typedef struct {
    ft_device *device;
    ft_queue *queue;             // any idle one; it and every queue given to the meter outlive it
    int n_drives;
    ft_drive *const *drive;      // named in reports and traces
    const char *trace;           // file of a timeline of the last spans (offload/trace.h), NULL = none
} ft_meter_options;

// FT_E_IO if the trace cannot be created.
ft_status ft_meter_open(ft_meter **meter, const ft_meter_options *options);
// Writes the trace if one was asked for; failing that is a warning. Queues that spans were recorded on are idle. NULL accepted.
void ft_meter_close(ft_meter *meter);

// Takes the events of a track (compute, stalls and H2D are open from the start).
ft_status ft_meter_open_track(ft_meter *meter, ft_track track);

// --- Recording --------------------------------------------------------------------------------------------------------------
// A span of the work queued on `queue` between the two calls. One span of a track is open at a time; one that is begun again
// without an end (a failure in between) is forgotten. A span that finds the ring full of unfinished ones is counted in `dropped`.
ft_status ft_meter_begin(ft_meter *meter, ft_track track, ft_queue *queue);
ft_status ft_meter_end(ft_meter *meter, ft_track track, ft_queue *queue, ft_span_label label);
// The end of a span of FT_TRACK_STALL: a wait for weights of `label`'s layer and group. arrived_s: when the last of their bytes
// was in host memory (ft_now_s), read from `drive`; drive -1 where they lived in host memory.
ft_status ft_meter_end_wait(ft_meter *meter, ft_queue *queue, ft_span_label label, int drive, double arrived_s);

// A transfer of `bytes` was handed to the drive, and has ended. begun_s: ft_now_s at the former.
void ft_meter_drive_begin(ft_meter *meter, int drive);
void ft_meter_drive_end(ft_meter *meter, int drive, double begun_s, ft_span_label label);

// --- Reading ----------------------------------------------------------------------------------------------------------------
typedef struct {
    double busy_s;
    double slowest_s;            // the longest transfer, its time in the drive's queue included
    double stall_s;              // the compute queue waited for this drive
    int64_t bytes_read, bytes_written;
} ft_meter_drive;

typedef struct {
    double wall_s;
    double compute_s, h2d_s, d2h_s, nvme_s;    // busy; nvme: any drive
    double stall_s;                            // the sum of the next three
    double stall_h2d_s, stall_nvme_s, stall_spill_s;
    int64_t h2d_bytes, d2h_bytes;              // of the spans that ended in the step
    int stall_drive;                           // the drive that cost most, -1 = none
    int n_drives;
    ft_meter_drive drive[FT_MAX_DRIVES];
    int64_t dropped;                           // spans without a place
} ft_meter_step;

// Marks the begin of a step; what happened since the last one ended (evaluations, saves) counts nowhere. `queue` is the compute
// queue, idle: these two wait for it.
ft_status ft_meter_step_begin(ft_meter *meter, ft_queue *queue);
// Sums of the step, also remembered for the report. `step` may be NULL.
ft_status ft_meter_step_end(ft_meter *meter, ft_queue *queue, ft_meter_step *step);

int64_t ft_meter_steps(const ft_meter *meter);  // remembered, FT_METER_STEPS at most
// Medians over the remembered steps, number by number; slowest_s is the longest of all. FT_E_INTERNAL if there is none.
ft_status ft_meter_median(const ft_meter *meter, ft_meter_step *step);
const char *ft_meter_drive_name(const ft_meter *meter, int drive);  // its directory, as in --nvme

// Stalls since open whose end has passed, without waiting: the three causes and, in drive[], per drive. Bytes and busy times of
// the drives as well; the rest is 0.
ft_status ft_meter_totals(ft_meter *meter, ft_meter_step *totals);

// --- Report (meter_report.c) ------------------------------------------------------------------------------------------------
// A table of what each resource was planned to take in a step beside what it took (medians over the remembered steps), a line
// of explanation where the two differ by more than 10 %, and who kept the compute waiting. FT_E_INTERNAL before the first step.
ft_status ft_meter_report(const ft_meter *meter, const ft_plan *plan, ft_text *out);

#endif
