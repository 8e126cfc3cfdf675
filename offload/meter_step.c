// Sums of a step: unions of intervals, cut to the step, and what the counters grew by.
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "offload/meter_internal.h"

#define ALIGNED_FOR_S 1.0  // clocks drift by tens of microseconds in a second

// A walk over the intervals of some tracks in the order of their begins.
typedef struct {
    const ft_interval *interval;
    int n, at;
} walk;

static const ft_interval *next_of(walk *walks, int n)
{
    walk *first = NULL;
    for (int i = 0; i < n; i++) {
        if (walks[i].at == walks[i].n) continue;
        if (first == NULL || walks[i].interval[walks[i].at].begin < first->interval[first->at].begin) first = &walks[i];
    }
    return first == NULL ? NULL : &first->interval[first->at++];
}

// Length of the union within [begin, end].
static double union_of(walk *walks, int n, double begin, double end)
{
    double sum = 0, through = begin;
    for (const ft_interval *i; (i = next_of(walks, n)) != NULL;) {
        double from = i->begin > through ? i->begin : through, to = i->end < end ? i->end : end;
        if (to <= from) continue;
        sum += to - from;
        through = to;
    }
    return sum;
}

// Of two tracks of one queue, the part of `whole` that `holes` covers, within [begin, end].
static double covered(const ft_meter_track *whole, const ft_meter_track *holes, double begin, double end)
{
    double sum = 0;
    for (int i = 0, j = 0; i < whole->n_intervals && j < holes->n_intervals;) {
        const ft_interval *a = &whole->interval[i], *b = &holes->interval[j];
        double from = fmax(fmax(a->begin, b->begin), begin), to = fmin(fmin(a->end, b->end), end);
        if (to > from) sum += to - from;
        if (a->end < b->end) i++;
        else j++;
    }
    return sum;
}

static void forget_before(ft_meter_track *track, double time)
{
    int kept = 0;
    for (int i = 0; i < track->n_intervals; i++)
        if (track->interval[i].end > time) track->interval[kept++] = track->interval[i];
    track->n_intervals = kept;
}

static void lock_tracks(ft_meter *m)
{
    for (int i = 0; i < FT_TRACK_DEVICE_COUNT; i++) pthread_mutex_lock(&m->track[i].lock);
}

static void unlock_tracks(ft_meter *m)
{
    for (int i = FT_TRACK_DEVICE_COUNT - 1; i >= 0; i--) pthread_mutex_unlock(&m->track[i].lock);
}

// Folds what has passed, and appends what is under way as an interval that ends at `now`; forget_before drops it again, so that
// its rest counts from there.
static ft_status collect_track(ft_meter *m, ft_track which, double now)
{
    ft_meter_track *track = &m->track[which];
    bool any;
    double begin;
    if (track->pair == NULL) return FT_OK;
    FT_TRY(ft_meter_fold(m, which, INT64_MAX));
    FT_TRY(ft_meter_under_way(m, track, &any, &begin));
    if (!any || begin >= now || track->n_intervals == FT_METER_INTERVALS) return FT_OK;
    track->interval[track->n_intervals++] = (ft_interval){begin, now};
    return FT_OK;
}

static ft_status collect(ft_meter *m, double now)
{
    for (int i = 0; i < FT_TRACK_DEVICE_COUNT; i++) FT_TRY(collect_track(m, (ft_track)i, now));
    return FT_OK;
}

static walk walk_of(const ft_meter *m, ft_track track)
{
    return (walk){.interval = m->track[track].interval, .n = m->track[track].n_intervals};
}

static void measure_busy(const ft_meter *m, ft_meter_step *s, double begin, double end)
{
    walk compute[] = {walk_of(m, FT_TRACK_COMPUTE)};
    walk in[] = {walk_of(m, FT_TRACK_H2D), walk_of(m, FT_TRACK_UNITS_IN), walk_of(m, FT_TRACK_SPILL_IN)};
    walk out[] = {walk_of(m, FT_TRACK_UNITS_OUT), walk_of(m, FT_TRACK_SPILL_OUT)};
    s->wall_s = end - begin;
    s->compute_s = union_of(compute, 1, begin, end) - covered(&m->track[FT_TRACK_COMPUTE], &m->track[FT_TRACK_STALL], begin, end);
    s->h2d_s = union_of(in, 3, begin, end);
    s->d2h_s = union_of(out, 2, begin, end);
}

