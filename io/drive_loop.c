// The thread of a drive. One turn: cut requests into pieces for the free slots, submit them, call completions; if there were
// none, wait in the engine for pieces to finish and settle each (continue, retry or end it).
//
// Freed slots are filled before completions are called, so that the device does not run dry while they work. The thread sleeps
// in two places only: on `work` with nothing in flight, and in the engine's reap, which submitters cut short with wake when a
// slot is free. It never polls.
#include "io/drive_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/log.h"

#define RETRIES_AT_ONCE 8  // then each further one waits 1 ms longer
#define RETRIES 32         // in a row for one piece: 0.3 s in all

static const char *op_name(ft_io_op op)
{
    return op == FT_IO_READ ? "read" : op == FT_IO_WRITE ? "write" : "fsync";
}

// Ends a request whose pieces are all in. `done` keeps the order in which requests ended.
static void end_request(ft_drive *drive, ft_drive_request *request)
{
    request->next = NULL;
    if (drive->done_head == NULL) drive->done_head = request;
    else drive->done_tail->next = request;
    drive->done_tail = request;
    drive->stats.requests++;
}

static void pop_request(ft_drive *drive)
{
    drive->head = drive->head->next;
    if (drive->head == NULL) drive->tail = NULL;
}

// A request at the head of the queue has bytes that no piece covers yet, so it cannot end.
static void end_piece(ft_drive *drive, ft_drive_slot *slot)
{
    ft_drive_request *request = slot->request;
    slot->request = NULL;
    drive->free_slots[drive->n_free++] = slot;
    if (--request->in_flight == 0 && drive->head != request) end_request(drive, request);
}

// The first failure is the request's; its uncut rest is dropped, pieces in flight are waited for.
static void fail_piece(ft_drive *drive, ft_drive_slot *slot, ft_status status, const char *why)
{
    ft_drive_request *request = slot->request;
    const ft_io_request *io = &slot->io;
    if (request->status == FT_OK) {
        request->status = status;
        snprintf(request->message, sizeof request->message, "%.120s/%.40s: %s of %u bytes at offset %" PRId64 ": %.60s", drive->directory,
                 drive->files[request->file].name, op_name(io->op), io->bytes, io->offset, why);
        if (drive->head == request) pop_request(drive);
    }
    end_piece(drive, slot);
}

static void fail_no_progress(ft_drive *drive, ft_drive_slot *slot)
{
    struct stat info;
    char why[96] = "no bytes were moved";
    if (slot->io.op == FT_IO_READ && fstat(slot->io.fd, &info) == 0)
        snprintf(why, sizeof why, "no data there; the file has %" PRId64 " bytes", (int64_t)info.st_size);
    fail_piece(drive, slot, FT_E_IO, why);
}

static void repeat_piece(ft_drive *drive, ft_drive_slot *slot)
{
    if (slot->request->status != FT_OK) end_piece(drive, slot);  // another piece failed: nobody wants the rest
    else drive->again[drive->n_again++] = slot;
}

static void retry_piece(ft_drive *drive, ft_drive_slot *slot)
{
    if (++slot->attempts > RETRIES) {
        fail_piece(drive, slot, FT_E_IO, strerror(-slot->io.result));
        return;
    }
    if (slot->attempts - RETRIES_AT_ONCE > drive->pause_ms) drive->pause_ms = slot->attempts - RETRIES_AT_ONCE;
    drive->stats.retries++;
    repeat_piece(drive, slot);
}

// A short transfer of an O_DIRECT file may stop inside a block only at the end of the file; the continuation must be aligned,
// so the part of the block is asked for again and then gives nothing.
static void advance_piece(ft_drive *drive, ft_drive_slot *slot)
{
    ft_io_request *io = &slot->io;
    uint32_t moved = (uint32_t)io->result;
    FT_ASSERT(moved <= io->bytes, "%u bytes moved of %u", moved, io->bytes);
    if (moved < io->bytes && drive->files[slot->request->file].direct) moved -= moved % FT_IO_ALIGN;
    *(io->op == FT_IO_READ ? &drive->stats.bytes_read : &drive->stats.bytes_written) += moved;
    if (moved == io->bytes) {
        end_piece(drive, slot);
    } else if (moved == 0) {
        fail_no_progress(drive, slot);
    } else {
        drive->stats.short_transfers++;
        io->buffer = (char *)io->buffer + moved;
        io->offset += moved;
        io->bytes -= moved;
        slot->attempts = 0;
        repeat_piece(drive, slot);
    }
}

