// The caller's side of the schedule: announcing sweeps, dropping them, and visits.
//
// The caller counts the loads of each slot on its own walk over the schedule, as the feeder does on its own; a lease carries the
// caller's count, and await and release assert that it is the feeder's.
#include <string.h>

#include "offload/streamer_internal.h"

static bool walkers_idle(const ft_streamer *s)
{
    return s->reader.idle && s->feeder.idle;
}

static ft_status announce(ft_streamer *s, ft_sweep_mode mode, int64_t sweeps)
{
    FT_TRY(ft_stream_error(s));
    if (s->acquired < s->total)
        return ft_error(FT_E_INTERNAL, "streamer: %lld announced visits are left over", (long long)(s->total - s->acquired));
    while (!walkers_idle(s) && s->status == FT_OK) pthread_cond_wait(&s->caller_wake, &s->lock);
    FT_TRY(ft_stream_error(s));
    s->cold_first = !s->warm || s->mode != mode;
    s->warm = true;
    s->mode = mode;
    s->total = sweeps * s->plan->n_visits[mode];
    s->acquired = s->reader.at = s->feeder.at = 0;
    s->reader.idle = s->feeder.idle = false;
    pthread_cond_signal(&s->reader.wake);
    pthread_cond_signal(&s->feeder.wake);
    return FT_OK;
}

ft_status ft_streamer_start(ft_streamer *s, ft_sweep_mode mode, int64_t sweeps)
{
    FT_ASSERT(sweeps > 0 && s->plan->n_visits[mode] > 0, "%lld sweeps of mode %d", (long long)sweeps, (int)mode);
    pthread_mutex_lock(&s->lock);
    ft_status status = announce(s, mode, sweeps);
    pthread_mutex_unlock(&s->lock);
    return status;
}

// Work of the caller that may still read slots ends here, so that the slots can be taken as empty.
static ft_status settle_leases(ft_streamer *s)
{
    ft_status status = FT_OK;
    for (int64_t i = 0; i < 2 * s->plan->slots; i++) {
        ft_slot_load *load = &s->slot[i / 2].load[i % 2];
        for (int group = 0; group < FT_GROUP_COUNT; group++) {
            ft_status synced = load->queue[group] != NULL ? ft_queue_sync(load->queue[group]) : FT_OK;
            if (status == FT_OK) status = synced;
        }
        load->generation = 0;
        memset(load->queue, 0, sizeof load->queue);
    }
    return status;
}

// Leases given out before carry generations that never come again.
static void forget_announcement(ft_streamer *s)
{
    for (int64_t i = 0; i < s->plan->slots; i++) {
        ft_layer_slot *slot = &s->slot[i];
        uint64_t latest = slot->generation > slot->acquired_generation ? slot->generation : slot->acquired_generation;
        slot->generation = slot->acquired_generation = latest + 2;
        slot->acquired[0] = slot->acquired[1] = 0;
    }
    for (int64_t i = 0; i < s->plan->host_slots; i++) s->ring[i].copied = s->ring[i].fills;
    s->total = s->acquired = s->reader.at = s->feeder.at = 0;
    s->warm = false;
    s->cancel = false;
}

ft_status ft_streamer_cancel(ft_streamer *s)
{
    pthread_mutex_lock(&s->lock);
    s->cancel = true;
    ft_stream_wake_all(s);
    while (!walkers_idle(s)) pthread_cond_wait(&s->caller_wake, &s->lock);
    pthread_mutex_unlock(&s->lock);
    ft_status units = ft_units_settle(s);
    ft_status copies = ft_queue_sync(s->h2d);
    ft_status leases = settle_leases(s);
    pthread_mutex_lock(&s->lock);
    while (s->requests > 0) pthread_cond_wait(&s->caller_wake, &s->lock);
    forget_announcement(s);
    ft_status status = ft_stream_error(s);
    pthread_mutex_unlock(&s->lock);
    if (status != FT_OK) return status;
    return units != FT_OK ? units : copies != FT_OK ? copies : leases;
}

static ft_status check_error(ft_streamer *s)
{
    pthread_mutex_lock(&s->lock);
    ft_status status = ft_stream_error(s);
    pthread_mutex_unlock(&s->lock);
    return status;
}

ft_status ft_streamer_acquire(ft_streamer *s, int layer, ft_direction direction, ft_lease *lease)
{
    FT_TRY(check_error(s));
    if (s->acquired == s->total) return ft_error(FT_E_INTERNAL, "streamer: layer %d is acquired, but no visit is announced", layer);
    const ft_visit *visit = ft_schedule_visit(s, s->acquired);
    FT_ASSERT(visit->layer == layer && visit->direction == direction, "visit %lld is layer %d direction %d, not layer %d direction %d",
              (long long)s->acquired, visit->layer, (int)visit->direction, layer, (int)direction);
    *lease = (ft_lease){.layer = layer, .direction = direction, .record = ft_schedule_record(s, visit), .slot = visit->slot,
                        .base = visit->slot < 0 ? s->device_record[layer] : s->slot[visit->slot].base};
    if (visit->slot >= 0) {
        ft_layer_slot *slot = &s->slot[visit->slot];
        if (visit->load) slot->acquired[++slot->acquired_generation & 1] = 0;
        lease->generation = slot->acquired_generation;
        slot->acquired[lease->generation & 1]++;
    }
    s->acquired++;
    return FT_OK;
}

