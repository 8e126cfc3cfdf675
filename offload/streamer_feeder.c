// Host -> layer slots. The feeder copies the record of every visit that loads, group by group in pieces, each piece as soon as
// its stripes are in host memory and the groups of the slot's last load that lie under it were released.
//
// A slot is given to its next load region by region: the copy of a group waits only for those old groups whose extents it
// overwrites, which for layers of equal shape is the same group. Where shapes differ, a group of the old load may lie under none
// of the new one's: it is waited for when the load after that begins, so that two loads per slot are all there ever are.
#include <string.h>

#include "offload/streamer_internal.h"

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Bytes of the next piece at `host`.
static int64_t piece_at(const ft_streamer *s, const char *host, int64_t rest)
{
    return ft_pool_run(s->pool, host, min64(rest, s->piece_bytes));
}

ft_status ft_stream_copy_in(ft_streamer *s, ft_queue *queue, char *dst, const char *src, int64_t bytes)
{
    for (int64_t at = 0, n; at < bytes; at += n) {
        n = piece_at(s, src + at, bytes - at);
        FT_TRY(ft_copy_h2d(queue, dst + at, src + at, n));
    }
    return FT_OK;
}

ft_status ft_stream_copy_out(ft_streamer *s, ft_queue *queue, char *dst, const char *src, int64_t bytes)
{
    for (int64_t at = 0, n; at < bytes; at += n) {
        n = piece_at(s, dst + at, bytes - at);
        FT_TRY(ft_copy_d2h(queue, dst + at, src + at, n));
    }
    return FT_OK;
}

static ft_slot_load *begin_load(ft_streamer *s, int64_t number, const ft_visit *visit)
{
    ft_layer_slot *slot = &s->slot[visit->slot];
    int64_t planned = s->poison ? ft_schedule_visits_of_load(s, number) : 0;
    pthread_mutex_lock(&s->lock);
    ft_slot_load *load = &slot->load[++slot->generation & 1];
    load->generation = slot->generation;
    load->record = ft_schedule_record(s, visit);
    load->issued = 0;
    load->cleared = 0;
    load->visits = 1;
    load->planned_visits = planned;
    memset(load->releases, 0, sizeof load->releases);
    memset(load->queue, 0, sizeof load->queue);
    pthread_mutex_unlock(&s->lock);
    return load;
}

static ft_status wait_released(ft_streamer *s, const ft_slot_load *load, int group)
{
    pthread_mutex_lock(&s->lock);
    while (load->releases[group] < load->visits && !ft_stream_halted(s)) pthread_cond_wait(&s->feeder.wake, &s->lock);
    ft_status status = ft_stream_halted(s) ? FT_E_STOPPED : FT_OK;
    pthread_mutex_unlock(&s->lock);
    return status;
}

// Waits until the groups of `old` within [begin, end) are released, and makes the copies that follow wait for the work that
// read them. `cleared` collects them.
static ft_status clear_region(ft_streamer *s, const ft_slot_load *old, int64_t begin, int64_t end, unsigned *cleared)
{
    if (old->generation == 0) return FT_OK;
    for (int group = 0; group < FT_GROUP_COUNT; group++) {
        const ft_extent *extent = &old->record->extent[group];
        bool overlaps = extent->bytes > 0 && extent->offset < end && begin < extent->offset + extent->bytes;
        if (!overlaps || (*cleared & 1u << group)) continue;
        FT_TRY(wait_released(s, old, group));
        FT_TRY(ft_event_wait(old->released[group], s->h2d));
        *cleared |= 1u << group;
    }
    return FT_OK;
}

static ft_status wait_filled(ft_streamer *s, const ft_ring_slot *ring, int64_t number)
{
    pthread_mutex_lock(&s->lock);
    while (ring->fills == ring->copied && !ft_stream_halted(s)) pthread_cond_wait(&s->feeder.wake, &s->lock);
    ft_status status = ft_stream_halted(s) ? FT_E_STOPPED : FT_OK;
    FT_ASSERT(status != FT_OK || ring->visit == number, "ring slot filled for visit %lld, wanted for %lld", (long long)ring->visit,
              (long long)number);
    pthread_mutex_unlock(&s->lock);
    return status;
}

// Lock held. The first stripe under [begin, end) of a record that is not there yet, NULL if all are.
static const ft_stripe *missing(const ft_streamer *s, const ft_ring_slot *ring, int32_t record, int64_t begin, int64_t end)
{
    const ft_stripe *stripe = ft_store_locate(s->store, record, begin);
    const ft_stripe *last = s->store->stripe + s->store->first_stripe[record + 1];
    for (; stripe < last && stripe->record_offset < end; stripe++)
        if (!ring->arrived[stripe->index]) return stripe;
    return NULL;
}

static bool has_arrived(ft_streamer *s, const ft_ring_slot *ring, int32_t record, int64_t begin, int64_t end)
{
    pthread_mutex_lock(&s->lock);
    bool all = missing(s, ring, record, begin, end) == NULL;
    pthread_mutex_unlock(&s->lock);
    return all;
}