static void settle_piece(ft_drive *drive, ft_drive_slot *slot)
{
    int32_t result = slot->io.result;
    if (result == -EAGAIN || result == -EINTR) retry_piece(drive, slot);
    else if (result < 0) fail_piece(drive, slot, FT_E_IO, strerror(-result));
    else if (slot->io.op == FT_IO_FSYNC) end_piece(drive, slot);
    else advance_piece(drive, slot);
}

// Index of the registered buffer that holds all of [address, address + bytes), -1 if none does.
static int find_buffer(const ft_drive *drive, const char *address, uint32_t bytes)
{
    int low = 0, high = drive->n_buffers;
    while (low < high) {  // the first buffer that starts behind `address`
        int middle = (low + high) / 2;
        if (drive->buffers[middle].base <= address) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return -1;
    const ft_drive_buffer *buffer = &drive->buffers[low - 1];
    size_t skip = (size_t)(address - buffer->base);
    return skip < buffer->bytes && bytes <= buffer->bytes - skip ? buffer->index : -1;
}

// Cuts the next piece off the request at the head of the queue; an fsync is one piece of no bytes.
static ft_drive_slot *cut_piece(ft_drive *drive)
{
    ft_drive_request *request = drive->head;
    ft_drive_slot *slot = drive->free_slots[--drive->n_free];
    int64_t rest = request->bytes - request->submitted;
    uint32_t bytes = rest < drive->chunk_bytes ? (uint32_t)rest : drive->chunk_bytes;
    char *address = bytes > 0 ? (char *)request->buffer + request->submitted : NULL;
    slot->request = request;
    slot->attempts = 0;
    slot->io = (ft_io_request){.op = request->op, .fd = drive->files[request->file].fd, .buffer = address, .bytes = bytes,
                               .buffer_index = find_buffer(drive, address, bytes),
                               .offset = request->offset + request->submitted, .user = slot};
    request->submitted += bytes;
    request->in_flight++;
    if (request->submitted == request->bytes) pop_request(drive);
    return slot;
}

static void fail_queue(ft_drive *drive)
{
    while (drive->head != NULL) {
        ft_drive_request *request = drive->head;
        pop_request(drive);
        request->status = drive->broken;
        snprintf(request->message, sizeof request->message, "%s/%s: %.150s", drive->directory, drive->files[request->file].name,
                 drive->broken_message);
        if (request->in_flight == 0) end_request(drive, request);
    }
}

// Fills `batch` with what to submit next: pieces that go again first, then new ones in the order of the queue.
static int fill_batch(ft_drive *drive)
{
    if (drive->broken != FT_OK) fail_queue(drive);
    int n = 0;
    for (; n < drive->n_again; n++) drive->batch[n] = &drive->again[n]->io;
    drive->n_again = 0;
    while (drive->head != NULL && drive->n_free > 0) drive->batch[n++] = &cut_piece(drive)->io;
    if (n > 0 && drive->busy_since_s == 0) drive->busy_since_s = ft_now_s();
    return n;
}

static void note_idle(ft_drive *drive)
{
    if (drive->n_free < drive->depth || drive->busy_since_s == 0) return;
    drive->stats.busy_s += ft_now_s() - drive->busy_since_s;
    drive->busy_since_s = 0;
}

// The engine is of no more use: once it is closed no buffer is touched any more, and everything in flight fails.
static void break_engine(ft_drive *drive, ft_status status)
{
    pthread_mutex_lock(&drive->lock);
    ft_io_engine *engine = drive->engine;
    drive->engine = NULL;
    drive->waiting = false;
    drive->broken = status;
    snprintf(drive->broken_message, sizeof drive->broken_message, "%s", ft_error_message());
    pthread_mutex_unlock(&drive->lock);
    engine->row->close(engine);
    pthread_mutex_lock(&drive->lock);
    for (int i = 0; i < drive->depth; i++) {
        if (drive->slots[i].request != NULL) fail_piece(drive, &drive->slots[i], status, drive->broken_message);
    }
    drive->n_again = 0;
    note_idle(drive);
    pthread_mutex_unlock(&drive->lock);
}

static void submit_batch(ft_drive *drive, int n)
{
    if (drive->pause_ms > 0) nanosleep(&(struct timespec){.tv_nsec = drive->pause_ms * 1000000L}, NULL);
    drive->pause_ms = 0;
    if (n == 0) return;
    ft_status status = drive->engine->row->submit(drive->engine, drive->batch, n);
    if (status != FT_OK) break_engine(drive, status);
}

static void call_completions(ft_drive *drive)
{
    while (drive->done_head != NULL) {
        ft_drive_request *request = drive->done_head;
        drive->done_head = request->next;
        request->complete(request);
    }
}

static void await_pieces(ft_drive *drive)
{
    int n = drive->engine->row->reap(drive->engine, drive->batch, drive->depth, true);
    if (n < 0) {
        break_engine(drive, n);
        return;
    }
    pthread_mutex_lock(&drive->lock);
    drive->waiting = false;
    for (int i = 0; i < n; i++) settle_piece(drive, drive->batch[i]->user);
    note_idle(drive);
    pthread_mutex_unlock(&drive->lock);
}

static void answer_registration(ft_drive *drive)
{
    ft_io_engine *engine = drive->engine;
    drive->register_status = engine == NULL ? ft_error(drive->broken, "%s", drive->broken_message)
                                            : engine->row->register_buffers(engine, drive->register_buffers, drive->register_n);
    snprintf(drive->register_message, sizeof drive->register_message, "%s", ft_error_message());
    drive->register_asked = false;
    pthread_cond_broadcast(&drive->news);
}

// Sleeps until there is something to do. False when the drive is closing and has nothing left.
static bool await_work(ft_drive *drive)
{
    for (;;) {
        if (drive->register_asked) answer_registration(drive);
        if (drive->head != NULL || drive->done_head != NULL || drive->n_free < drive->depth) return true;
        if (drive->closing) return false;
        pthread_cond_wait(&drive->work, &drive->lock);
    }
}

// Reports the engine, or why there is none, to ft_drive_open.
static bool start(ft_drive *drive)
{
    ft_io_engine *engine = NULL;
    ft_status status = ft_io_engine_open(&engine, drive->engine_name, &(ft_io_options){.depth = drive->depth, .directory = drive->directory});
    pthread_mutex_lock(&drive->lock);
    drive->engine = engine;
    drive->caps = engine != NULL ? engine->caps : 0;
    drive->broken = status;
    if (status != FT_OK) snprintf(drive->broken_message, sizeof drive->broken_message, "%s", ft_error_message());
    drive->started = true;
    pthread_cond_broadcast(&drive->news);
    pthread_mutex_unlock(&drive->lock);
    return status == FT_OK;
}

void *ft_drive_main(void *context)
{
    ft_drive *drive = context;
    if (!start(drive)) return NULL;
    for (;;) {
        pthread_mutex_lock(&drive->lock);
        bool more = await_work(drive);
        int n = more ? fill_batch(drive) : 0;
        drive->waiting = more && drive->done_head == NULL && drive->n_free > 0;
        pthread_mutex_unlock(&drive->lock);
        if (!more) break;
        submit_batch(drive, n);
        if (drive->done_head != NULL) call_completions(drive);
        else await_pieces(drive);
    }
    if (drive->engine != NULL) drive->engine->row->close(drive->engine);
    return NULL;
}
