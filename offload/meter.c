#include "offload/meter.h"

#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "offload/meter_internal.h"

// Spans of a track not yet folded. A stream holds about a thousand calls, two of them are a span's: no more can be waiting on a
// GPU. On the CPU only copies wait, and they are few.
#define PENDING_CUDA 512
#define PENDING_CPU 32
// Spans folded at the begin of another one: more than come, so that little is left at the end of a step.
#define FOLD_AT_BEGIN 4
// Readings of the host's clock around an event, to align the device's with it.
#define ALIGN_APART_S 100e-6
#define ALIGN_ATTEMPTS 4

// --- Open and close ---------------------------------------------------------------------------------------------------------
// A store's part of a drive is DIRECTORY/ft-store/ID.
static char *name_of(const char *directory)
{
    const char *store = strstr(directory, "/ft-store/");
    return store != NULL && store != directory ? ft_strndup(directory, (size_t)(store - directory)) : ft_strdup(directory);
}

static ft_status build(ft_meter *m, const ft_meter_options *options)
{
    for (int d = 0; d < m->n_drives; d++) FT_ALLOC_CHECK(m->drive_name[d] = name_of(ft_drive_directory(options->drive[d])));
    FT_ALLOC_CHECK(m->step = FT_NEW_ARRAY(ft_meter_step, FT_METER_STEPS));
    FT_TRY(ft_event_create(m->device, &m->anchor));
    FT_TRY(ft_meter_align(m, options->queue));
    if (options->trace != NULL) FT_TRY(ft_trace_open(&m->trace, options->trace, m->n_drives, m->drive_name));
    FT_TRY(ft_meter_open_track(m, FT_TRACK_COMPUTE));
    FT_TRY(ft_meter_open_track(m, FT_TRACK_STALL));
    return ft_meter_open_track(m, FT_TRACK_H2D);
}

ft_status ft_meter_open(ft_meter **opened, const ft_meter_options *options)
{
    *opened = NULL;
    ft_meter *m = FT_NEW(ft_meter);
    FT_ALLOC_CHECK(m);
    m->device = options->device;
    m->n_drives = options->n_drives;
    m->step_begin = ft_now_s();
    pthread_mutex_init(&m->clock_lock, NULL);
    pthread_mutex_init(&m->drive_lock, NULL);
    for (int i = 0; i < FT_TRACK_DEVICE_COUNT; i++) pthread_mutex_init(&m->track[i].lock, NULL);
    ft_status status = build(m, options);
    if (status != FT_OK) ft_meter_close(m);
    else *opened = m;
    return status;
}

ft_status ft_meter_open_track(ft_meter *m, ft_track which)
{
    ft_meter_track *track = &m->track[which];
    if (track->pair != NULL) return FT_OK;
    track->pending = ft_device_get_info(m->device)->kind == FT_DEVICE_CPU ? PENDING_CPU : PENDING_CUDA;
    FT_ALLOC_CHECK(track->interval = FT_NEW_ARRAY(ft_interval, FT_METER_INTERVALS));
    FT_ALLOC_CHECK(track->pair = FT_NEW_ARRAY(ft_meter_pair, track->pending));
    for (int64_t i = 0; i < track->pending; i++) {
        FT_TRY(ft_event_create(m->device, &track->pair[i].begin));
        FT_TRY(ft_event_create(m->device, &track->pair[i].end));
    }
    return FT_OK;
}

static void close_track(ft_meter_track *track)
{
    for (int64_t i = 0; track->pair != NULL && i < track->pending; i++) {
        ft_event_destroy(track->pair[i].begin);
        ft_event_destroy(track->pair[i].end);
    }
    ft_free(track->pair);
    ft_free(track->interval);
    pthread_mutex_destroy(&track->lock);
}

static void fold_all(ft_meter *m)
{
    for (int i = 0; i < FT_TRACK_DEVICE_COUNT; i++) {
        pthread_mutex_lock(&m->track[i].lock);
        ft_meter_fold(m, (ft_track)i, INT64_MAX);
        pthread_mutex_unlock(&m->track[i].lock);
    }
}

void ft_meter_close(ft_meter *m)
{
    if (m == NULL) return;
    if (m->trace != NULL) {
        fold_all(m);
        if (ft_trace_close(m->trace) != FT_OK) ft_warn("%s", ft_error_message());
    }
    for (int i = 0; i < FT_TRACK_DEVICE_COUNT; i++) close_track(&m->track[i]);
    ft_event_destroy(m->anchor);
    pthread_mutex_destroy(&m->drive_lock);
    pthread_mutex_destroy(&m->clock_lock);
    for (int d = 0; d < m->n_drives; d++) ft_free(m->drive_name[d]);
    ft_free(m->step);
    ft_free(m);
}

