// Units: the interface of all of them, and those at home in host memory. The latter are copies on two queues of their own, one
// per direction, so that a boundary never queues behind a layer's weights; events order them with the caller's queue and with
// each other, and nothing blocks the host.
#include "common/memory.h"
#include "offload/streamer_internal.h"

int64_t ft_streamer_unit_add(ft_streamer *s, ft_unit_class unit_class, ft_tier home, int64_t bytes)
{
    FT_ASSERT(!s->units_ready && bytes > 0, "unit of %lld bytes", (long long)bytes);
    if (home != FT_TIER_HOST && home != FT_TIER_NVME) return ft_error(FT_E_INTERNAL, "streamer: a unit lives in host memory or on NVMe");
    ft_unit *grown = ft_realloc(s->unit, (size_t)(s->n_units + 1) * sizeof *grown);
    FT_ALLOC_CHECK(grown);
    s->unit = grown;
    s->unit[s->n_units] = (ft_unit){.unit_class = unit_class, .home = home, .bytes = bytes, .stored_through = -1};
    return s->n_units++;
}

static ft_status make_host_queues(ft_streamer *s)
{
    if (s->unit_h2d != NULL) return FT_OK;
    FT_TRY(ft_meter_open_track(s->meter, FT_TRACK_UNITS_IN));
    FT_TRY(ft_meter_open_track(s->meter, FT_TRACK_UNITS_OUT));
    FT_TRY(ft_queue_create(s->device, FT_QUEUE_COPY, "unit-load", &s->unit_h2d));
    return ft_queue_create(s->device, FT_QUEUE_COPY, "unit-store", &s->unit_d2h);
}

ft_status ft_streamer_units_ready(ft_streamer *s)
{
    FT_ASSERT(!s->units_ready);
    s->units_ready = true;
    bool any_nvme = false;
    for (int64_t i = 0; i < s->n_units; i++) {
        ft_unit *unit = &s->unit[i];
        FT_TRY(ft_event_create(s->device, &unit->stored));
        FT_TRY(ft_event_create(s->device, &unit->loaded));
        if (unit->home == FT_TIER_NVME) {
            any_nvme = true;
            continue;
        }
        unit->host = ft_pool_take(s->pool, unit->bytes);
        FT_TRY(make_host_queues(s));
    }
    return any_nvme ? ft_spill_open(s) : FT_OK;
}

// Makes a unit queue wait for the work on the caller's queue so far.
static ft_status follow(ft_streamer *s, ft_queue *unit_queue, ft_queue *queue)
{
    FT_TRY(ft_event_record(s->unit_before, queue));
    return ft_event_wait(s->unit_before, unit_queue);
}

ft_span_label ft_unit_label(const ft_streamer *s, const ft_unit *unit, ft_span_kind kind, int64_t bytes)
{
    return (ft_span_label){.kind = kind, .layer = (int32_t)unit->unit_class, .part = (int32_t)(unit - s->unit), .bytes = bytes};
}

// An earlier load may still read the home that is overwritten.
static ft_status store_host(ft_streamer *s, ft_unit *unit, const char *src, ft_queue *queue)
{
    FT_TRY(follow(s, s->unit_d2h, queue));
    FT_TRY(ft_event_wait(unit->loaded, s->unit_d2h));
    FT_TRY(ft_meter_begin(s->meter, FT_TRACK_UNITS_OUT, s->unit_d2h));
    FT_TRY(ft_stream_copy_out(s, s->unit_d2h, unit->host, src, unit->bytes));
    FT_TRY(ft_meter_end(s->meter, FT_TRACK_UNITS_OUT, s->unit_d2h, ft_unit_label(s, unit, FT_SPAN_UNIT, unit->bytes)));
    return ft_event_record(unit->stored, s->unit_d2h);
}

static ft_status load_host(ft_streamer *s, ft_unit *unit, char *dst, ft_queue *queue)
{
    FT_TRY(follow(s, s->unit_h2d, queue));
    FT_TRY(ft_event_wait(unit->stored, s->unit_h2d));
    FT_TRY(ft_meter_begin(s->meter, FT_TRACK_UNITS_IN, s->unit_h2d));
    FT_TRY(ft_stream_copy_in(s, s->unit_h2d, dst, unit->host, unit->bytes));
    FT_TRY(ft_meter_end(s->meter, FT_TRACK_UNITS_IN, s->unit_h2d, ft_unit_label(s, unit, FT_SPAN_UNIT, unit->bytes)));
    return ft_event_record(unit->loaded, s->unit_h2d);
}

