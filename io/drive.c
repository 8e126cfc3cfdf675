#include "io/drive.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/drive_internal.h"

#define DEFAULT_DEPTH 32
#define DEFAULT_CHUNK (1u << 20)
#define MAX_DEPTH 4096
#define MAX_REGISTERED ((size_t)1 << 30)

static void free_drive(ft_drive *drive)
{
    for (int i = 0; i < drive->n_files; i++) {
        if (drive->files[i].fd >= 0) close(drive->files[i].fd);
        ft_free(drive->files[i].name);
    }
    pthread_mutex_destroy(&drive->lock);
    pthread_cond_destroy(&drive->work);
    pthread_cond_destroy(&drive->news);
    ft_free(drive->slots);
    ft_free(drive->free_slots);
    ft_free(drive->again);
    ft_free(drive->batch);
    ft_free(drive->buffers);
    ft_free(drive->directory);
    ft_free(drive->engine_name);
    ft_free(drive);
}

static ft_status allocate(ft_drive *drive)
{
    drive->slots = FT_NEW_ARRAY(ft_drive_slot, drive->depth);
    FT_ALLOC_CHECK(drive->slots);
    drive->free_slots = FT_NEW_ARRAY(ft_drive_slot *, drive->depth);
    FT_ALLOC_CHECK(drive->free_slots);
    drive->again = FT_NEW_ARRAY(ft_drive_slot *, drive->depth);
    FT_ALLOC_CHECK(drive->again);
    drive->batch = FT_NEW_ARRAY(ft_io_request *, drive->depth);
    FT_ALLOC_CHECK(drive->batch);
    for (int i = 0; i < drive->depth; i++) drive->free_slots[i] = &drive->slots[drive->depth - 1 - i];
    drive->n_free = drive->depth;
    return FT_OK;
}

static ft_status set_options(ft_drive *drive, const char *directory, const ft_drive_options *options)
{
    drive->depth = options->depth != 0 ? options->depth : DEFAULT_DEPTH;
    drive->chunk_bytes = options->chunk_bytes != 0 ? options->chunk_bytes : DEFAULT_CHUNK;
    if (drive->depth < 1 || drive->depth > MAX_DEPTH)
        return ft_error(FT_E_USAGE, "%s: queue depth %d is not in 1..%d", directory, drive->depth, MAX_DEPTH);
    if (drive->chunk_bytes % FT_IO_ALIGN != 0 || drive->chunk_bytes > FT_IO_MAX_BYTES)
        return ft_error(FT_E_USAGE, "%s: a transfer size of %u is not a multiple of %d up to %u", directory, drive->chunk_bytes,
                        FT_IO_ALIGN, FT_IO_MAX_BYTES);
    drive->directory = ft_strdup(directory);
    FT_ALLOC_CHECK(drive->directory);
    drive->engine_name = ft_strdup(options->engine != NULL ? options->engine : "auto");
    FT_ALLOC_CHECK(drive->engine_name);
    return allocate(drive);
}

// The thread inherits a full signal mask, so that SIGINT and SIGTERM reach the main thread.
static ft_status start_thread(ft_drive *drive)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = pthread_create(&drive->thread, NULL, ft_drive_main, drive);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code != 0) return ft_error_errno(FT_E_IO, code, "%s: no thread for the drive", drive->directory);
    pthread_mutex_lock(&drive->lock);
    while (!drive->started) pthread_cond_wait(&drive->news, &drive->lock);
    ft_status status = drive->broken;
    ft_drive_describe(drive);
    pthread_mutex_unlock(&drive->lock);
    if (status == FT_OK) return FT_OK;
    pthread_join(drive->thread, NULL);
    ft_error_adopt(status, drive->broken_message);
    return ft_error_prefix(status, "%s", drive->directory);
}

ft_status ft_drive_open(ft_drive **opened, const char *directory, const ft_drive_options *options)
{
    *opened = NULL;
    ft_drive *drive = FT_NEW(ft_drive);
    FT_ALLOC_CHECK(drive);
    pthread_mutex_init(&drive->lock, NULL);
    pthread_cond_init(&drive->work, NULL);
    pthread_cond_init(&drive->news, NULL);
    ft_status status;
    FT_TRY_GOTO(status, fail, set_options(drive, directory, options));
    FT_TRY_GOTO(status, fail, start_thread(drive));
    *opened = drive;
    if ((drive->caps & FT_IO_CAP_NO_DATA) || ft_path_is_directory(directory)) return FT_OK;
    *opened = NULL;
    ft_drive_close(drive);
    return ft_error(FT_E_INPUT, "%s: is not a directory", directory);
fail:
    free_drive(drive);
    return status;
}

void ft_drive_close(ft_drive *drive)
{
    if (drive == NULL) return;
    pthread_mutex_lock(&drive->lock);
    drive->closing = true;
    pthread_cond_signal(&drive->work);
    pthread_mutex_unlock(&drive->lock);
    pthread_join(drive->thread, NULL);
    free_drive(drive);
}

static int by_address(const void *a, const void *b)
{
    const ft_drive_buffer *left = a, *right = b;
    return left->base < right->base ? -1 : left->base > right->base;
}

