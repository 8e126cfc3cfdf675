// Units at home on NVMe. Operations queue up for one thread, which moves them in pieces through bounce buffers:
//
//            begun                moved                  finished
//   store    D2H copy queued      copied; write asked    written, hash kept
//   load     read asked           read, hash checked;    copied
//                                 H2D copy queued
//
// Pieces pass each stage in the order of the operations. Between `begun` and `moved` half of the buffers are kept in flight, so
// that copies and transfers overlap. Hence a write is asked for only after every earlier read has ended, and a unit's operation
// begins only after its earlier store is finished: program order per unit.
#include <inttypes.h>

#include "common/log.h"
#include "io/hash.h"
#include "offload/streamer_spill.h"

#define LAG (FT_SPILL_BUFFERS / 2)

// --- The drives' part -------------------------------------------------------------------------------------------------------
static ft_status check(const ft_spill_buffer *buffer, uint64_t hash)
{
    const ft_spill_piece *piece = buffer->piece;
    if (buffer->request.op == FT_IO_WRITE || !piece->written || hash == piece->hash) return FT_OK;
    return ft_error(FT_E_CORRUPT, "%s: %u spilled bytes at offset %" PRId64 " came back changed; check this drive",
                    ft_drive_directory(buffer->spill->streamer->store->drive[piece->drive]), piece->bytes, piece->offset);
}

static void submit(ft_spill_buffer *buffer)
{
    ft_drive_submit(buffer->spill->streamer->store->drive[buffer->piece->drive], &buffer->request);
}

static void end_transfer(ft_spill_buffer *buffer, ft_status status, uint64_t hash)
{
    ft_streamer *s = buffer->spill->streamer;
    ft_spill_piece *piece = buffer->piece;
    pthread_mutex_lock(&s->lock);
    if (status != FT_OK) {
        ft_stream_fail(s, status);
    } else if (buffer->request.op == FT_IO_WRITE) {
        piece->hash = hash;
        piece->written = true;
        s->stats.bytes_nvme_written += piece->bytes;
    } else {
        s->stats.bytes_nvme_read += piece->bytes;
    }
    s->stats.stripes_reread += buffer->again;
    ft_meter_drive_end(s->meter, (int)piece->drive, buffer->asked_s,
                       (ft_span_label){.kind = buffer->request.op == FT_IO_WRITE ? FT_SPAN_WRITE : FT_SPAN_READ, .layer = -1, .part = -1,
                                       .bytes = piece->bytes});
    buffer->ended = true;
    pthread_cond_signal(&buffer->spill->wake);
    ft_stream_request_ended(s);
    pthread_mutex_unlock(&s->lock);
}

// A read of what was never written gives zeroes, since the file was reserved and not filled.
static void complete(ft_drive_request *request)
{
    ft_spill_buffer *buffer = request->user;
    uint64_t hash = 0;
    ft_status status = FT_OK;
    if (request->status == FT_OK) {
        hash = ft_hash64(buffer->memory, buffer->piece->bytes);
        status = check(buffer, hash);
    } else {
        status = ft_error_adopt(request->status, request->message);
    }
    if (status == FT_OK || buffer->again) {
        end_transfer(buffer, status, hash);
        return;
    }
    buffer->again = true;
    submit(buffer);
}

static void ask_drive(ft_spill_buffer *buffer, ft_io_op op)
{
    ft_streamer *s = buffer->spill->streamer;
    const ft_spill_piece *piece = buffer->piece;
    buffer->again = buffer->ended = false;
    buffer->asked_s = ft_now_s();
    ft_meter_drive_begin(s->meter, (int)piece->drive);
    buffer->request = (ft_drive_request){.op = op, .file = buffer->spill->file[piece->drive], .buffer = buffer->memory,
                                         .offset = piece->offset, .bytes = piece->bytes, .complete = complete, .user = buffer};
    pthread_mutex_lock(&s->lock);
    s->requests++;
    pthread_mutex_unlock(&s->lock);
    submit(buffer);
}

// --- The spill thread -------------------------------------------------------------------------------------------------------
static ft_status wait_ended(const ft_spill_buffer *buffer)
{
    ft_streamer *s = buffer->spill->streamer;
    pthread_mutex_lock(&s->lock);
    while (!buffer->ended && s->status == FT_OK && !s->stop) pthread_cond_wait(&buffer->spill->wake, &s->lock);
    ft_status status = s->status != FT_OK || s->stop ? FT_E_STOPPED : FT_OK;
    pthread_mutex_unlock(&s->lock);
    return status;
}

