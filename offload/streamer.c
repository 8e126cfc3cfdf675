// Opening and closing: what is where, and in which order it comes and goes.
#include "offload/streamer.h"

#include <stdio.h>

#include "common/log.h"
#include "common/memory.h"
#include "offload/streamer_internal.h"

static int embed_of(const ft_plan *plan)
{
    return ft_layout_embed(&plan->layout);
}

int64_t ft_streamer_pool_bytes(const ft_plan *plan)
{
    int64_t bytes = plan->host_slots * ft_stream_round(plan->slot_bytes);
    for (int i = 0; i < plan->layout.n_records; i++)
        if (plan->home[i] == FT_TIER_HOST && !ft_plan_is_alias(plan, i)) bytes += ft_stream_round(plan->layout.record[i].bytes);
    if (plan->home[embed_of(plan)] == FT_TIER_NVME) bytes += ft_rows_pool_bytes(&plan->layout.record[embed_of(plan)]);
    return bytes;
}

// Addresses of everything that stays where it is.
static ft_status place_records(ft_streamer *s, ft_arena *hbm)
{
    const ft_layout *layout = &s->plan->layout;
    s->device_record = FT_NEW_ARRAY(char *, layout->n_records);
    FT_ALLOC_CHECK(s->device_record);
    s->host_record = FT_NEW_ARRAY(char *, layout->n_records);
    FT_ALLOC_CHECK(s->host_record);
    for (int i = 0; i < layout->n_records; i++) {
        ft_tier home = ft_schedule_home(s, i);
        bool is_head = layout->shape.tied && i == ft_layout_embed(layout);
        if (home == FT_TIER_HBM || is_head) s->device_record[i] = ft_arena_take(hbm, (size_t)layout->record[i].bytes);
        if (home != FT_TIER_HOST) continue;
        // An alias comes after its source.
        s->host_record[i] = ft_plan_is_alias(s->plan, i) ? s->host_record[ft_plan_source(s->plan, i)] : ft_pool_take(s->pool, layout->record[i].bytes);
    }
    return FT_OK;
}

static ft_status make_load_events(ft_streamer *s, ft_slot_load *load)
{
    for (int group = 0; group < FT_GROUP_COUNT; group++) {
        FT_TRY(ft_event_create(s->device, &load->loaded[group]));
        FT_TRY(ft_event_create(s->device, &load->released[group]));
    }
    return FT_OK;
}

static ft_status make_layer_slots(ft_streamer *s, ft_arena *hbm)
{
    s->slot = FT_NEW_ARRAY(ft_layer_slot, s->plan->slots);
    FT_ALLOC_CHECK(s->slot);
    for (int64_t i = 0; i < s->plan->slots; i++) {
        s->slot[i].base = ft_arena_take(hbm, (size_t)s->plan->slot_bytes);
        FT_TRY(make_load_events(s, &s->slot[i].load[0]));
        FT_TRY(make_load_events(s, &s->slot[i].load[1]));
    }
    return FT_OK;
}

static int64_t most_stripes(const ft_streamer *s)
{
    int64_t most = 0;
    for (int64_t i = 0; i < s->plan->layout.shape.layers; i++) {
        int64_t stripes = s->store->first_stripe[i + 1] - s->store->first_stripe[i];
        if (stripes > most) most = stripes;
    }
    return most;
}

static ft_status make_ring(ft_streamer *s)
{
    int64_t stripes = most_stripes(s);
    s->ring = FT_NEW_ARRAY(ft_ring_slot, s->plan->host_slots);
    FT_ALLOC_CHECK(s->ring);
    for (int64_t i = 0; i < s->plan->host_slots; i++) {
        ft_ring_slot *ring = &s->ring[i];
        ring->base = ft_pool_take(s->pool, s->plan->slot_bytes);
        ring->read = FT_NEW_ARRAY(ft_stripe_read, stripes);
        FT_ALLOC_CHECK(ring->read);
        ring->arrived = FT_NEW_ARRAY(bool, stripes);
        FT_ALLOC_CHECK(ring->arrived);
        FT_TRY(ft_event_create(s->device, &ring->drained));
    }
    return FT_OK;
}

static ft_status build(ft_streamer *s, ft_arena *hbm, const char *trace)
{
    FT_TRY(ft_schedule_check(s->plan));
    FT_TRY(ft_queue_create(s->device, FT_QUEUE_COPY, "weights", &s->h2d));
    FT_TRY(ft_meter_open(&s->meter, &(ft_meter_options){.device = s->device, .queue = s->h2d, .n_drives = s->store->n_drives,
                                                        .drive = s->store->drive, .trace = trace}));
    FT_TRY(ft_event_create(s->device, &s->unit_before));
    FT_TRY(place_records(s, hbm));
    FT_TRY(make_layer_slots(s, hbm));
    FT_TRY(make_ring(s));
    FT_TRY(ft_rows_open(s));
    for (int i = 0; i < s->store->n_drives; i++) FT_TRY(ft_pool_register(s->pool, s->store->drive[i]));
    FT_TRY(ft_stream_load(s));
    FT_TRY(ft_walker_start(&s->reader, s, "ft-reader", ft_reader_visit));
    return ft_walker_start(&s->feeder, s, "ft-feeder", ft_feeder_visit);
}