// --- Counters since open ----------------------------------------------------------------------------------------------------
static void read_drives(ft_meter *m, ft_meter_step *t, double now)
{
    pthread_mutex_lock(&m->drive_lock);
    t->nvme_s = m->drives_busy_s + (m->drives_in_flight > 0 ? now - m->drives_since : 0);
    for (int d = 0; d < m->n_drives; d++) {
        const ft_meter_drive_track *track = &m->drive_track[d];
        double stall = t->drive[d].stall_s;
        t->drive[d] = track->sum;
        t->drive[d].stall_s = stall;
        t->drive[d].busy_s += track->in_flight > 0 ? now - track->since : 0;
    }
    pthread_mutex_unlock(&m->drive_lock);
}

// Track locks held.
static void read_tracks(const ft_meter *m, ft_meter_step *t)
{
    const ft_meter_track *track = m->track;
    t->h2d_bytes = track[FT_TRACK_H2D].bytes + track[FT_TRACK_UNITS_IN].bytes + track[FT_TRACK_SPILL_IN].bytes;
    t->d2h_bytes = track[FT_TRACK_UNITS_OUT].bytes + track[FT_TRACK_SPILL_OUT].bytes;
    t->stall_h2d_s = m->stalls.h2d_s;
    t->stall_spill_s = m->stalls.spill_s;
    for (int d = 0; d < m->n_drives; d++) t->drive[d].stall_s = m->stalls.drive_s[d];
    for (int i = 0; i < FT_TRACK_DEVICE_COUNT; i++) t->dropped += track[i].dropped;
}

// The sums over drives and causes, from their parts.
static void sum_stalls(ft_meter_step *s)
{
    double most = 0;
    s->stall_nvme_s = 0;
    s->stall_drive = -1;
    for (int d = 0; d < s->n_drives; d++) {
        s->stall_nvme_s += s->drive[d].stall_s;
        if (s->drive[d].stall_s > most) {
            most = s->drive[d].stall_s;
            s->stall_drive = d;
        }
    }
    s->stall_s = s->stall_h2d_s + s->stall_nvme_s + s->stall_spill_s;
}

static void read_totals(ft_meter *m, ft_meter_step *t, double now)
{
    *t = (ft_meter_step){.n_drives = m->n_drives};
    read_tracks(m, t);
    read_drives(m, t, now);
    sum_stalls(t);
}

ft_status ft_meter_totals(ft_meter *m, ft_meter_step *totals)
{
    ft_status status = FT_OK;
    lock_tracks(m);
    for (int i = 0; i < FT_TRACK_DEVICE_COUNT && status == FT_OK; i++) status = ft_meter_fold(m, (ft_track)i, INT64_MAX);
    read_totals(m, totals, ft_now_s());
    unlock_tracks(m);
    return status;
}

// What the counters grew by; the slowest transfer is of the step already.
static void subtract(ft_meter_step *s, const ft_meter_step *before)
{
    s->nvme_s -= before->nvme_s;
    s->stall_h2d_s -= before->stall_h2d_s;
    s->stall_spill_s -= before->stall_spill_s;
    s->h2d_bytes -= before->h2d_bytes;
    s->d2h_bytes -= before->d2h_bytes;
    s->dropped -= before->dropped;
    for (int d = 0; d < s->n_drives; d++) {
        s->drive[d].busy_s -= before->drive[d].busy_s;
        s->drive[d].stall_s -= before->drive[d].stall_s;
        s->drive[d].bytes_read -= before->drive[d].bytes_read;
        s->drive[d].bytes_written -= before->drive[d].bytes_written;
    }
    sum_stalls(s);
}

// --- Steps ------------------------------------------------------------------------------------------------------------------
static void reset_slowest(ft_meter *m)
{
    pthread_mutex_lock(&m->drive_lock);
    for (int d = 0; d < m->n_drives; d++) m->drive_track[d].sum.slowest_s = 0;
    pthread_mutex_unlock(&m->drive_lock);
}