// The last copy of an operation is queued: its event stands for it.
static ft_status announce(ft_spill_buffer *buffer, ft_queue *queue)
{
    ft_streamer *s = buffer->spill->streamer;
    ft_unit *unit = buffer->operation->unit;
    bool load = buffer->operation->load;
    FT_TRY(ft_event_record(load ? unit->loaded : unit->stored, queue));
    pthread_mutex_lock(&s->lock);
    *(load ? &unit->loads_issued : &unit->stores_issued) += 1;
    pthread_cond_broadcast(&s->caller_wake);
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}

static ft_span_label label_of(const ft_spill_buffer *buffer)
{
    return ft_unit_label(buffer->spill->streamer, buffer->operation->unit, FT_SPAN_UNIT, buffer->bytes);
}

static ft_status copy_in(ft_spill_buffer *buffer)
{
    ft_spill *spill = buffer->spill;
    const ft_spill_operation *operation = buffer->operation;
    if (buffer->first) FT_TRY(ft_event_wait(operation->before, spill->h2d));
    FT_TRY(ft_meter_begin(spill->streamer->meter, FT_TRACK_SPILL_IN, spill->h2d));
    FT_TRY(ft_stream_copy_in(spill->streamer, spill->h2d, operation->device + buffer->offset, buffer->memory, buffer->bytes));
    FT_TRY(ft_meter_end(spill->streamer->meter, FT_TRACK_SPILL_IN, spill->h2d, label_of(buffer)));
    FT_TRY(ft_event_record(buffer->copied, spill->h2d));
    return buffer->last ? announce(buffer, spill->h2d) : FT_OK;
}

static ft_status copy_out(ft_spill_buffer *buffer)
{
    ft_spill *spill = buffer->spill;
    const ft_spill_operation *operation = buffer->operation;
    if (buffer->first) FT_TRY(ft_event_wait(operation->before, spill->d2h));
    FT_TRY(ft_meter_begin(spill->streamer->meter, FT_TRACK_SPILL_OUT, spill->d2h));
    FT_TRY(ft_stream_copy_out(spill->streamer, spill->d2h, buffer->memory, operation->device + buffer->offset, buffer->bytes));
    FT_TRY(ft_meter_end(spill->streamer->meter, FT_TRACK_SPILL_OUT, spill->d2h, label_of(buffer)));
    FT_TRY(ft_event_record(buffer->copied, spill->d2h));
    return buffer->last ? announce(buffer, spill->d2h) : FT_OK;
}

static ft_status move_piece(ft_spill *spill)
{
    ft_spill_buffer *buffer = &spill->buffer[spill->moved % FT_SPILL_BUFFERS];
    if (buffer->operation->load) {
        FT_TRY(wait_ended(buffer));
        FT_TRY(copy_in(buffer));
    } else {
        FT_TRY(ft_event_sync(buffer->copied));
        ask_drive(buffer, FT_IO_WRITE);
    }
    spill->moved++;
    return FT_OK;
}

static ft_status finish_piece(ft_spill *spill)
{
    if (spill->moved == spill->finished) FT_TRY(move_piece(spill));
    ft_spill_buffer *buffer = &spill->buffer[spill->finished % FT_SPILL_BUFFERS];
    FT_TRY(buffer->operation->load ? ft_event_sync(buffer->copied) : wait_ended(buffer));
    spill->finished++;
    if (!buffer->last) return FT_OK;
    ft_streamer *s = spill->streamer;
    pthread_mutex_lock(&s->lock);
    spill->completed++;
    pthread_cond_broadcast(&s->caller_wake);
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}

static ft_status begin_piece(ft_spill *spill, const ft_spill_operation *operation, int64_t i)
{
    while (spill->begun - spill->finished >= FT_SPILL_BUFFERS) FT_TRY(finish_piece(spill));
    while (spill->begun - spill->moved >= LAG) FT_TRY(move_piece(spill));
    const ft_unit *unit = operation->unit;
    int64_t rest = unit->bytes - i * FT_SPILL_PIECE;
    ft_spill_buffer *buffer = &spill->buffer[spill->begun % FT_SPILL_BUFFERS];
    buffer->operation = operation;
    buffer->piece = &spill->piece[unit->first_piece + i];
    buffer->offset = i * FT_SPILL_PIECE;
    buffer->bytes = rest < FT_SPILL_PIECE ? rest : FT_SPILL_PIECE;
    buffer->first = i == 0;
    buffer->last = i + 1 == unit->n_pieces;
    if (operation->load) ask_drive(buffer, FT_IO_READ);
    else FT_TRY(copy_out(buffer));
    spill->begun++;
    return FT_OK;
}