ft_status ft_streamer_open(ft_streamer **opened, const ft_streamer_options *options)
{
    *opened = NULL;
    ft_streamer *s = FT_NEW(ft_streamer);
    FT_ALLOC_CHECK(s);
    s->plan = options->plan;
    s->store = options->store;
    s->device = options->device;
    s->pool = options->pool;
    s->piece_bytes = options->copy_piece_bytes > 0 ? options->copy_piece_bytes : FT_STREAM_COPY_PIECE;
    s->poison = options->poison;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->caller_wake, NULL);
    pthread_cond_init(&s->reader.wake, NULL);
    pthread_cond_init(&s->feeder.wake, NULL);
    ft_status status = build(s, options->hbm, options->trace);
    if (status != FT_OK) ft_streamer_close(s);
    else *opened = s;
    return status;
}

static void stop_threads(ft_streamer *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    ft_stream_wake_all(s);
    pthread_mutex_unlock(&s->lock);
    ft_walker_join(&s->reader);
    ft_walker_join(&s->feeder);
    if (s->spill != NULL) ft_spill_join(s->spill);
    ft_verify_close(s);
    pthread_mutex_lock(&s->lock);
    while (s->requests > 0) pthread_cond_wait(&s->caller_wake, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void free_layer_slots(ft_streamer *s)
{
    for (int64_t i = 0; s->slot != NULL && i < 2 * s->plan->slots; i++) {
        ft_slot_load *load = &s->slot[i / 2].load[i % 2];
        for (int group = 0; group < FT_GROUP_COUNT; group++) {
            ft_event_destroy(load->loaded[group]);
            ft_event_destroy(load->released[group]);
        }
    }
    ft_free(s->slot);
}

static void free_ring(ft_streamer *s)
{
    for (int64_t i = 0; s->ring != NULL && i < s->plan->host_slots; i++) {
        ft_event_destroy(s->ring[i].drained);
        ft_free(s->ring[i].read);
        ft_free(s->ring[i].arrived);
    }
    ft_free(s->ring);
}

// Memory of the pool and the arena stays taken: both are given out once.
void ft_streamer_close(ft_streamer *s)
{
    if (s == NULL) return;
    char message[FT_ERROR_MESSAGE_BYTES];  // open's failure, told after its clean-up
    snprintf(message, sizeof message, "%s", ft_error_message());
    stop_threads(s);
    if (s->h2d != NULL) ft_queue_sync(s->h2d);
    ft_units_settle(s);
    ft_meter_close(s->meter);  // its last spans lie on queues of the units
    ft_units_close(s);
    ft_rows_close(s);
    free_layer_slots(s);
    free_ring(s);
    ft_event_destroy(s->unit_before);
    ft_queue_destroy(s->h2d);
    ft_free(s->device_record);
    ft_free(s->host_record);
    pthread_cond_destroy(&s->feeder.wake);
    pthread_cond_destroy(&s->reader.wake);
    pthread_cond_destroy(&s->caller_wake);
    pthread_mutex_destroy(&s->lock);
    ft_free(s);
    ft_error_adopt(FT_OK, message);
}

const void *ft_streamer_resident(const ft_streamer *s, int record)
{
    return s->device_record[record];
}

const void *ft_streamer_host_record(const ft_streamer *s, int record)
{
    return s->host_record[record];
}

void ft_streamer_get_stats(const ft_streamer *s, ft_streamer_stats *stats)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;  // not part of what is promised to stay
    pthread_mutex_lock(lock);
    *stats = s->stats;
    pthread_mutex_unlock(lock);
    ft_meter_step totals;
    if (ft_meter_totals(s->meter, &totals) != FT_OK) ft_debug("%s", ft_error_message());
    stats->stall_s = totals.stall_s;
    stats->stall_h2d_s = totals.stall_h2d_s;
    stats->stall_nvme_s = totals.stall_nvme_s;
    stats->stall_spill_s = totals.stall_spill_s;
    for (int d = 0; d < totals.n_drives; d++) stats->stall_drive_s[d] = totals.drive[d].stall_s;
}

ft_meter *ft_streamer_meter(ft_streamer *s)
{
    return s->meter;
}