// Collects up to now; what is left of the intervals belongs to what follows.
static ft_status cut(ft_meter *m, ft_meter_step *step)
{
    double now = ft_now_s();
    ft_meter_step totals;
    lock_tracks(m);
    ft_status status = collect(m, now);
    read_totals(m, &totals, now);
    if (step != NULL) {
        *step = totals;
        subtract(step, &m->before);
        measure_busy(m, step, m->step_begin, now);
    }
    for (int i = 0; i < FT_TRACK_DEVICE_COUNT; i++) forget_before(&m->track[i], now);
    unlock_tracks(m);
    m->before = totals;
    m->step_begin = now;
    reset_slowest(m);
    return status;
}

// The clocks were aligned when the last step ended, mostly a moment ago.
ft_status ft_meter_step_begin(ft_meter *m, ft_queue *queue)
{
    if (m->n_steps == 0 || ft_now_s() - m->step_begin > ALIGNED_FOR_S) FT_TRY(ft_meter_align(m, queue));
    return cut(m, NULL);
}

ft_status ft_meter_step_end(ft_meter *m, ft_queue *queue, ft_meter_step *step)
{
    ft_meter_step *kept = &m->step[m->n_steps % FT_METER_STEPS];
    FT_TRY(ft_meter_align(m, queue));
    FT_TRY(cut(m, kept));
    m->n_steps++;
    if (step != NULL) *step = *kept;
    return FT_OK;
}

int64_t ft_meter_steps(const ft_meter *m)
{
    return m->n_steps < FT_METER_STEPS ? m->n_steps : FT_METER_STEPS;
}

// --- Medians ----------------------------------------------------------------------------------------------------------------
static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_at(const ft_meter *m, size_t offset)
{
    double value[FT_METER_STEPS];
    int n = (int)ft_meter_steps(m);
    for (int i = 0; i < n; i++) memcpy(&value[i], (const char *)&m->step[i] + offset, sizeof value[i]);
    qsort(value, (size_t)n, sizeof *value, by_value);
    return (value[(n - 1) / 2] + value[n / 2]) / 2;
}

static int64_t median_count_at(const ft_meter *m, size_t offset)
{
    double value[FT_METER_STEPS];
    int n = (int)ft_meter_steps(m);
    for (int i = 0; i < n; i++) {
        int64_t count;
        memcpy(&count, (const char *)&m->step[i] + offset, sizeof count);
        value[i] = (double)count;
    }
    qsort(value, (size_t)n, sizeof *value, by_value);
    return (int64_t)value[n / 2];
}

#define MEDIAN(member) step->member = median_at(m, offsetof(ft_meter_step, member))
#define MEDIAN_COUNT(member) step->member = median_count_at(m, offsetof(ft_meter_step, member))

static void median_drive(const ft_meter *m, ft_meter_step *step, int d)
{
    size_t at = offsetof(ft_meter_step, drive) + (size_t)d * sizeof(ft_meter_drive);
    ft_meter_drive *drive = &step->drive[d];
    drive->busy_s = median_at(m, at + offsetof(ft_meter_drive, busy_s));
    drive->stall_s = median_at(m, at + offsetof(ft_meter_drive, stall_s));
    drive->bytes_read = median_count_at(m, at + offsetof(ft_meter_drive, bytes_read));
    drive->bytes_written = median_count_at(m, at + offsetof(ft_meter_drive, bytes_written));
    for (int64_t i = 0; i < ft_meter_steps(m); i++) drive->slowest_s = fmax(drive->slowest_s, m->step[i].drive[d].slowest_s);
}

ft_status ft_meter_median(const ft_meter *m, ft_meter_step *step)
{
    *step = (ft_meter_step){.n_drives = m->n_drives, .stall_drive = -1};
    if (m->n_steps == 0) return ft_error(FT_E_INTERNAL, "meter: no step has ended");
    MEDIAN(wall_s);
    MEDIAN(compute_s);
    MEDIAN(h2d_s);
    MEDIAN(d2h_s);
    MEDIAN(nvme_s);
    MEDIAN(stall_s);
    MEDIAN(stall_h2d_s);
    MEDIAN(stall_nvme_s);
    MEDIAN(stall_spill_s);
    MEDIAN_COUNT(h2d_bytes);
    MEDIAN_COUNT(d2h_bytes);
    MEDIAN_COUNT(dropped);
    double most = 0;
    for (int d = 0; d < m->n_drives; d++) {
        median_drive(m, step, d);
        if (step->drive[d].stall_s <= most) continue;
        most = step->drive[d].stall_s;
        step->stall_drive = d;
    }
    return FT_OK;
}