static ft_status begin_operation(ft_spill *spill)
{
    const ft_spill_operation *operation = &spill->operation[spill->taken % FT_SPILL_PENDING];
    ft_unit *unit = operation->unit;
    while (spill->finished <= unit->stored_through) FT_TRY(finish_piece(spill));
    for (int64_t i = 0; i < unit->n_pieces; i++) FT_TRY(begin_piece(spill, operation, i));
    if (!operation->load) unit->stored_through = spill->begun - 1;
    spill->taken++;
    return FT_OK;
}

void *ft_spill_main(void *argument)
{
    ft_spill *spill = argument;
    ft_streamer *s = spill->streamer;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        bool operation = spill->taken < spill->pushed;
        if (s->status != FT_OK || (!operation && spill->finished == spill->begun)) {
            spill->idle = true;
            pthread_cond_broadcast(&s->caller_wake);
            pthread_cond_wait(&spill->wake, &s->lock);
            continue;
        }
        spill->idle = false;
        pthread_mutex_unlock(&s->lock);
        ft_status status = operation                       ? begin_operation(spill)
                           : spill->moved < spill->begun ? move_piece(spill)
                                                           : finish_piece(spill);
        pthread_mutex_lock(&s->lock);
        if (status != FT_OK && status != FT_E_STOPPED) ft_stream_fail(s, status);
    }
    spill->idle = true;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

// --- The caller's part ------------------------------------------------------------------------------------------------------
static bool is_full(const ft_spill *spill)
{
    return spill->pushed - spill->completed >= FT_SPILL_PENDING;
}

static ft_status wait_for_place(ft_streamer *s, const ft_unit *unit, ft_queue *queue)
{
    pthread_mutex_lock(&s->lock);
    bool full = is_full(s->spill);
    pthread_mutex_unlock(&s->lock);
    if (full) FT_TRY(ft_meter_begin(s->meter, FT_TRACK_STALL, queue));
    pthread_mutex_lock(&s->lock);
    while (is_full(s->spill) && s->status == FT_OK) pthread_cond_wait(&s->caller_wake, &s->lock);
    ft_status status = ft_stream_error(s);
    pthread_mutex_unlock(&s->lock);
    FT_TRY(status);
    return full ? ft_meter_end(s->meter, FT_TRACK_STALL, queue, ft_unit_label(s, unit, FT_SPAN_WAIT_SPILL, unit->bytes)) : FT_OK;
}

ft_status ft_spill_push(ft_streamer *s, ft_unit *unit, bool load, char *device, ft_queue *queue)
{
    ft_spill *spill = s->spill;
    FT_TRY(wait_for_place(s, unit, queue));
    ft_spill_operation *operation = &spill->operation[spill->pushed % FT_SPILL_PENDING];
    FT_TRY(ft_event_record(operation->before, queue));
    operation->unit = unit;
    operation->load = load;
    operation->device = device;
    pthread_mutex_lock(&s->lock);
    spill->pushed++;
    spill->idle = false;
    pthread_cond_signal(&spill->wake);
    pthread_mutex_unlock(&s->lock);
    return FT_OK;
}

void ft_spill_wake(ft_spill *spill)
{
    pthread_cond_broadcast(&spill->wake);
}

ft_status ft_spill_settle(ft_streamer *s)
{
    ft_spill *spill = s->spill;
    pthread_mutex_lock(&s->lock);
    while (!spill->idle) pthread_cond_wait(&s->caller_wake, &s->lock);
    pthread_mutex_unlock(&s->lock);
    // An open that failed may have left without queues.
    ft_status loads = spill->h2d != NULL ? ft_queue_sync(spill->h2d) : FT_OK;
    ft_status stores = spill->d2h != NULL ? ft_queue_sync(spill->d2h) : FT_OK;
    return loads != FT_OK ? loads : stores;
}
