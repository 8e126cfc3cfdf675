// What the files of the meter share: meter.c records and collects spans, meter_step.c sums them up.
//
// A track's pairs pass three hands: begun and ended by its writer, folded (turned into an interval of host time) by whoever finds
// that the end has passed: the writer at its next span, or the caller at the end of a step.
#ifndef FT_OFFLOAD_METER_INTERNAL_H
#define FT_OFFLOAD_METER_INTERNAL_H

#include <pthread.h>

#include "offload/meter.h"
#include "offload/trace.h"

#define FT_METER_INTERVALS 8192  // of a track and step; later ones are joined to the last

typedef struct {
    ft_event *begin, *end;
    ft_span_label label;
    int drive;            // waits
    double arrived_s;
} ft_meter_pair;

typedef struct { double begin, end; } ft_interval;

typedef struct {
    pthread_mutex_t lock;
    ft_meter_pair *pair;  // [pending], a ring; NULL until the track is opened
    int64_t pending;
    int64_t folded, ended;
    bool open;            // pair[ended % pending] was begun
    ft_interval *interval;  // [FT_METER_INTERVALS] in order, disjoint
    int n_intervals;
    double last_end;
    int64_t bytes, dropped;
} ft_meter_track;

// What stalls cost since open.
typedef struct {
    double h2d_s, spill_s, drive_s[FT_MAX_DRIVES];
} ft_meter_stalls;

typedef struct {
    int in_flight;
    double since;         // begin of what is in flight, or of the step
    double last_end;      // of the trace's spans
    ft_meter_drive sum;   // since open; slowest_s since the step began
} ft_meter_drive_track;

struct ft_meter {
    ft_device *device;
    int n_drives;
    char *drive_name[FT_MAX_DRIVES];
    ft_trace *trace;
    ft_meter_track track[FT_TRACK_DEVICE_COUNT];
    ft_meter_stalls stalls;           // under the stall track's lock

    pthread_mutex_t clock_lock;
    ft_event *anchor;                 // passed at anchor_s
    double anchor_s;

    pthread_mutex_t drive_lock;
    ft_meter_drive_track drive_track[FT_MAX_DRIVES];
    int drives_in_flight;
    double drives_since, drives_busy_s;

    // Of the caller.
    double step_begin;
    ft_meter_step before;             // totals when the step began
    ft_meter_step *step;              // [FT_METER_STEPS], a ring
    int64_t n_steps;                  // so far
};

// Folds the spans whose end has passed, at most `most` of them. Lock of the track held.
ft_status ft_meter_fold(ft_meter *meter, ft_track track, int64_t most);
// Begin of the oldest span that has begun and not ended, in host time; false if there is none. Lock of the track held.
ft_status ft_meter_under_way(ft_meter *meter, ft_meter_track *track, bool *any, double *begin);
// Aligns the clocks; the queue is idle.
ft_status ft_meter_align(ft_meter *meter, ft_queue *queue);

#endif
