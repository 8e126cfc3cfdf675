// What open brings in: records that live on the device or in host memory. A window of stripes is kept in flight over all drives;
// stripes for the device alone pass through staging memory (64 MiB at most) that is given back before open returns.
#include "common/log.h"
#include "common/memory.h"
#include "offload/store_random.h"
#include "offload/streamer_internal.h"

#define WINDOW_MAX 64
#define WINDOW_STAGED 16
#define WORTH_A_STRIPE (32.0 * (1 << 20))  // bytes to load for each stripe in flight
#define PROGRESS_FROM (1.0 * (1 << 30))  // bytes; less is done before anybody looks

typedef struct {
    ft_stripe_read read;
    char *staging;     // NULL where no record needs any
    char *device;      // where the stripe goes on the device, NULL = nowhere
    bool busy, arrived;
} load_entry;

typedef struct {
    ft_streamer *streamer;
    load_entry entry[WINDOW_MAX];
    int window;
    int64_t next;      // stripes begun
    ft_pool *staging;
    ft_progress progress;
    bool visible;
    double done;
} loader;

static bool is_wanted(const ft_streamer *s, int record)
{
    return s->device_record[record] != NULL || s->host_record[record] != NULL;
}

static void arrive(ft_stripe_read *read, ft_status status)
{
    load_entry *entry = read->owner;
    entry->arrived = true;
    pthread_cond_broadcast(&read->streamer->caller_wake);
}

// Waits for the entry's stripe and brings it to the device if it goes there.
static ft_status settle(loader *l, load_entry *entry)
{
    if (!entry->busy) return FT_OK;
    ft_streamer *s = l->streamer;
    pthread_mutex_lock(&s->lock);
    while (!entry->arrived) pthread_cond_wait(&s->caller_wake, &s->lock);
    ft_status status = ft_stream_error(s);
    pthread_mutex_unlock(&s->lock);
    entry->busy = false;
    FT_TRY(status);
    l->done += entry->read.stripe->bytes;
    if (l->visible) ft_progress_update(&l->progress, l->done);
    if (entry->device == NULL) return FT_OK;
    FT_TRY(ft_stream_copy_in(s, s->h2d, entry->device, entry->read.request.buffer, entry->read.stripe->bytes));
    return ft_queue_sync(s->h2d);
}

static ft_status begin(loader *l, const ft_stripe *stripe)
{
    ft_streamer *s = l->streamer;
    load_entry *entry = &l->entry[l->next++ % l->window];
    FT_TRY(settle(l, entry));
    char *host = s->host_record[stripe->record], *device = s->device_record[stripe->record];
    entry->device = device == NULL ? NULL : device + stripe->record_offset;
    entry->busy = true;
    entry->arrived = false;
    entry->read.done = arrive;
    entry->read.owner = entry;
    ft_stripe_read_start(s, &entry->read, stripe, host == NULL ? entry->staging : host + stripe->record_offset);
    return FT_OK;
}

static ft_status load_all(loader *l)
{
    const ft_streamer *s = l->streamer;
    for (int64_t i = 0; i < s->store->n_stripes; i++)
        if (is_wanted(s, (int)s->store->stripe[i].record)) FT_TRY(begin(l, &s->store->stripe[i]));
    for (int i = 0; i < l->window; i++) FT_TRY(settle(l, &l->entry[i]));
    return FT_OK;
}

// The bytes to load, and the largest stripe that needs staging.
static void measure(const ft_streamer *s, double *total, int64_t *staged)
{
    *total = 0;
    *staged = 0;
    for (int64_t i = 0; i < s->store->n_stripes; i++) {
        const ft_stripe *stripe = &s->store->stripe[i];
        if (!is_wanted(s, (int)stripe->record)) continue;
        *total += stripe->bytes;
        if (s->host_record[stripe->record] == NULL && stripe->bytes > *staged) *staged = stripe->bytes;
    }
}

// Stripes in flight through staging memory, which no plan counts: few where there is little to load, as in a small budget.
static int staged_window(double total)
{
    int window = (int)(total / WORTH_A_STRIPE);
    return window < 2 ? 2 : window > WINDOW_STAGED ? WINDOW_STAGED : window;
}

static ft_status take_staging(loader *l, int64_t bytes)
{
    if (bytes == 0) return FT_OK;
    FT_TRY(ft_pool_create(&l->staging, l->streamer->device, l->window * ft_stream_round(bytes), -1));
    for (int i = 0; i < l->window; i++) l->entry[i].staging = ft_pool_take(l->staging, bytes);
    return FT_OK;
}

// No request may point into the loader when it goes.
static void drain(ft_streamer *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->requests > 0) pthread_cond_wait(&s->caller_wake, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

// Records of a random store are made where they live, those of the device in a piece of staging memory.
static ft_status make_record(ft_streamer *s, int record, char *staging, int64_t piece)
{
    int64_t bytes = s->plan->layout.record[record].bytes;
    if (s->host_record[record] != NULL && !ft_plan_is_alias(s->plan, record)) ft_store_random_fill(s->store, record, 0, bytes, s->host_record[record]);
    for (int64_t at = 0; at < bytes && s->device_record[record] != NULL; at += piece) {
        int64_t n = bytes - at < piece ? bytes - at : piece;
        ft_store_random_fill(s->store, record, at, n, staging);
        FT_TRY(ft_stream_copy_in(s, s->h2d, s->device_record[record] + at, staging, n));
        FT_TRY(ft_queue_sync(s->h2d));
    }
    return FT_OK;
}

static ft_status make_all(ft_streamer *s)
{
    const int64_t piece = 32 << 20;
    ft_pool *pool;
    ft_progress progress;
    FT_TRY(ft_pool_create(&pool, s->device, piece, -1));
    char *staging = ft_pool_take(pool, piece);
    ft_progress_begin(&progress, "making random weights", "records", s->plan->layout.n_records);
    ft_status status = FT_OK;
    for (int i = 0; i < s->plan->layout.n_records && status == FT_OK; i++) {
        status = make_record(s, i, staging, piece);
        ft_progress_update(&progress, i + 1);
    }
    ft_progress_end(&progress);
    ft_pool_destroy(pool);
    return status;
}

ft_status ft_stream_load(ft_streamer *s)
{
    if (ft_store_is_random(s->store)) return make_all(s);
    int64_t staged;
    double total;
    measure(s, &total, &staged);
    if (total == 0) return FT_OK;
    loader *l = FT_NEW(loader);
    FT_ALLOC_CHECK(l);
    l->streamer = s;
    l->window = staged > 0 ? staged_window(total) : WINDOW_MAX;
    l->visible = total >= PROGRESS_FROM;
    if (l->visible) ft_progress_begin(&l->progress, "loading weights", "B", total);
    ft_status status = take_staging(l, staged);
    if (status == FT_OK) status = load_all(l);
    drain(s);
    if (l->visible) ft_progress_end(&l->progress);
    ft_pool_destroy(l->staging);
    ft_free(l);
    s->stats.bytes_nvme_read = 0;  // the statistics begin when open returns
    return status;
}
