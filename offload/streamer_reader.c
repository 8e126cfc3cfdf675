// NVMe -> host ring. The reader asks the drives for the stripes of every NVMe record of the schedule, in the order in which
// the feeder will want them, as far ahead as ring slots and the drives' windows allow.
#include <string.h>

#include "common/log.h"
#include "offload/streamer_internal.h"

static int group_at(const ft_record *record, int64_t offset)
{
    for (int group = 0; group < FT_GROUP_COUNT; group++) {
        const ft_extent *extent = &record->extent[group];
        if (offset >= extent->offset && offset < extent->offset + extent->bytes) return group;
    }
    return FT_GROUP_SMALL;
}

static void arrive(ft_stripe_read *read, ft_status status)
{
    ft_ring_slot *ring = read->owner;
    int group = group_at(&read->streamer->plan->layout.record[read->stripe->record], read->stripe->record_offset);
    ring->last_drive[group] = (int)read->stripe->drive;
    ring->last_s[group] = ft_now_s();
    ring->arrived[read->stripe->index] = status == FT_OK;
    pthread_cond_signal(&read->streamer->feeder.wake);
}

// Waits until the copies out of the ring slot's last load are queued, then until they are done.
static ft_status empty_ring_slot(ft_streamer *s, ft_ring_slot *ring)
{
    pthread_mutex_lock(&s->lock);
    while (ring->copied < ring->fills && !ft_stream_halted(s)) pthread_cond_wait(&s->reader.wake, &s->lock);
    ft_status status = ft_stream_halted(s) ? FT_E_STOPPED : FT_OK;
    pthread_mutex_unlock(&s->lock);
    FT_TRY(status);
    return ft_event_sync(ring->drained);
}

static void begin_fill(ft_streamer *s, ft_ring_slot *ring, int64_t number, const ft_record *record, int64_t n_stripes)
{
    if (s->poison) memset(ring->base, FT_STREAM_POISON, (size_t)record->bytes);
    pthread_mutex_lock(&s->lock);
    memset(ring->arrived, 0, (size_t)n_stripes * sizeof *ring->arrived);
    ring->visit = number;
    ring->fills++;
    pthread_cond_signal(&s->feeder.wake);
    pthread_mutex_unlock(&s->lock);
}

static ft_status wait_window(ft_streamer *s, uint32_t drive)
{
    pthread_mutex_lock(&s->lock);
    while (s->in_flight[drive] >= FT_STREAM_DRIVE_WINDOW && !ft_stream_halted(s)) pthread_cond_wait(&s->reader.wake, &s->lock);
    ft_status status = ft_stream_halted(s) ? FT_E_STOPPED : FT_OK;
    pthread_mutex_unlock(&s->lock);
    return status;
}

static ft_status read_extent(ft_streamer *s, ft_ring_slot *ring, int32_t record, const ft_extent *extent)
{
    const ft_stripe *stripe = ft_store_locate(s->store, record, extent->offset);
    const ft_stripe *end = s->store->stripe + s->store->first_stripe[record + 1];
    for (; stripe < end && stripe->record_offset < extent->offset + extent->bytes; stripe++) {
        FT_TRY(wait_window(s, stripe->drive));
        ft_stripe_read *read = &ring->read[stripe->index];
        read->done = arrive;
        read->owner = ring;
        ft_stripe_read_start(s, read, stripe, ring->base + stripe->record_offset);
    }
    return FT_OK;
}

ft_status ft_reader_visit(ft_streamer *s, int64_t number, const ft_visit *visit)
{
    if (!visit->load || ft_schedule_home(s, visit->layer) != FT_TIER_NVME) return FT_OK;
    const ft_record *record = ft_schedule_record(s, visit);
    const int64_t *first = s->store->first_stripe;
    ft_ring_slot *ring = &s->ring[visit->host_slot];
    FT_TRY(empty_ring_slot(s, ring));
    begin_fill(s, ring, number, record, first[visit->layer + 1] - first[visit->layer]);
    for (int i = 0; i < FT_GROUP_COUNT; i++) {
        const ft_extent *extent = &record->extent[ft_schedule_group(s, visit, i)];
        if (extent->bytes > 0) FT_TRY(read_extent(s, ring, visit->layer, extent));
    }
    return FT_OK;
}
