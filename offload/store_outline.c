// The model in outline: sparse files with the header and the sampled blocks of each weight file, by reads of those ranges alone.
//
// About 34 small reads a file; several files are read at once, since each read is a round trip. A file has its name only when it is
// whole and synced, so that a later run reads the others alone.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/model_shards.h"
#include "io/safetensors_header.h"
#include "offload/store_hub.h"

#define READERS 8
#define FIRST_BYTES ((int64_t)64 << 10)  // of a file, in the hope that its header is in them
#define POLL_US 50000

typedef struct {
    const ft_hub_listing *listing;
    const char *directory;
    const ft_hub_file **files;
    int n;
    atomic_int next, done;
    volatile int stop;           // cancel of the readers; relaxed atomics, as the hub reads it
    pthread_mutex_t mutex;       // of the first error
    ft_status status;
    char message[FT_ERROR_MESSAGE_BYTES];
} outline;

// ---- one file

typedef struct {
    const ft_hub_listing *listing;
    const ft_hub_file *file;
    const volatile int *cancel;
    const char *path;
    int fd;
} outlined_file;

// From the hub to the same place of the sparse file.
static ft_status copy_range(const outlined_file *o, int64_t offset, int64_t bytes, char *buffer)
{
    FT_TRY(ft_store_hub.read(o->listing, o->file, offset, buffer, bytes, o->cancel));
    for (int64_t at = 0; at < bytes;) {
        ssize_t n = pwrite(o->fd, buffer + at, (size_t)(bytes - at), offset + at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ft_error_errno(FT_E_IO, n == 0 ? ENOSPC : errno, "%s: write of %lld bytes", o->path, (long long)bytes);
        at += n;
    }
    return FT_OK;
}

// A header that is none is for the reader of the outline to refuse.
static int64_t header_bytes(const char *first, int64_t bytes, int64_t file_bytes)
{
    uint64_t n = 0;
    if (bytes < 8) return 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)first[i];
    return n <= FT_SAFETENSORS_MAX_HEADER && (int64_t)n <= file_bytes - 8 ? (int64_t)n : 0;
}

static ft_status copy_rest_of_header(const outlined_file *o, int64_t from, int64_t to)
{
    if (to <= from) return FT_OK;
    char *buffer = ft_malloc((size_t)(to - from));
    FT_ALLOC_CHECK(buffer);
    ft_status status = copy_range(o, from, to - from, buffer);
    ft_free(buffer);
    return status;
}

static ft_status copy_samples(const outlined_file *o, int64_t header, int64_t known, char *buffer)
{
    for (int i = 0; i < FT_STORE_SAMPLES; i++) {
        int64_t offset = ft_store_sample_offset(header, o->file->bytes, i), end = offset + FT_STORE_SAMPLE_BYTES;
        if (end > o->file->bytes) end = o->file->bytes;
        if (end > known && end > offset) FT_TRY(copy_range(o, offset, end - offset, buffer));
    }
    return FT_OK;
}

