// Rows of the embedding, from wherever its record lives: host memory (copied), the device (copied out) or NVMe. From NVMe a row
// is read alone, in blocks of 4 KiB, once its stripe is known to be good; the first row asked of a stripe reads and verifies
// the whole of it.
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/threads.h"
#include "offload/streamer_internal.h"

#define WINDOW 32     // rows in flight
#define ROW_GRAIN 64  // rows a thread copies at a time

// A row, or the part of one that lies in one stripe.
typedef struct {
    ft_drive_request request;
    ft_streamer *streamer;
    const ft_stripe *stripe;
    char *memory;
    char *dst;
    int64_t skip, bytes;      // of the memory that was read
    bool busy, again, arrived;
    double asked_s;           // when the drive was asked
} row_read;

struct ft_row_window {
    row_read read[WINDOW];
    int64_t next;
    char *stripe_memory;
    ft_stripe_read stripe;
    bool stripe_arrived;
    ft_queue *d2h;            // home on the device
};

static const ft_record_tensor *table_of(const ft_record *record)
{
    const ft_record_tensor *tensor = ft_record_find(record, FT_ROLE_EMBED);
    FT_ASSERT(tensor != NULL, "record without an embedding");
    return tensor;
}

static int64_t row_bytes(const ft_record *record)
{
    const ft_record_tensor *table = table_of(record);
    return table->cols * (int64_t)ft_dtype_bytes(table->dtype);
}

// A row may begin and end within a block.
static int64_t row_memory(const ft_record *record)
{
    return ft_stream_round(row_bytes(record)) + FT_STREAM_IO_ALIGN;
}

int64_t ft_rows_pool_bytes(const ft_record *record)
{
    return WINDOW * row_memory(record) + FT_STRIPE_BYTES;
}

static const ft_record *embedding(const ft_streamer *s)
{
    return &s->plan->layout.record[ft_layout_embed(&s->plan->layout)];
}

ft_status ft_rows_open(ft_streamer *s)
{
    ft_tier home = ft_schedule_home(s, ft_layout_embed(&s->plan->layout));
    if (home == FT_TIER_HOST) return FT_OK;
    s->rows = FT_NEW(ft_row_window);
    FT_ALLOC_CHECK(s->rows);
    if (home == FT_TIER_HBM) return ft_queue_create(s->device, FT_QUEUE_COPY, "rows", &s->rows->d2h);
    for (int i = 0; i < WINDOW; i++) s->rows->read[i].memory = ft_pool_take(s->pool, row_memory(embedding(s)));
    s->rows->stripe_memory = ft_pool_take(s->pool, FT_STRIPE_BYTES);
    return FT_OK;
}

void ft_rows_close(ft_streamer *s)
{
    if (s->rows == NULL) return;
    ft_queue_destroy(s->rows->d2h);
    ft_free(s->rows);
}

// --- NVMe -------------------------------------------------------------------------------------------------------------------
static void arrive_stripe(ft_stripe_read *read, ft_status status)
{
    ft_row_window *rows = read->owner;
    rows->stripe_arrived = true;
    pthread_cond_broadcast(&read->streamer->caller_wake);
}