static ft_status find_unit(ft_streamer *s, int64_t number, ft_unit **unit)
{
    FT_ASSERT(s->units_ready && number >= 0 && number < s->n_units, "unit %lld of %lld", (long long)number, (long long)s->n_units);
    *unit = &s->unit[number];
    pthread_mutex_lock(&s->lock);
    ft_status status = ft_stream_error(s);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static ft_status operate(ft_streamer *s, int64_t number, bool load, char *device, ft_queue *queue)
{
    ft_unit *unit;
    FT_TRY(find_unit(s, number, &unit));
    *(load ? &unit->loads : &unit->stores) += 1;
    ft_status status = unit->home == FT_TIER_NVME ? ft_spill_push(s, unit, load, device, queue)
                       : load                     ? load_host(s, unit, device, queue)
                                                  : store_host(s, unit, device, queue);
    FT_TRY(status);
    pthread_mutex_lock(&s->lock);
    if (unit->home == FT_TIER_HOST) *(load ? &unit->loads_issued : &unit->stores_issued) += 1;
    *(load ? &s->stats.bytes_h2d : &s->stats.bytes_d2h) += unit->bytes;
    (load ? s->stats.class_load : s->stats.class_store)[unit->unit_class] += unit->bytes;
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}

ft_status ft_streamer_unit_store(ft_streamer *s, int64_t unit, const void *src, ft_queue *queue)
{
    return operate(s, unit, false, (char *)src, queue);
}

ft_status ft_streamer_unit_load(ft_streamer *s, int64_t unit, void *dst, ft_queue *queue)
{
    return operate(s, unit, true, dst, queue);
}

// The event may be waited for once its last record was made, which for NVMe units is the spill thread's doing.
static ft_status await_unit(ft_streamer *s, int64_t number, bool load, ft_queue *queue)
{
    ft_unit *unit;
    FT_TRY(find_unit(s, number, &unit));
    FT_TRY(ft_meter_begin(s->meter, FT_TRACK_STALL, queue));
    const int64_t *issued = load ? &unit->loads_issued : &unit->stores_issued;
    int64_t wanted = load ? unit->loads : unit->stores;
    pthread_mutex_lock(&s->lock);
    while (*issued < wanted && s->status == FT_OK) pthread_cond_wait(&s->caller_wake, &s->lock);
    ft_status status = ft_stream_error(s);
    pthread_mutex_unlock(&s->lock);
    FT_TRY(status);
    FT_TRY(ft_event_wait(load ? unit->loaded : unit->stored, queue));
    return ft_meter_end(s->meter, FT_TRACK_STALL, queue, ft_unit_label(s, unit, FT_SPAN_WAIT_SPILL, unit->bytes));
}

ft_status ft_streamer_unit_stored(ft_streamer *s, int64_t unit, ft_queue *queue)
{
    return await_unit(s, unit, false, queue);
}

ft_status ft_streamer_unit_loaded(ft_streamer *s, int64_t unit, ft_queue *queue)
{
    return await_unit(s, unit, true, queue);
}

ft_status ft_units_settle(ft_streamer *s)
{
    ft_status status = s->spill != NULL ? ft_spill_settle(s) : FT_OK;
    ft_status loads = s->unit_h2d != NULL ? ft_queue_sync(s->unit_h2d) : FT_OK;
    ft_status stores = s->unit_d2h != NULL ? ft_queue_sync(s->unit_d2h) : FT_OK;
    return status != FT_OK ? status : loads != FT_OK ? loads : stores;
}

void ft_units_close(ft_streamer *s)
{
    ft_spill_close(s->spill);
    for (int64_t i = 0; i < s->n_units; i++) {
        ft_event_destroy(s->unit[i].stored);
        ft_event_destroy(s->unit[i].loaded);
    }
    ft_queue_destroy(s->unit_h2d);
    ft_queue_destroy(s->unit_d2h);
    ft_free(s->unit);
}