static ft_status copy_outline(const outlined_file *o, char *buffer)
{
    int64_t bytes = o->file->bytes, first = bytes < FIRST_BYTES ? bytes : FIRST_BYTES;
    if (ftruncate(o->fd, (off_t)bytes) != 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be made %lld bytes long", o->path, (long long)bytes);
    FT_TRY(copy_range(o, 0, first, buffer));
    int64_t header = header_bytes(buffer, first, bytes), known = 8 + header > first ? 8 + header : first;
    FT_TRY(copy_rest_of_header(o, first, 8 + header));
    FT_TRY(copy_samples(o, header, known, buffer));
    return fsync(o->fd) == 0 ? FT_OK : ft_error_errno(FT_E_IO, errno, "%s: fsync", o->path);
}

static ft_status write_outline(outlined_file *o, const char *final)
{
    char *buffer = ft_malloc((size_t)FIRST_BYTES);
    FT_ALLOC_CHECK(buffer);
    o->fd = open(o->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ft_status status = o->fd >= 0 ? copy_outline(o, buffer) : ft_error_errno(FT_E_IO, errno, "%s: cannot be created", o->path);
    if (o->fd >= 0) close(o->fd);
    if (status == FT_OK && rename(o->path, final) != 0) status = ft_error_errno(FT_E_IO, errno, "%s: cannot be renamed", o->path);
    ft_free(buffer);
    return status;
}

static ft_status outline_file(outline *all, const ft_hub_listing *listing, const ft_hub_file *file)
{
    int64_t bytes;
    char *final = ft_path_join(all->directory, file->path), *path = ft_format("%s/.%s.tmp", all->directory, file->path);
    outlined_file o = {.listing = listing, .file = file, .cancel = &all->stop, .path = path, .fd = -1};
    ft_status status = final != NULL && path != NULL ? FT_OK : FT_E_NOMEM;
    bool there = status == FT_OK && ft_path_exists(final) && ft_path_size(final, &bytes) == FT_OK && bytes == file->bytes;
    if (status == FT_OK && !there) status = write_outline(&o, final);
    ft_free(final);
    ft_free(path);
    return status;
}

// ---- all of them

static void stop_readers(outline *all)
{
    __atomic_store_n(&all->stop, 1, __ATOMIC_RELAXED);
}

static void fail(outline *all, ft_status status)
{
    pthread_mutex_lock(&all->mutex);
    if (all->status == FT_OK) snprintf(all->message, sizeof all->message, "%s", ft_error_message());
    if (all->status == FT_OK) all->status = status;
    stop_readers(all);
    pthread_mutex_unlock(&all->mutex);
}

// A listing serves one call at a time: each reader has its own.
static void *read_files(void *context)
{
    outline *all = context;
    ft_hub_listing listing;
    ft_status status = ft_store_hub.list(&listing, all->listing->kind, all->listing->repository, all->listing->commit, &all->stop);
    for (int i; status == FT_OK && (i = atomic_fetch_add(&all->next, 1)) < all->n;) {
        const ft_hub_file *file = ft_hub_listing_find(&listing, all->files[i]->path);
        status = file != NULL ? outline_file(all, &listing, file)
                              : ft_error(FT_E_INPUT, "%s: %s is gone from commit %s", listing.repository, all->files[i]->path, listing.commit);
        atomic_fetch_add(&all->done, 1);
    }
    ft_hub_listing_free(&listing);
    if (status != FT_OK) fail(all, status);
    return NULL;
}

static void watch(outline *all, bool quiet, const volatile int *cancel)
{
    ft_progress progress;
    if (!quiet) ft_progress_begin(&progress, "reading headers", "files", all->n);
    while (atomic_load(&all->done) < all->n && !__atomic_load_n(&all->stop, __ATOMIC_RELAXED)) {
        usleep(POLL_US);
        if (cancel != NULL && *cancel) stop_readers(all);
        if (!quiet) ft_progress_update(&progress, atomic_load(&all->done));
    }
    if (!quiet) ft_progress_end(&progress);
}

static ft_status outline_all(outline *all, bool quiet, const volatile int *cancel)
{
    pthread_t thread[READERS];
    int n = 0, wanted = all->n < READERS ? all->n : READERS;
    while (n < wanted && pthread_create(&thread[n], NULL, read_files, all) == 0) n++;
    if (n == 0) return ft_error(FT_E_IO, "a thread that reads headers cannot be started");
    watch(all, quiet, cancel);
    for (int i = 0; i < n; i++) pthread_join(thread[i], NULL);
    if (all->status != FT_OK) return ft_error_adopt(all->status, all->message);
    return cancel != NULL && *cancel ? ft_error(FT_E_STOPPED, "prepare was stopped while it read the headers: the same command continues") : FT_OK;
}

// ---- which they are

static ft_status add_file(outline *all, const char *name)
{
    const ft_hub_file *file = name != NULL && strchr(name, '/') == NULL ? ft_hub_listing_find(all->listing, name) : NULL;
    if (file == NULL)
        return ft_error(FT_E_INPUT, "%s: " FT_MODEL_INDEX " names %.160s, which the repository does not have", all->listing->repository,
                        name != NULL ? name : "no file");
    for (int i = 0; i < all->n; i++)
        if (all->files[i] == file) return FT_OK;
    all->files[all->n++] = file;
    return FT_OK;
}

static ft_status add_indexed(outline *all, const char *path)
{
    const char *tensor;
    json_t *shard;
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error), *map = json_object_get(root, "weight_map");
    ft_status status = root != NULL ? FT_OK : ft_error(FT_E_INPUT, "%s: line %d: %s", path, error.line, error.text);
    json_object_foreach(map, tensor, shard) if (status == FT_OK) status = add_file(all, json_string_value(shard));
    json_decref(root);
    return status;
}

static ft_status copy_small(const char *snapshot, const char *directory, const char *name)
{
    char *from = ft_path_join(snapshot, name), *to = ft_path_join(directory, name), *text = NULL;
    size_t bytes;
    ft_status status = from != NULL && to != NULL ? ft_file_read(from, FT_SAFETENSORS_MAX_HEADER, &text, &bytes) : FT_E_NOMEM;
    if (status == FT_OK) status = ft_file_write(to, text, bytes);
    ft_free(text);
    ft_free(from);
    ft_free(to);
    return status;
}

// As ft_model_files_open does: the single file wins over an index.
static ft_status find_files(outline *all, const char *snapshot)
{
    FT_ALLOC_CHECK(all->files = FT_NEW_ARRAY(const ft_hub_file *, all->listing->n_files));
    FT_TRY(copy_small(snapshot, all->directory, "config.json"));
    if (ft_hub_listing_find(all->listing, FT_MODEL_SINGLE) != NULL) return add_file(all, FT_MODEL_SINGLE);
    if (ft_hub_listing_find(all->listing, FT_MODEL_INDEX) == NULL)
        return ft_error(FT_E_UNSUPPORTED, "%s has neither " FT_MODEL_SINGLE " nor " FT_MODEL_INDEX ": only models in safetensors files can be prepared",
                        all->listing->repository);
    FT_TRY(copy_small(snapshot, all->directory, FT_MODEL_INDEX));
    char *path = ft_path_join(all->directory, FT_MODEL_INDEX);
    ft_status status = path != NULL ? add_indexed(all, path) : FT_E_NOMEM;
    ft_free(path);
    return status;
}

ft_status ft_store_outline(const ft_hub_listing *listing, const char *snapshot, const char *directory, bool quiet, const volatile int *cancel)
{
    outline all = {.listing = listing, .directory = directory, .mutex = PTHREAD_MUTEX_INITIALIZER};
    ft_status status = find_files(&all, snapshot);
    if (status == FT_OK) status = outline_all(&all, quiet, cancel);
    ft_free(all.files);
    return status;
}