// Waits for the stripes under [begin, end) of a record that is being read into `ring`.
static ft_status wait_arrived(ft_streamer *s, const ft_ring_slot *ring, int32_t record, int64_t begin, int64_t end)
{
    pthread_mutex_lock(&s->lock);
    for (const ft_stripe *stripe; !ft_stream_halted(s) && (stripe = missing(s, ring, record, begin, end)) != NULL;)
        while (!ring->arrived[stripe->index] && !ft_stream_halted(s)) pthread_cond_wait(&s->feeder.wake, &s->lock);
    ft_status status = ft_stream_halted(s) ? FT_E_STOPPED : FT_OK;
    pthread_mutex_unlock(&s->lock);
    return status;
}

typedef struct {
    const ft_visit *visit;
    ft_slot_load *load, *old;
    char *dst;
    const char *src;
    ft_ring_slot *ring;         // NULL if the record lives in host memory
    int64_t span;               // bytes of the meter's open span, 0 = none
} feed;

// The link's time is that of copies with no gap for a late stripe between them.
static ft_status end_span(ft_streamer *s, feed *f, int group)
{
    if (f->span == 0) return FT_OK;
    ft_span_label label = {.kind = FT_SPAN_GROUP, .layer = f->visit->layer, .part = group, .bytes = f->span};
    f->span = 0;
    return ft_meter_end(s->meter, FT_TRACK_H2D, s->h2d, label);
}

static ft_status copy_group(ft_streamer *s, feed *f, ft_group group)
{
    const ft_extent *extent = &f->load->record->extent[group];
    int64_t end = extent->offset + extent->bytes;
    FT_TRY(clear_region(s, f->old, extent->offset, end, &f->load->cleared));
    for (int64_t at = extent->offset, n; at < end; at += n) {
        n = piece_at(s, f->src + at, end - at);
        if (f->ring != NULL && !has_arrived(s, f->ring, f->visit->layer, at, at + n)) {
            FT_TRY(end_span(s, f, group));
            FT_TRY(wait_arrived(s, f->ring, f->visit->layer, at, at + n));
        }
        if (f->span == 0) FT_TRY(ft_meter_begin(s->meter, FT_TRACK_H2D, s->h2d));
        FT_TRY(ft_copy_h2d(s->h2d, f->dst + at, f->src + at, n));
        f->span += n;
    }
    return end_span(s, f, group);
}

static ft_status feed_group(ft_streamer *s, feed *f, ft_group group)
{
    const ft_extent *extent = &f->load->record->extent[group];
    if (extent->bytes == 0) return FT_OK;
    FT_TRY(copy_group(s, f, group));
    FT_TRY(ft_event_record(f->load->loaded[group], s->h2d));
    pthread_mutex_lock(&s->lock);
    f->load->issued |= 1u << group;
    f->load->drive[group] = f->ring != NULL ? f->ring->last_drive[group] : -1;
    f->load->arrived_s[group] = f->ring != NULL ? f->ring->last_s[group] : 0;
    s->stats.bytes_h2d += extent->bytes;
    s->stats.class_load[FT_UNIT_BASE] += extent->bytes;
    pthread_cond_broadcast(&s->caller_wake);
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}

static ft_status free_ring_slot(ft_streamer *s, ft_ring_slot *ring)
{
    FT_TRY(ft_event_record(ring->drained, s->h2d));
    pthread_mutex_lock(&s->lock);
    ring->copied++;
    pthread_cond_signal(&s->reader.wake);
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}

// The load before the slot's last one is about to be forgotten: nothing of it may be read any more.
static ft_status clear_before_last(ft_streamer *s, ft_layer_slot *slot)
{
    ft_slot_load *last = &slot->load[slot->generation & 1];
    const ft_slot_load *old = &slot->load[(slot->generation - 1) & 1];
    if (last->generation == 0) return FT_OK;
    return clear_region(s, old, 0, INT64_MAX, &last->cleared);
}

static ft_status feed_record(ft_streamer *s, int64_t number, const ft_visit *visit)
{
    ft_layer_slot *slot = &s->slot[visit->slot];
    feed f = {.visit = visit, .dst = slot->base, .src = s->host_record[visit->layer]};
    FT_TRY(clear_before_last(s, slot));
    f.load = begin_load(s, number, visit);
    f.old = &slot->load[(slot->generation - 1) & 1];
    if (f.src == NULL) {
        f.ring = &s->ring[visit->host_slot];
        f.src = f.ring->base;
        FT_TRY(wait_filled(s, f.ring, number));
    }
    for (int i = 0; i < FT_GROUP_COUNT; i++) FT_TRY(feed_group(s, &f, ft_schedule_group(s, visit, i)));
    return f.ring != NULL ? free_ring_slot(s, f.ring) : FT_OK;
}

ft_status ft_feeder_visit(ft_streamer *s, int64_t number, const ft_visit *visit)
{
    if (visit->slot < 0) return FT_OK;
    if (visit->load) return feed_record(s, number, visit);
    ft_layer_slot *slot = &s->slot[visit->slot];
    pthread_mutex_lock(&s->lock);
    slot->load[slot->generation & 1].visits++;
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}