const char *ft_meter_drive_name(const ft_meter *m, int drive)
{
    return m->drive_name[drive];
}

// --- Clocks -----------------------------------------------------------------------------------------------------------------
// The queue is idle, so the event passes between the two readings; where they are far apart (the thread lost its core) they are
// taken again. A new anchor each step keeps the device's clock, which drifts, and its single precision within the step.
ft_status ft_meter_align(ft_meter *m, ft_queue *queue)
{
    ft_status status = FT_OK;
    pthread_mutex_lock(&m->clock_lock);
    double apart = 1;
    for (int attempt = 0; attempt < ALIGN_ATTEMPTS && apart > ALIGN_APART_S && status == FT_OK; attempt++) {
        double before = ft_now_s();
        status = ft_event_record(m->anchor, queue);
        if (status == FT_OK) status = ft_event_sync(m->anchor);
        apart = ft_now_s() - before;
        m->anchor_s = before + apart / 2;
    }
    pthread_mutex_unlock(&m->clock_lock);
    return status;
}

static ft_status host_time(ft_meter *m, ft_event *event, double *seconds)
{
    double elapsed = 0;
    pthread_mutex_lock(&m->clock_lock);
    ft_status status = ft_event_elapsed(m->anchor, event, &elapsed);
    *seconds = m->anchor_s + elapsed;
    pthread_mutex_unlock(&m->clock_lock);
    return status;
}

// --- Folding ----------------------------------------------------------------------------------------------------------------
static void add_interval(ft_meter_track *track, double begin, double end)
{
    if (track->n_intervals == FT_METER_INTERVALS) track->interval[track->n_intervals - 1].end = end;
    else track->interval[track->n_intervals++] = (ft_interval){begin, end};
}

// The part of a wait before the bytes were in host memory is the drive's, the rest the link's.
static void fold_wait(ft_meter *m, const ft_meter_pair *pair, double begin, double end)
{
    add_interval(&m->track[FT_TRACK_STALL], begin, end);
    ft_span_label label = pair->label;
    if (label.kind == FT_SPAN_WAIT_SPILL) {
        m->stalls.spill_s += end - begin;
        ft_trace_add(m->trace, FT_TRACK_STALL, label, -1, begin, end);
        return;
    }
    double there = pair->drive < 0 || pair->arrived_s < begin ? begin : pair->arrived_s > end ? end : pair->arrived_s;
    if (pair->drive >= 0) m->stalls.drive_s[pair->drive] += there - begin;
    m->stalls.h2d_s += end - there;
    label.kind = FT_SPAN_WAIT_DRIVE;
    if (there > begin) ft_trace_add(m->trace, FT_TRACK_STALL, label, pair->drive, begin, there);
    label.kind = FT_SPAN_WAIT_H2D;
    if (end > there) ft_trace_add(m->trace, FT_TRACK_STALL, label, -1, there, end);
}

static ft_status fold_pair(ft_meter *m, ft_track which, const ft_meter_pair *pair)
{
    ft_meter_track *track = &m->track[which];
    double begin, end;
    if (which == FT_TRACK_STALL) {
        FT_TRY(ft_event_elapsed(pair->begin, pair->end, &end));
        if (end < FT_METER_GAP_S) return FT_OK;  // nearly all
    }
    FT_TRY(host_time(m, pair->begin, &begin));
    FT_TRY(host_time(m, pair->end, &end));
    if (begin < track->last_end) begin = track->last_end;  // clocks aligned anew
    if (end < begin) end = begin;
    track->last_end = end;
    track->bytes += pair->label.bytes;
    if (which == FT_TRACK_STALL) {
        fold_wait(m, pair, begin, end);
        return FT_OK;
    }
    add_interval(track, begin, end);
    ft_trace_add(m->trace, (int)which, pair->label, -1, begin, end);
    return FT_OK;
}

ft_status ft_meter_fold(ft_meter *m, ft_track which, int64_t most)
{
    ft_meter_track *track = &m->track[which];
    for (int64_t i = 0; i < most && track->folded < track->ended; i++) {
        const ft_meter_pair *pair = &track->pair[track->folded % track->pending];
        bool passed;
        FT_TRY(ft_event_query(pair->end, &passed));
        if (!passed) return FT_OK;
        FT_TRY(fold_pair(m, which, pair));
        track->folded++;
    }
    return FT_OK;
}