// Lock held. The load the lease is of, once the copies of the group are queued.
static ft_status wait_issued(ft_streamer *s, const ft_lease *lease, ft_group group, ft_slot_load **found)
{
    ft_layer_slot *slot = &s->slot[lease->slot];
    ft_slot_load *load = &slot->load[lease->generation & 1];
    while (s->status == FT_OK && (slot->generation < lease->generation || !(load->issued & 1u << group)))
        pthread_cond_wait(&s->caller_wake, &s->lock);
    FT_TRY(ft_stream_error(s));
    FT_ASSERT(load->generation == lease->generation && load->record == lease->record,
              "slot %d holds generation %llu, the lease of layer %d is of %llu", lease->slot, (unsigned long long)load->generation,
              lease->layer, (unsigned long long)lease->generation);
    *found = load;
    return FT_OK;
}

// Where the bytes came from, for the meter.
typedef struct {
    int drive;
    double arrived_s;
} origin;

static ft_status await_group(ft_streamer *s, const ft_lease *lease, ft_group group, ft_queue *queue, origin *from)
{
    ft_slot_load *load;
    pthread_mutex_lock(&s->lock);
    ft_status status = wait_issued(s, lease, group, &load);
    if (status == FT_OK) {
        load->queue[group] = queue;
        *from = (origin){load->drive[group], load->arrived_s[group]};
    }
    pthread_mutex_unlock(&s->lock);
    return status == FT_OK ? ft_event_wait(load->loaded[group], queue) : status;
}

// The span begins before the host waits: what the queue still has to do by then is not lost time, and the device's clock tells.
static ft_status await_metered(ft_streamer *s, const ft_lease *lease, ft_group group, ft_queue *queue)
{
    origin from;
    FT_TRY(ft_meter_begin(s->meter, FT_TRACK_STALL, queue));
    FT_TRY(await_group(s, lease, group, queue, &from));
    ft_span_label label = {.kind = FT_SPAN_WAIT_H2D, .layer = lease->layer, .part = (int32_t)group,
                           .bytes = lease->record->extent[group].bytes};
    return ft_meter_end_wait(s->meter, queue, label, from.drive, from.arrived_s);
}

ft_status ft_streamer_await(ft_streamer *s, const ft_lease *lease, ft_group group, ft_queue *queue)
{
    if (lease->slot < 0 || lease->record->extent[group].bytes == 0) return check_error(s);
    // Later visits of a load find it waited for.
    origin from;
    bool first = s->slot[lease->slot].acquired[lease->generation & 1] == 1;
    return first ? await_metered(s, lease, group, queue) : await_group(s, lease, group, queue, &from);
}

// Overwrites the group behind the work that read it, before the refill that `released` lets through.
static ft_status poison_group(const ft_streamer *s, const ft_lease *lease, const ft_slot_load *load, ft_group group, ft_queue *queue)
{
    const ft_extent *extent = &lease->record->extent[group];
    FT_TRY(ft_event_wait(load->loaded[group], queue));
    return ft_fill(queue, s->slot[lease->slot].base + extent->offset, FT_STREAM_POISON, extent->bytes);
}

// A group that two visits use (at the turn of the sweep) is released twice; the event is to cover the work of both.
static ft_status record_release(const ft_streamer *s, const ft_lease *lease, ft_slot_load *load, ft_group group, ft_queue *queue)
{
    int64_t release = load->releases[group] + 1;
    if (release > 1) FT_TRY(ft_event_wait(load->released[group], queue));
    if (s->poison && release == load->planned_visits) FT_TRY(poison_group(s, lease, load, group, queue));
    return ft_event_record(load->released[group], queue);
}

ft_status ft_streamer_release(ft_streamer *s, const ft_lease *lease, ft_group group, ft_queue *queue)
{
    if (lease->slot < 0 || lease->record->extent[group].bytes == 0) return check_error(s);
    ft_slot_load *load;
    pthread_mutex_lock(&s->lock);
    ft_status status = wait_issued(s, lease, group, &load);
    pthread_mutex_unlock(&s->lock);
    FT_TRY(status);
    FT_ASSERT(load->releases[group] < s->slot[lease->slot].acquired[lease->generation & 1], "layer %d group %d is released twice",
              lease->layer, (int)group);
    FT_TRY(ft_verify_group(s, lease, group, load->loaded[group], queue));
    FT_TRY(record_release(s, lease, load, group, queue));
    pthread_mutex_lock(&s->lock);
    load->queue[group] = queue;
    load->releases[group]++;
    pthread_cond_signal(&s->feeder.wake);
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}