static void complete_row(ft_drive_request *request)
{
    row_read *read = request->user;
    ft_streamer *s = read->streamer;
    if (request->status != FT_OK && !read->again) {
        read->again = true;
        ft_drive_submit(s->store->drive[read->stripe->drive], request);
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (request->status != FT_OK) ft_stream_fail(s, ft_error_adopt(request->status, request->message));
    else s->stats.bytes_nvme_read += request->bytes;
    s->stats.stripes_reread += read->again;
    ft_meter_drive_end(s->meter, (int)read->stripe->drive, read->asked_s,
                       (ft_span_label){.kind = FT_SPAN_READ, .layer = -1, .part = -1, .bytes = request->bytes});
    read->arrived = true;
    pthread_cond_broadcast(&s->caller_wake);
    ft_stream_request_ended(s);
    pthread_mutex_unlock(&s->lock);
}

static ft_status wait_for(ft_streamer *s, const bool *arrived)
{
    pthread_mutex_lock(&s->lock);
    while (!*arrived) pthread_cond_wait(&s->caller_wake, &s->lock);
    ft_status status = ft_stream_error(s);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static ft_status settle_row(ft_streamer *s, row_read *read)
{
    if (!read->busy) return FT_OK;
    read->busy = false;
    FT_TRY(wait_for(s, &read->arrived));
    memcpy(read->dst, read->memory + read->skip, (size_t)read->bytes);
    return FT_OK;
}

static ft_status take_from_stripe(ft_streamer *s, const ft_stripe *stripe, char *dst, int64_t offset, int64_t bytes)
{
    ft_row_window *rows = s->rows;
    rows->stripe_arrived = false;
    rows->stripe.done = arrive_stripe;
    rows->stripe.owner = rows;
    ft_stripe_read_start(s, &rows->stripe, stripe, rows->stripe_memory);
    FT_TRY(wait_for(s, &rows->stripe_arrived));
    memcpy(dst, rows->stripe_memory + offset, (size_t)bytes);
    return FT_OK;
}

static ft_status ask_row(ft_streamer *s, const ft_stripe *stripe, char *dst, int64_t offset, int64_t bytes)
{
    row_read *read = &s->rows->read[s->rows->next++ % WINDOW];
    FT_TRY(settle_row(s, read));
    read->streamer = s;
    read->stripe = stripe;
    read->dst = dst;
    read->skip = offset % FT_STREAM_IO_ALIGN;
    read->bytes = bytes;
    read->busy = true;
    read->again = read->arrived = false;
    read->request = (ft_drive_request){.op = FT_IO_READ, .file = s->store->file[stripe->drive], .buffer = read->memory,
                                       .offset = stripe->offset + offset - read->skip, .bytes = ft_stream_round(read->skip + bytes),
                                       .complete = complete_row, .user = read};
    pthread_mutex_lock(&s->lock);
    s->requests++;
    pthread_mutex_unlock(&s->lock);
    read->asked_s = ft_now_s();
    ft_meter_drive_begin(s->meter, (int)stripe->drive);
    ft_drive_submit(s->store->drive[stripe->drive], &read->request);
    return FT_OK;
}

// The bytes [begin, begin + bytes) of the record, stripe by stripe.
static ft_status gather_nvme(ft_streamer *s, char *dst, int64_t begin, int64_t bytes)
{
    int record = ft_layout_embed(&s->plan->layout);
    while (bytes > 0) {
        const ft_stripe *stripe = ft_store_locate(s->store, record, begin);
        int64_t offset = begin - stripe->record_offset, part = stripe->bytes - offset < bytes ? stripe->bytes - offset : bytes;
        bool good = __atomic_load_n(&s->store->verified[stripe - s->store->stripe], __ATOMIC_RELAXED);
        FT_TRY(good ? ask_row(s, stripe, dst, offset, part) : take_from_stripe(s, stripe, dst, offset, part));
        dst += part;
        begin += part;
        bytes -= part;
    }
    return FT_OK;
}

static ft_status rows_from_nvme(ft_streamer *s, char *dst, const int32_t *ids, int64_t n)
{
    int64_t bytes = row_bytes(embedding(s)), codes = table_of(embedding(s))->codes;
    for (int64_t i = 0; i < n; i++) FT_TRY(gather_nvme(s, dst + i * bytes, codes + ids[i] * bytes, bytes));
    for (int i = 0; i < WINDOW; i++) FT_TRY(settle_row(s, &s->rows->read[i]));
    return FT_OK;
}

// --- Device and host --------------------------------------------------------------------------------------------------------
static ft_status rows_from_device(ft_streamer *s, char *dst, const char *table, const int32_t *ids, int64_t n)
{
    int64_t bytes = row_bytes(embedding(s));
    for (int64_t i = 0; i < n; i++) FT_TRY(ft_copy_d2h(s->rows->d2h, dst + i * bytes, table + ids[i] * bytes, bytes));
    return ft_queue_sync(s->rows->d2h);
}

typedef struct {
    char *dst;
    const char *table;
    const int32_t *ids;
    int64_t bytes;
} host_rows;

static void copy_rows(void *context, int64_t begin, int64_t end)
{
    const host_rows *rows = context;
    for (int64_t i = begin; i < end; i++)
        memcpy(rows->dst + i * rows->bytes, rows->table + rows->ids[i] * rows->bytes, (size_t)rows->bytes);
}

static ft_status check_ids(const ft_record *record, const int32_t *ids, int64_t n)
{
    int64_t rows = table_of(record)->rows;
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= rows)
            return ft_error(FT_E_INPUT, "token %lld: id %d is outside the vocabulary of %lld; the tokenizer does not fit the model",
                            (long long)i, ids[i], (long long)rows);
    return FT_OK;
}

ft_status ft_streamer_embedding_rows(ft_streamer *s, void *dst, const int32_t *ids, int64_t n)
{
    const ft_record *record = embedding(s);
    int embed = ft_layout_embed(&s->plan->layout);
    int64_t codes = table_of(record)->codes;
    FT_TRY(check_ids(record, ids, n));
    pthread_mutex_lock(&s->lock);
    ft_status status = ft_stream_error(s);
    pthread_mutex_unlock(&s->lock);
    FT_TRY(status);
    if (ft_schedule_home(s, embed) == FT_TIER_NVME) return rows_from_nvme(s, dst, ids, n);
    if (ft_schedule_home(s, embed) == FT_TIER_HBM) return rows_from_device(s, dst, s->device_record[embed] + codes, ids, n);
    host_rows rows = {.dst = dst, .table = s->host_record[embed] + codes, .ids = ids, .bytes = row_bytes(record)};
    ft_parallel_for(n, ROW_GRAIN, copy_rows, &rows);
    return FT_OK;
}
