// Reading stripes back and holding them against their hashes.
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "offload/store_internal.h"

#define SLOTS_MAX 8

const ft_stripe *ft_store_locate(const ft_store *store, int record, int64_t record_offset)
{
    FT_ASSERT(record >= 0 && record < store->layout.n_records && record_offset >= 0);
    int64_t index = store->first_stripe[record];
    for (int g = 0; g < FT_GROUP_COUNT; g++) {
        ft_extent extent = store->layout.record[record].extent[g];
        if (record_offset < extent.offset + extent.bytes && extent.bytes > 0)
            return &store->stripe[index + (record_offset - extent.offset) / FT_STRIPE_BYTES];
        index += ft_extent_stripes(extent);
    }
    ft_assert_failed(__FILE__, __LINE__, "record_offset < bytes", "record %d has no byte %lld", record, (long long)record_offset);
}

ft_status ft_store_check(const ft_store *store, const ft_stripe *stripe, const void *data)
{
    if (ft_hash64(data, stripe->bytes) != stripe->hash)
        return ft_error(FT_E_CORRUPT,
                        "%s/" FT_STORE_DATA ": the %u bytes at offset %lld (record %u) are not what was written there: "
                        "`ft-single verify` reads all; remove the store and prepare again",
                        ft_drive_directory(store->drive[stripe->drive]), stripe->bytes, (long long)stripe->offset, stripe->record);
    __atomic_store_n(&store->verified[stripe - store->stripe], FT_STRIPE_VERIFIED, __ATOMIC_RELAXED);
    return FT_OK;
}

// A window of reads in flight over consecutive stripes.
typedef struct stripe_reader stripe_reader;
typedef struct {
    stripe_reader *owner;
    ft_drive_request request;
    const ft_stripe *stripe;
    char *buffer;   // own memory where the caller's cannot take the transfer, else NULL
    bool busy;      // guarded by the owner's lock
} read_slot;

struct stripe_reader {
    ft_store *store;
    char *dst;      // of the record, NULL = check only
    bool bounce;    // reads go through the slots' buffers
    void *block;
    read_slot slot[SLOTS_MAX];
    int n_slots;
    ft_progress *progress;
    int64_t done;
    pthread_mutex_t lock;
    pthread_cond_t news;
};

static void complete_read(ft_drive_request *request)
{
    read_slot *slot = request->user;
    pthread_mutex_lock(&slot->owner->lock);
    slot->busy = false;
    pthread_cond_signal(&slot->owner->news);
    pthread_mutex_unlock(&slot->owner->lock);
}

static void wait_slot(read_slot *slot)
{
    pthread_mutex_lock(&slot->owner->lock);
    while (slot->busy) pthread_cond_wait(&slot->owner->news, &slot->owner->lock);
    pthread_mutex_unlock(&slot->owner->lock);
}

static void issue(stripe_reader *reader, read_slot *slot, const ft_stripe *stripe)
{
    ft_store *store = reader->store;
    slot->stripe = stripe;
    slot->busy = true;
    slot->request = (ft_drive_request){.op = FT_IO_READ, .file = store->file[stripe->drive], .offset = stripe->offset,
                                       .buffer = reader->bounce ? slot->buffer : reader->dst + stripe->record_offset,
                                       .bytes = stripe->bytes, .complete = complete_read, .user = slot};
    ft_drive_submit(store->drive[stripe->drive], &slot->request);
}

// What the first attempt gave; a failed or corrupt stripe is read once more.
static ft_status settle(stripe_reader *reader, read_slot *slot)
{
    ft_store *store = reader->store;
    const ft_stripe *stripe = slot->stripe;
    void *data = slot->request.buffer;
    ft_status status = slot->request.status;
    if (status == FT_OK) status = ft_store_check(store, stripe, data);
    if (status != FT_OK) {
        ft_debug("reading again: %s", slot->request.status != FT_OK ? slot->request.message : ft_error_message());
        ft_drive *drive = store->drive[stripe->drive];
        FT_TRY(ft_drive_transfer(drive, FT_IO_READ, store->file[stripe->drive], data, stripe->offset, stripe->bytes));
        FT_TRY(ft_store_check(store, stripe, data));
    }
    if (reader->bounce && reader->dst != NULL) memcpy(reader->dst + stripe->record_offset, data, stripe->bytes);
    reader->done += stripe->bytes;
    if (reader->progress != NULL) ft_progress_update(reader->progress, (double)reader->done);
    return FT_OK;
}

static ft_status finish_slot(stripe_reader *reader, read_slot *slot)
{
    if (slot->stripe == NULL) return FT_OK;
    wait_slot(slot);
    ft_status status = settle(reader, slot);
    slot->stripe = NULL;
    return status;
}

// Reads the stripes [first, end) in order; slot i serves stripes i, i + n, ...
static ft_status read_window(stripe_reader *reader, int64_t first, int64_t end)
{
    ft_status status = FT_OK;
    for (int64_t i = first; i < end && status == FT_OK; i++) {
        read_slot *slot = &reader->slot[(i - first) % reader->n_slots];
        status = finish_slot(reader, slot);
        if (status == FT_OK) issue(reader, slot, &reader->store->stripe[i]);
    }
    for (int64_t i = 0; i < reader->n_slots; i++) {
        read_slot *slot = &reader->slot[(end - first + i) % reader->n_slots];
        if (status == FT_OK) status = finish_slot(reader, slot);
        else if (slot->stripe != NULL) wait_slot(slot);
    }
    return status;
}

static ft_status reader_init(stripe_reader *reader)
{
    size_t bytes = reader->bounce ? (size_t)reader->n_slots * FT_STRIPE_BYTES + FT_IO_ALIGN : 0;
    reader->block = ft_malloc(bytes);
    FT_ALLOC_CHECK(reader->block);
    char *aligned = (char *)(((uintptr_t)reader->block + FT_IO_ALIGN - 1) / FT_IO_ALIGN * FT_IO_ALIGN);
    for (int i = 0; i < reader->n_slots; i++)
        reader->slot[i] = (read_slot){.owner = reader, .buffer = reader->bounce ? aligned + (size_t)i * FT_STRIPE_BYTES : NULL};
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->news, NULL);
    return FT_OK;
}

static ft_status read_stripes(ft_store *store, int64_t first, int64_t end, void *dst, ft_progress *progress)
{
    int wanted = 2 * store->n_drives + 2;
    stripe_reader reader = {.store = store, .dst = dst, .bounce = dst == NULL || (uintptr_t)dst % FT_IO_ALIGN != 0,
                     .n_slots = wanted < SLOTS_MAX ? wanted : SLOTS_MAX, .progress = progress};
    FT_TRY(reader_init(&reader));
    ft_status status = read_window(&reader, first, end);
    pthread_cond_destroy(&reader.news);
    pthread_mutex_destroy(&reader.lock);
    ft_free(reader.block);
    return status;
}

ft_status ft_store_read_record(ft_store *store, int record, void *dst)
{
    FT_ASSERT(record >= 0 && record < store->layout.n_records);
    return read_stripes(store, store->first_stripe[record], store->first_stripe[record + 1], dst, NULL);
}

ft_status ft_store_verify(ft_store *store)
{
    ft_progress progress;
    ft_progress_begin(&progress, "verifying", "B", (double)store->layout.bytes);
    ft_status status = read_stripes(store, 0, store->n_stripes, NULL, &progress);
    ft_progress_end(&progress);
    return status;
}
