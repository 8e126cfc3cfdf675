// From a stream of record bytes to stripes on the drives: stripes are filled in table order, hashed, and written by the drives'
// threads while the next ones are filled.
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "offload/store_internal.h"

#define SLOTS_MAX 8

typedef struct {
    ft_store_sink *sink;
    char *buffer;              // FT_STRIPE_BYTES, FT_IO_ALIGN-aligned
    ft_drive_request request;
    bool busy;                 // guarded by the sink's lock
} sink_slot;

struct ft_store_sink {
    ft_stripe_table *table;
    ft_drive *const *drive;
    const int *file;
    void *block;               // the slots' buffers
    sink_slot slot[SLOTS_MAX];
    int n_slots, current_slot;
    int64_t current;           // stripe being filled
    uint32_t filled;           // bytes of it
    int64_t before;            // bytes of the stripes before it
    pthread_mutex_t lock;
    pthread_cond_t done;
};

static int slots_for(int n_drives)
{
    return n_drives + 2 < SLOTS_MAX ? n_drives + 2 : SLOTS_MAX;
}

ft_status ft_store_sink_new(ft_store_sink **made, ft_stripe_table *table, ft_drive *const *drive, const int *file)
{
    *made = NULL;
    ft_store_sink *sink = FT_NEW(ft_store_sink);
    FT_ALLOC_CHECK(sink);
    sink->n_slots = slots_for(table->n_drives);
    sink->block = ft_malloc((size_t)sink->n_slots * FT_STRIPE_BYTES + FT_IO_ALIGN);
    if (sink->block == NULL) {
        ft_free(sink);
        return FT_E_NOMEM;
    }
    char *aligned = (char *)(((uintptr_t)sink->block + FT_IO_ALIGN - 1) / FT_IO_ALIGN * FT_IO_ALIGN);
    for (int i = 0; i < sink->n_slots; i++)
        sink->slot[i] = (sink_slot){.sink = sink, .buffer = aligned + (size_t)i * FT_STRIPE_BYTES};
    sink->table = table;
    sink->drive = drive;
    sink->file = file;
    pthread_mutex_init(&sink->lock, NULL);
    pthread_cond_init(&sink->done, NULL);
    *made = sink;
    return FT_OK;
}

// Waits for a slot; reports a failed write once, as the drive worded it.
static ft_status wait_slot(ft_store_sink *sink, sink_slot *slot)
{
    pthread_mutex_lock(&sink->lock);
    while (slot->busy) pthread_cond_wait(&sink->done, &sink->lock);
    pthread_mutex_unlock(&sink->lock);
    ft_status status = slot->request.status;
    slot->request.status = FT_OK;
    return status == FT_OK ? FT_OK : ft_error_adopt(status, slot->request.message);
}

ft_status ft_store_sink_wait(ft_store_sink *sink)
{
    ft_status first = FT_OK;
    for (int i = 0; i < sink->n_slots; i++) {
        ft_status status = wait_slot(sink, &sink->slot[i]);
        if (first == FT_OK) first = status;
    }
    return first;
}

void ft_store_sink_free(ft_store_sink *sink)
{
    if (sink == NULL) return;
    ft_store_sink_wait(sink);
    pthread_cond_destroy(&sink->done);
    pthread_mutex_destroy(&sink->lock);
    ft_free(sink->block);
    ft_free(sink);
}

void ft_store_sink_seek(ft_store_sink *sink, int64_t stripe)
{
    FT_ASSERT(sink->filled == 0, "%u bytes of a stripe would be lost", sink->filled);
    sink->current = stripe;
    sink->before = 0;
    for (int64_t i = 0; i < stripe; i++) sink->before += sink->table->stripe[i].bytes;
}

int64_t ft_store_sink_position(const ft_store_sink *sink)
{
    return sink->before + sink->filled;
}

static void complete_write(ft_drive_request *request)
{
    sink_slot *slot = request->user;
    pthread_mutex_lock(&slot->sink->lock);
    slot->busy = false;
    pthread_cond_signal(&slot->sink->done);
    pthread_mutex_unlock(&slot->sink->lock);
}

static ft_status submit_stripe(ft_store_sink *sink)
{
    sink_slot *slot = &sink->slot[sink->current_slot];
    ft_stripe *stripe = &sink->table->stripe[sink->current];
    stripe->hash = ft_hash64(slot->buffer, stripe->bytes);
    slot->request = (ft_drive_request){.op = FT_IO_WRITE, .file = sink->file[stripe->drive], .buffer = slot->buffer,
                                       .offset = stripe->offset, .bytes = stripe->bytes, .complete = complete_write, .user = slot};
    slot->busy = true;
    ft_drive_submit(sink->drive[stripe->drive], &slot->request);
    sink->current++;
    sink->before += stripe->bytes;
    sink->filled = 0;
    sink->current_slot = (sink->current_slot + 1) % sink->n_slots;
    return wait_slot(sink, &sink->slot[sink->current_slot]);
}

// `data` NULL: zeros.
static ft_status put(ft_store_sink *sink, const char *data, int64_t bytes)
{
    while (bytes > 0) {
        FT_ASSERT(sink->current < sink->table->n, "bytes behind the last stripe");
        int64_t room = sink->table->stripe[sink->current].bytes - sink->filled;
        int64_t n = bytes < room ? bytes : room;
        char *to = sink->slot[sink->current_slot].buffer + sink->filled;
        if (data != NULL) memcpy(to, data, (size_t)n);
        else memset(to, 0, (size_t)n);
        if (data != NULL) data += n;
        bytes -= n;
        sink->filled += (uint32_t)n;
        if (n == room) FT_TRY(submit_stripe(sink));
    }
    return FT_OK;
}

ft_status ft_store_sink_add(ft_store_sink *sink, const void *data, int64_t bytes)
{
    return put(sink, data, bytes);
}

ft_status ft_store_sink_fill(ft_store_sink *sink, ft_stripe_fill fill, const void *context)
{
    FT_ASSERT(sink->filled == 0 && sink->current < sink->table->n, "%u bytes of a stripe would be lost", sink->filled);
    const ft_stripe *stripe = &sink->table->stripe[sink->current];
    fill(context, stripe, sink->slot[sink->current_slot].buffer);
    sink->filled = stripe->bytes;
    return submit_stripe(sink);
}

// The stream stands at the end of a record when the next stripe to fill is not the record's.
ft_status ft_store_sink_pad(ft_store_sink *sink, uint32_t record, int64_t record_offset)
{
    if (sink->current == sink->table->n) return FT_OK;
    const ft_stripe *stripe = &sink->table->stripe[sink->current];
    if (stripe->record != record) return FT_OK;
    int64_t at = stripe->record_offset + sink->filled;
    FT_ASSERT(at <= record_offset, "record %u is at %lld, past %lld", record, (long long)at, (long long)record_offset);
    return put(sink, NULL, record_offset - at);
}