// The table find_buffer searches, by address.
static ft_status index_buffers(ft_drive_buffer **table, const struct iovec *buffers, int n)
{
    *table = FT_NEW_ARRAY(ft_drive_buffer, n);
    FT_ALLOC_CHECK(*table);
    for (int i = 0; i < n; i++) {
        FT_ASSERT(buffers[i].iov_len <= MAX_REGISTERED, "buffer %d of %zu bytes", i, buffers[i].iov_len);
        (*table)[i] = (ft_drive_buffer){buffers[i].iov_base, buffers[i].iov_len, i};
    }
    qsort(*table, (size_t)n, sizeof **table, by_address);
    for (int i = 1; i < n; i++)
        FT_ASSERT((*table)[i - 1].base + (*table)[i - 1].bytes <= (*table)[i].base, "registered buffers overlap");
    return FT_OK;
}

// A ring registers from its own thread, so the thread is asked and answers.
static ft_status ask_registration(ft_drive *drive, const struct iovec *buffers, int n)
{
    drive->register_buffers = buffers;
    drive->register_n = n;
    drive->register_asked = true;
    pthread_cond_signal(&drive->work);
    while (drive->register_asked) pthread_cond_wait(&drive->news, &drive->lock);
    if (drive->register_status == FT_OK) return FT_OK;
    return ft_error_adopt(drive->register_status, drive->register_message);
}

ft_status ft_drive_register(ft_drive *drive, const struct iovec *buffers, int n)
{
    if (!(drive->caps & FT_IO_CAP_REGISTERED)) return FT_OK;
    ft_drive_buffer *table;
    FT_TRY(index_buffers(&table, buffers, n));
    pthread_mutex_lock(&drive->lock);
    FT_ASSERT(drive->head == NULL && drive->busy_since_s == 0, "%s: registration amid requests", drive->directory);
    ft_free(drive->buffers);
    drive->buffers = NULL;
    drive->n_buffers = 0;
    ft_status status = ask_registration(drive, buffers, n);
    if (status == FT_OK) {
        drive->buffers = table;
        drive->n_buffers = n;
    } else {
        ft_free(table);
    }
    ft_drive_describe(drive);
    pthread_mutex_unlock(&drive->lock);
    if (status != FT_E_UNSUPPORTED) return status;
    ft_log_once(FT_LOG_WARNING, "io-register", "%s; transfers work without, at a higher CPU cost", ft_error_message());
    return FT_OK;
}

static void check_request(const ft_drive *drive, ft_drive_request *request)
{
    FT_ASSERT(request->complete != NULL);
    FT_ASSERT(request->file >= 0 && request->file < drive->n_files, "%s: no file %d", drive->directory, request->file);
    const ft_drive_file *file = &drive->files[request->file];
    FT_ASSERT(request->op != FT_IO_WRITE || file->writable, "%s/%s is open for reading", drive->directory, file->name);
    if (request->op == FT_IO_FSYNC) {
        request->bytes = request->offset = 0;
        return;
    }
    FT_ASSERT(request->bytes > 0 && request->offset >= 0);
    uint64_t unaligned = ((uintptr_t)request->buffer | (uint64_t)request->offset | (uint64_t)request->bytes) % FT_IO_ALIGN;
    FT_ASSERT(unaligned == 0, "%s/%s: buffer %p, offset %" PRId64 ", %" PRId64 " bytes", drive->directory, file->name,
              request->buffer, request->offset, request->bytes);
}

void ft_drive_submit(ft_drive *drive, ft_drive_request *request)
{
    request->status = FT_OK;
    request->message[0] = 0;
    request->next = NULL;
    request->submitted = 0;
    request->in_flight = 0;
    pthread_mutex_lock(&drive->lock);
    check_request(drive, request);
    FT_ASSERT(!drive->closing, "%s: request after close", drive->directory);
    if (drive->head == NULL) drive->head = request;
    else drive->tail->next = request;
    drive->tail = request;
    pthread_cond_signal(&drive->work);
    if (drive->waiting) drive->engine->row->wake(drive->engine);
    drive->waiting = false;  // one wake is enough
    pthread_mutex_unlock(&drive->lock);
}

typedef struct {
    ft_drive *drive;
    bool complete;
} transfer_state;

static void complete_transfer(ft_drive_request *request)
{
    transfer_state *state = request->user;
    ft_drive *drive = state->drive;
    pthread_mutex_lock(&drive->lock);
    state->complete = true;
    pthread_cond_broadcast(&drive->news);
    pthread_mutex_unlock(&drive->lock);
}

ft_status ft_drive_transfer(ft_drive *drive, ft_io_op op, int file, void *buffer, int64_t offset, int64_t bytes)
{
    transfer_state state = {.drive = drive};
    ft_drive_request request = {.op = op, .file = file, .buffer = buffer, .offset = offset, .bytes = bytes,
                                .complete = complete_transfer, .user = &state};
    ft_drive_submit(drive, &request);
    pthread_mutex_lock(&drive->lock);
    while (!state.complete) pthread_cond_wait(&drive->news, &drive->lock);
    pthread_mutex_unlock(&drive->lock);
    return request.status == FT_OK ? FT_OK : ft_error_adopt(request.status, request.message);
}

ft_status ft_drive_sync(ft_drive *drive, int file)
{
    return ft_drive_transfer(drive, FT_IO_FSYNC, file, NULL, 0, 0);
}

void ft_drive_get_stats(ft_drive *drive, ft_drive_stats *stats)
{
    pthread_mutex_lock(&drive->lock);
    *stats = drive->stats;
    if (drive->busy_since_s != 0) stats->busy_s += ft_now_s() - drive->busy_since_s;
    pthread_mutex_unlock(&drive->lock);
}

const char *ft_drive_directory(const ft_drive *drive)
{
    return drive->directory;
}

const char *ft_drive_engine(const ft_drive *drive)
{
    return drive->description;
}
