#include "io/hub_part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

enum { HASH_PIECE = 1 << 20, SYNC_BYTES = 1 << 20 };

static void begin_hash(ft_hub_part *part)
{
    char head[40];
    ft_sha_begin(&part->sha, part->file->large ? FT_SHA256 : FT_SHA1);
    if (!part->file->large) ft_sha_add(&part->sha, head, (size_t)snprintf(head, sizeof head, "blob %lld", (long long)part->file->bytes) + 1);
    part->hashed = 0;
}

// With a journal, what it says of the bytes that are there; without one, all of them.
static ft_status read_state(ft_hub_part *part)
{
    int64_t bytes;
    ft_ranges_free(&part->arrived);
    if (ft_path_size(part->path, &bytes) != FT_OK) bytes = 0;
    int64_t limit = bytes < part->file->bytes ? bytes : part->file->bytes;
    if (ft_path_exists(part->journal_path)) FT_TRY(ft_journal_read(part->journal_path, part->file->bytes, limit, &part->arrived));
    else if (bytes <= part->file->bytes) FT_TRY(ft_ranges_add(&part->arrived, 0, bytes));
    part->resumed = ft_ranges_bytes(&part->arrived);
    return FT_OK;
}

ft_status ft_hub_part_init(ft_hub_part *part, const ft_hub_file *file, char *path)
{
    *part = (ft_hub_part){.file = file, .path = path, .fd = -1, .journal = -1};
    pthread_mutex_init(&part->lock, NULL);
    FT_ALLOC_CHECK(path);
    part->journal_path = ft_format("%s.ranges", path);
    FT_ALLOC_CHECK(part->journal_path);
    begin_hash(part);
    return read_state(part);
}

static void close_files(ft_hub_part *part)
{
    pthread_mutex_lock(&part->lock);
    if (part->fd >= 0) close(part->fd);
    if (part->journal >= 0) close(part->journal);
    part->fd = part->journal = -1;
    pthread_mutex_unlock(&part->lock);
}

void ft_hub_part_free(ft_hub_part *part)
{
    if (part->file == NULL) return;
    close_files(part);
    ft_ranges_free(&part->arrived);
    pthread_mutex_destroy(&part->lock);
    ft_free(part->path);
    ft_free(part->journal_path);
    ft_free(part->plain_path);
    *part = (ft_hub_part){.fd = -1, .journal = -1};
}

static ft_status take_over(const ft_hub_part *part)
{
    if (part->plain_path == NULL || ft_path_exists(part->path) || rename(part->plain_path, part->path) == 0 || errno == ENOENT) return FT_OK;
    return ft_error_errno(FT_E_IO, errno, "%s: cannot be renamed", part->plain_path);
}

// What was hashed stays hashed unless another process has changed what is there.
ft_status ft_hub_part_open(ft_hub_part *part)
{
    FT_TRY(take_over(part));
    FT_TRY(read_state(part));
    if (part->hashed > ft_ranges_front(&part->arrived)) begin_hash(part);
    part->fd = open(part->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);  // others may write into a shared cache
    if (part->fd < 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be created", part->path);
    return ft_journal_begin(part->journal_path, part->file->bytes, &part->arrived, &part->journal);
}

static ft_status refuse_write(const ft_hub_part *part, int error)
{
    int64_t left = part->file->bytes - ft_ranges_bytes(&part->arrived);
    if (error != ENOSPC && error != EDQUOT) return ft_error_errno(FT_E_IO, error, "%s: cannot be written", part->path);
    return ft_error(FT_E_IO, "%s: no space left, %lld more bytes are needed for %s: make room and run it again, what has arrived is kept", part->path,
                    (long long)left, part->file->path);
}

ft_status ft_hub_part_write(ft_hub_part *part, int64_t offset, const void *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t written = pwrite(part->fd, (const char *)data + at, n - at, offset + (int64_t)at);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return refuse_write(part, written < 0 ? errno : ENOSPC);
        at += (size_t)written;
    }
    pthread_mutex_lock(&part->lock);
    ft_status status = ft_ranges_add(&part->arrived, offset, offset + (int64_t)n);
    pthread_mutex_unlock(&part->lock);
    return status;
}

ft_status ft_hub_part_record(ft_hub_part *part, int64_t begin, int64_t end)
{
    pthread_mutex_lock(&part->lock);
    ft_status status = begin < end && part->journal >= 0 ? ft_journal_add(part->journal, part->journal_path, begin, end) : FT_OK;
    pthread_mutex_unlock(&part->lock);
    return status;
}

int64_t ft_hub_part_bytes(ft_hub_part *part)
{
    pthread_mutex_lock(&part->lock);
    int64_t bytes = ft_ranges_bytes(&part->arrived);
    pthread_mutex_unlock(&part->lock);
    return bytes;
}

bool ft_hub_part_hole(ft_hub_part *part, int64_t from, ft_extent *hole)
{
    pthread_mutex_lock(&part->lock);
    bool found = ft_ranges_hole(&part->arrived, from, part->file->bytes, hole);
    pthread_mutex_unlock(&part->lock);
    return found;
}

// ---- the hash

static ft_status check_hash(ft_hub_part *part)
{
    char text[FT_SHA_TEXT];
    ft_sha sha = part->sha;
    ft_sha_finish(&sha, text);
    if (strcmp(text, part->file->hash) == 0) return FT_OK;
    return ft_error(FT_E_CORRUPT, "%s: what has arrived has the hash %s, the hub's file has %s", part->file->path, text, part->file->hash);
}

ft_status ft_hub_part_hash(ft_hub_part *part, int64_t most, int64_t *n)
{
    static _Thread_local char piece[HASH_PIECE];
    pthread_mutex_lock(&part->lock);
    int64_t front = ft_ranges_front(&part->arrived);
    pthread_mutex_unlock(&part->lock);
    for (*n = 0; part->hashed < front && *n < most;) {
        int64_t left = front - part->hashed;
        ssize_t got = pread(part->fd, piece, left < HASH_PIECE ? (size_t)left : HASH_PIECE, part->hashed);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return ft_error_errno(FT_E_IO, got < 0 ? errno : EIO, "%s: cannot be read back", part->path);
        ft_sha_add(&part->sha, piece, (size_t)got);
        part->hashed += got;
        *n += got;
    }
    return part->hashed == part->file->bytes ? check_hash(part) : FT_OK;
}

// ---- ends

ft_status ft_hub_part_reset(ft_hub_part *part)
{
    close_files(part);
    unlink(part->path);
    unlink(part->journal_path);
    begin_hash(part);
    return ft_hub_part_open(part);
}

ft_status ft_hub_part_finish(ft_hub_part *part, const char *path)
{
    int error = part->file->bytes >= SYNC_BYTES && fdatasync(part->fd) != 0 ? errno : 0;
    close_files(part);
    if (error == 0 && rename(part->path, path) != 0) error = errno;
    if (error) return ft_error_errno(FT_E_IO, error, "%s: cannot be finished", path);
    unlink(part->journal_path);
    return FT_OK;
}
