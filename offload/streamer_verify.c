// Choosing the stripes of a step, hashing them on the device, and comparing. See streamer_verify.h; the host's side is in
// streamer_scrub.c.
#include "offload/streamer_verify.h"

#include "common/memory.h"
#include "io/hash.h"
#include "offload/store_random.h"
#include "offload/streamer_internal.h"
#include "offload/streamer_scrub.h"

enum { PICK_NONE, PICK_SLOT, PICK_RESIDENT };

struct ft_verify {
    const ft_ops *ops;
    int64_t stripes;             // of a step
    bool on_device;              // streamed layers, in steps that do not check all
    int32_t *order;              // stripes in the order in which they come round
    int64_t n, next;             // of `order`; the next step's first
    uint8_t *pick;               // [stripes of the store] what the device hashes in this step
    int32_t *job;                // [n] stripe of hash i
    int64_t jobs;
    uint64_t *device, *host;     // [n] hashes
    bool wanted_all, all, active;
    int64_t first, count;        // of `order`, in this step
    // The visits in which slots are hashed.
    int64_t steps, first_visit, sweep;
    ft_direction direction;
    ft_scrub *scrub;             // NULL if no record lives in host memory
};

int64_t ft_verify_bytes(const ft_layout *layout)
{
    int64_t stripes = 0;
    for (int i = 0; i < layout->n_records; i++)
        for (int group = 0; group < FT_GROUP_COUNT; group++) stripes += (layout->record[i].extent[group].bytes + FT_STRIPE_BYTES - 1) / FT_STRIPE_BYTES;
    return stripes * (int64_t)sizeof(uint64_t);
}

// --- Open and close ---------------------------------------------------------------------------------------------------------
static bool is_layer(const ft_streamer *s, int record)
{
    return record < s->plan->layout.shape.layers;
}

