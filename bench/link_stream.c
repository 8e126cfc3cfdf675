#include "bench/link_stream.h"

#include <pthread.h>
#include <stdio.h>

#include "common/memory.h"
#include "offload/pool.h"

enum { IN_FLIGHT = 8 };

struct ft_link_stream {
    ft_device *device;
    unsigned direction;
    int64_t host_bytes, device_bytes, piece;
    ft_pool *pool;
    char *host, *memory;
    ft_queue *queue;
    ft_event *event[IN_FLIGHT];
    int64_t begun, ended;       // pieces; the thread's
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wanted, closing;       // what the thread is to do
    bool idle;                  // nothing is under way
    int64_t copied;             // bytes
    ft_status status;
    char message[256];
};

// ---- the thread

static ft_status begin_piece(ft_link_stream *s)
{
    char *host = s->host + s->begun * s->piece % s->host_bytes, *memory = s->memory + s->begun * s->piece % s->device_bytes;
    if (s->direction == FT_LINK_IN) FT_TRY(ft_copy_h2d(s->queue, memory, host, s->piece));
    else FT_TRY(ft_copy_d2h(s->queue, host, memory, s->piece));
    return ft_event_record(s->event[s->begun++ % IN_FLIGHT], s->queue);
}

static ft_status end_piece(ft_link_stream *s)
{
    FT_TRY(ft_event_sync(s->event[s->ended++ % IN_FLIGHT]));
    pthread_mutex_lock(&s->lock);
    s->copied += s->piece;
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}

// Keeps the queue full as long as that is wanted, then lets it run empty.
static ft_status copy_while(ft_link_stream *s, bool wanted)
{
    while (wanted && s->begun - s->ended < IN_FLIGHT) FT_TRY(begin_piece(s));
    return s->ended < s->begun ? end_piece(s) : FT_OK;
}

static void fail(ft_link_stream *s, ft_status status)
{
    s->status = status;
    snprintf(s->message, sizeof s->message, "%s", ft_error_message());
    s->begun = s->ended;
}

static void *stream_main(void *context)
{
    ft_link_stream *s = context;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        bool wanted = s->wanted && s->status == FT_OK;
        if (wanted || s->ended < s->begun) {
            pthread_mutex_unlock(&s->lock);
            ft_status status = copy_while(s, wanted);
            pthread_mutex_lock(&s->lock);
            if (status != FT_OK) fail(s, status);
            continue;
        }
        s->idle = true;
        pthread_cond_broadcast(&s->changed);
        if (s->closing) break;
        pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

// ---- the caller

void ft_link_stream_start(ft_link_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->wanted = true;
    s->idle = false;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

ft_status ft_link_stream_stop(ft_link_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->wanted = false;
    while (!s->idle) pthread_cond_wait(&s->changed, &s->lock);
    ft_status status = s->status;
    pthread_mutex_unlock(&s->lock);
    return status == FT_OK ? FT_OK : ft_error_adopt(status, s->message);
}

int64_t ft_link_stream_bytes(ft_link_stream *s)
{
    pthread_mutex_lock(&s->lock);
    int64_t copied = s->copied;
    pthread_mutex_unlock(&s->lock);
    return copied;
}

// ---- open and close

static ft_status set_up(ft_link_stream *s)
{
    void *memory;
    FT_TRY(ft_pool_create(&s->pool, s->device, s->host_bytes, -1));
    s->host = ft_pool_take(s->pool, s->host_bytes);
    for (int64_t i = 0; i < s->host_bytes / 4; i++) ((uint32_t *)(void *)s->host)[i] = (uint32_t)i * 2654435761u;
    FT_TRY(ft_device_alloc(s->device, s->device_bytes, &memory));
    s->memory = memory;
    FT_TRY(ft_queue_create(s->device, FT_QUEUE_COPY, s->direction == FT_LINK_IN ? "h2d" : "d2h", &s->queue));
    for (int i = 0; i < IN_FLIGHT; i++) FT_TRY(ft_event_create(s->device, &s->event[i]));
    int code = pthread_create(&s->thread, NULL, stream_main, s);
    if (code != 0) return ft_error_errno(FT_E_IO, code, "no thread for copies");
    s->has_thread = true;
    return FT_OK;
}

ft_status ft_link_stream_open(ft_link_stream **stream, ft_device *device, unsigned direction, int64_t host_bytes, int64_t device_bytes, int64_t piece)
{
    FT_ASSERT(host_bytes % piece == 0 && device_bytes % piece == 0 && FT_POOL_SLAB % piece == 0, "pieces of %lld bytes", (long long)piece);
    ft_link_stream *s = FT_NEW(ft_link_stream);
    FT_ALLOC_CHECK(s);
    *s = (ft_link_stream){.device = device, .direction = direction, .host_bytes = host_bytes, .device_bytes = device_bytes, .piece = piece};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    ft_status status = set_up(s);
    if (status == FT_OK) *stream = s;
    else ft_link_stream_close(s);
    return status;
}

static void end_thread(ft_link_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->wanted = false;
    s->closing = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
}

void ft_link_stream_close(ft_link_stream *s)
{
    if (s == NULL) return;
    if (s->has_thread) end_thread(s);
    if (s->queue) ft_queue_destroy(s->queue);
    for (int i = 0; i < IN_FLIGHT; i++)
        if (s->event[i]) ft_event_destroy(s->event[i]);
    if (s->memory) ft_device_free(s->device, s->memory);
    ft_pool_destroy(s->pool);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    ft_free(s);
}