ft_status ft_meter_under_way(ft_meter *m, ft_meter_track *track, bool *any, double *begin)
{
    *any = track->folded < track->ended || track->open;
    if (!*any) return FT_OK;
    const ft_meter_pair *pair = &track->pair[track->folded % track->pending];
    FT_TRY(ft_event_query(pair->begin, any));
    return *any ? host_time(m, pair->begin, begin) : FT_OK;
}

// What the caller will want to know at the end of a step, while it still waits for the device.
static ft_status fold_for_caller(ft_meter *m)
{
    static const ft_track tracks[] = {FT_TRACK_COMPUTE, FT_TRACK_STALL};
    ft_status status = FT_OK;
    for (int i = 0; i < 2 && status == FT_OK; i++) {
        if (pthread_mutex_trylock(&m->track[tracks[i]].lock) != 0) continue;
        status = ft_meter_fold(m, tracks[i], FOLD_AT_BEGIN);
        pthread_mutex_unlock(&m->track[tracks[i]].lock);
    }
    return status;
}

// --- Device spans -----------------------------------------------------------------------------------------------------------
ft_status ft_meter_begin(ft_meter *m, ft_track which, ft_queue *queue)
{
    ft_meter_track *track = &m->track[which];
    if (which == FT_TRACK_H2D) FT_TRY(fold_for_caller(m));
    FT_ASSERT(track->pair != NULL, "track %d is not open", (int)which);
    pthread_mutex_lock(&track->lock);
    track->open = false;
    ft_status status = ft_meter_fold(m, which, FOLD_AT_BEGIN);
    bool full = track->ended - track->folded == track->pending;
    track->dropped += full;
    if (status == FT_OK && !full) status = ft_event_record(track->pair[track->ended % track->pending].begin, queue);
    track->open = status == FT_OK && !full;
    pthread_mutex_unlock(&track->lock);
    return status;
}

static ft_status end_span(ft_meter *m, ft_track which, ft_queue *queue, ft_span_label label, int drive, double arrived_s)
{
    ft_meter_track *track = &m->track[which];
    pthread_mutex_lock(&track->lock);
    ft_status status = FT_OK;
    if (track->open) {
        ft_meter_pair *pair = &track->pair[track->ended % track->pending];
        pair->label = label;
        pair->drive = drive;
        pair->arrived_s = arrived_s;
        status = ft_event_record(pair->end, queue);
        track->ended += status == FT_OK;
        track->open = false;
    }
    pthread_mutex_unlock(&track->lock);
    return status;
}

ft_status ft_meter_end(ft_meter *m, ft_track track, ft_queue *queue, ft_span_label label)
{
    return end_span(m, track, queue, label, -1, 0);
}

ft_status ft_meter_end_wait(ft_meter *m, ft_queue *queue, ft_span_label label, int drive, double arrived_s)
{
    return end_span(m, FT_TRACK_STALL, queue, label, drive, arrived_s);
}

// --- Drives -----------------------------------------------------------------------------------------------------------------
void ft_meter_drive_begin(ft_meter *m, int drive)
{
    double now = ft_now_s();
    pthread_mutex_lock(&m->drive_lock);
    if (m->drive_track[drive].in_flight++ == 0) m->drive_track[drive].since = now;
    if (m->drives_in_flight++ == 0) m->drives_since = now;
    pthread_mutex_unlock(&m->drive_lock);
}

// The trace shows a transfer from the end of the one before it, since a drive has several at once.
void ft_meter_drive_end(ft_meter *m, int drive, double begun_s, ft_span_label label)
{
    double now = ft_now_s();
    pthread_mutex_lock(&m->drive_lock);
    ft_meter_drive_track *track = &m->drive_track[drive];
    if (--track->in_flight == 0) track->sum.busy_s += now - track->since;
    if (--m->drives_in_flight == 0) m->drives_busy_s += now - m->drives_since;
    if (now - begun_s > track->sum.slowest_s) track->sum.slowest_s = now - begun_s;
    *(label.kind == FT_SPAN_WRITE ? &track->sum.bytes_written : &track->sum.bytes_read) += label.bytes;
    double begin = begun_s < track->last_end ? track->last_end : begun_s, end = now < begin ? begin : now;
    track->last_end = end;
    ft_trace_add(m->trace, FT_TRACK_DRIVE + drive, label, -1, begin, end);
    pthread_mutex_unlock(&m->drive_lock);
}