// Bytes that stand for another layer's are not those of the store's stripes.
static bool is_checked(const ft_streamer *s, int record)
{
    if (ft_plan_is_alias(s->plan, record)) return false;
    return is_layer(s, record) || s->device_record[record] != NULL || s->host_record[record] != NULL;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

// Neighbours of the order lie about 0.618 of the store apart, so that a step's stripes are of many layers.
static void make_order(const ft_streamer *s, ft_verify *v)
{
    for (int64_t i = 0; i < s->store->n_stripes; i++)
        if (is_checked(s, (int)s->store->stripe[i].record)) v->job[v->n++] = (int32_t)i;
    int64_t stride = (int64_t)((double)v->n * 0.618);
    while (stride > 1 && common_divisor(v->n, stride) != 1) stride--;
    for (int64_t i = 0; i < v->n; i++) v->order[i] = v->job[i * (stride > 0 ? stride : 1) % v->n];
}

static ft_status open_scrub(ft_streamer *s, ft_verify *v)
{
    for (int i = 0; i < s->plan->layout.n_records; i++)
        if (s->host_record[i] != NULL) return ft_scrub_open(&v->scrub, s);
    return FT_OK;
}

ft_status ft_streamer_verify_open(ft_streamer *s, const ft_verify_options *options)
{
    FT_ASSERT(s->verify == NULL && options->stripes > 0);
    if (ft_store_is_random(s->store)) return FT_OK;
    ft_verify *v = s->verify = FT_NEW(ft_verify);
    FT_ALLOC_CHECK(v);
    v->ops = options->ops;
    v->on_device = s->plan->binding != FT_RESOURCE_COMPUTE;
    v->device = options->device;
    v->host = options->host;
    FT_ALLOC_CHECK(v->order = FT_NEW_ARRAY(int32_t, s->store->n_stripes));
    FT_ALLOC_CHECK(v->job = FT_NEW_ARRAY(int32_t, s->store->n_stripes));
    FT_ALLOC_CHECK(v->pick = FT_NEW_ARRAY(uint8_t, s->store->n_stripes));
    make_order(s, v);
    v->stripes = options->stripes < v->n ? options->stripes : v->n;
    return open_scrub(s, v);
}

void ft_verify_close(ft_streamer *s)
{
    ft_verify *v = s->verify;
    if (v == NULL) return;
    ft_scrub_close(v->scrub);
    ft_free(v->order);
    ft_free(v->job);
    ft_free(v->pick);
    ft_free(v);
    s->verify = NULL;
}

int64_t ft_streamer_verify_steps(const ft_streamer *s)
{
    return s->verify == NULL ? 0 : (s->verify->n + s->verify->stripes - 1) / s->verify->stripes;
}

// --- A step -----------------------------------------------------------------------------------------------------------------
void ft_streamer_verify_all(ft_streamer *s)
{
    if (s->verify != NULL) s->verify->wanted_all = true;
}

// A streamed layer that stays in its slot for good is never read again: only the device sees it.
static bool is_read_again(const ft_streamer *s, int layer)
{
    const ft_visit *visits = s->plan->steady[s->mode];
    for (int64_t i = 0; i < s->plan->n_visits[s->mode]; i++)
        if (visits[i].layer == layer && visits[i].load) return true;
    return false;
}

// One that was never read is checked then all the same, and was used by nobody yet.
static void check_at_next_read(ft_streamer *s, int32_t index)
{
    uint8_t seen = FT_STRIPE_VERIFIED;
    __atomic_compare_exchange_n(&s->store->verified[index], &seen, FT_STRIPE_AGAIN, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// Who checks a stripe in this step. One with two places of use (a tied embedding) is checked in both.
static void assign(ft_streamer *s, ft_verify *v, int32_t index)
{
    int record = (int)s->store->stripe[index].record;
    bool streamed = is_layer(s, record) && s->device_record[record] == NULL;
    bool on_device = v->all || v->on_device || (streamed && !is_read_again(s, record));
    if (s->device_record[record] != NULL) v->pick[index] = PICK_RESIDENT;
    else if (streamed && on_device) v->pick[index] = PICK_SLOT;
    if (s->host_record[record] != NULL && !(streamed && on_device)) ft_scrub_add(v->scrub, index);
    if (s->host_record[record] == NULL && streamed && !on_device) check_at_next_read(s, index);
}

static int32_t stripe_of_step(const ft_verify *v, int64_t i)
{
    return v->order[(v->first + i) % v->n];
}

static void choose_visits(const ft_streamer *s, ft_verify *v, int64_t sweeps)
{
    v->first_visit = s->acquired;
    v->sweep = v->all ? sweeps - 1 : v->steps % sweeps;
    v->direction = s->mode == FT_SWEEP_EVALUATE ? FT_FORWARD : v->all || v->steps / sweeps % 2 ? FT_BACKWARD : FT_FORWARD;
    v->steps++;
}

void ft_streamer_verify_begin(ft_streamer *s, int64_t sweeps)
{
    ft_verify *v = s->verify;
    if (v == NULL) return;
    if (v->scrub != NULL) ft_scrub_wait(v->scrub);
    for (int64_t i = 0; i < v->count; i++) v->pick[stripe_of_step(v, i)] = PICK_NONE;  // of a step that was dropped
    v->active = true;
    v->all = v->wanted_all;
    v->wanted_all = false;
    v->jobs = 0;
    v->first = v->next;
    v->count = v->all ? v->n : v->stripes;
    v->next = (v->first + v->count) % v->n;
    choose_visits(s, v, sweeps);
    for (int64_t i = 0; i < v->count; i++) assign(s, v, stripe_of_step(v, i));
    if (v->scrub != NULL) ft_scrub_start(v->scrub);
}

// Ranges on their way to the device.
enum { RANGES = 128 };
typedef struct {
    ft_range range[RANGES];
    int64_t n;
} range_list;

static ft_status flush(ft_verify *v, range_list *list, ft_queue *queue)
{
    if (list->n > 0) FT_TRY(v->ops->stripe_hash(queue, v->device + v->jobs - list->n, list->range, list->n));
    list->n = 0;
    return FT_OK;
}

static ft_status add(ft_verify *v, range_list *list, int32_t index, const char *address, int64_t bytes, ft_queue *queue)
{
    v->pick[index] = PICK_NONE;
    v->job[v->jobs++] = index;
    list->range[list->n++] = (ft_range){address, bytes};
    return list->n == RANGES ? flush(v, list, queue) : FT_OK;
}

static bool is_visit(const ft_streamer *s, const ft_lease *lease)
{
    const ft_verify *v = s->verify;
    int64_t sweep = (s->acquired - 1 - v->first_visit) / s->plan->n_visits[s->mode];
    return v->active && sweep == v->sweep && lease->direction == v->direction;
}

ft_status ft_verify_group(ft_streamer *s, const ft_lease *lease, ft_group group, ft_event *loaded, ft_queue *queue)
{
    if (s->verify == NULL || !is_visit(s, lease)) return FT_OK;
    const ft_extent *extent = &lease->record->extent[group];
    const ft_stripe *stripe = ft_store_locate(s->store, lease->layer, extent->offset);
    const ft_stripe *end = s->store->stripe + s->store->first_stripe[lease->layer + 1];
    range_list list = {.n = 0};
    // A group whose compute form stood was not waited for.
    FT_TRY(ft_event_wait(loaded, queue));
    for (; stripe < end && stripe->record_offset < extent->offset + extent->bytes; stripe++) {
        int32_t index = (int32_t)(stripe - s->store->stripe);
        if (s->verify->pick[index] == PICK_SLOT) FT_TRY(add(s->verify, &list, index, lease->base + stripe->record_offset, stripe->bytes, queue));
    }
    return flush(s->verify, &list, queue);
}

ft_status ft_streamer_verify_collect(ft_streamer *s, ft_queue *queue)
{
    ft_verify *v = s->verify;
    if (v == NULL || !v->active) return FT_OK;
    range_list list = {.n = 0};
    for (int64_t i = 0; i < v->count; i++) {
        int32_t index = stripe_of_step(v, i);
        const ft_stripe *stripe = &s->store->stripe[index];
        if (v->pick[index] == PICK_RESIDENT)
            FT_TRY(add(v, &list, index, s->device_record[stripe->record] + stripe->record_offset, stripe->bytes, queue));
    }
    FT_TRY(flush(v, &list, queue));
    return ft_stream_copy_out(s, queue, (char *)v->host, (const char *)v->device, v->jobs * (int64_t)sizeof *v->host);
}

// --- The end of a step ------------------------------------------------------------------------------------------------------
static ft_status compare(ft_streamer *s, const ft_verify *v)
{
    for (int64_t i = 0; i < v->jobs; i++) {
        const ft_stripe *stripe = &s->store->stripe[v->job[i]];
        if (v->host[i] != stripe->hash) return ft_scrub_diagnose(s, stripe);
    }
    return FT_OK;
}

// What the host's threads found; failures that left the step's weights alone are told by the next acquire.
static ft_status found_by_host(ft_streamer *s)
{
    pthread_mutex_lock(&s->lock);
    ft_status status = s->suspect ? ft_stream_error(s) : FT_OK;
    pthread_mutex_unlock(&s->lock);
    return status;
}

ft_status ft_streamer_verify_end(ft_streamer *s)
{
    ft_verify *v = s->verify;
    if (v == NULL || !v->active) return FT_OK;
    v->active = false;
    ft_status status = compare(s, v);
    pthread_mutex_lock(&s->lock);
    s->stats.stripes_sampled_device += v->jobs;
    if (status != FT_OK) {
        s->suspect = true;
        ft_stream_fail(s, status);
    }
    pthread_mutex_unlock(&s->lock);
    if (v->scrub != NULL) ft_scrub_wait(v->scrub);
    return status != FT_OK ? status : found_by_host(s);
}

bool ft_streamer_suspect(const ft_streamer *s)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;  // not part of what is promised to stay
    pthread_mutex_lock(lock);
    bool suspect = s->suspect;
    pthread_mutex_unlock(lock);
    return suspect;
}
