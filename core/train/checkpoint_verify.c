// Reading a checkpoint back. Each file is read once, front to back, and hashed as a whole and entry by entry on the way.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/checkpoint.h"
#include "train/checkpoint_manifest.h"

#define CHUNK ((int64_t)4 << 20)
#define MAX_SMALL_FILE ((size_t)64 << 20)

typedef struct {
    const char *path;
    const ft_checkpoint_manifest_file *file;
    const ft_checkpoint_manifest_entry **entry;  // of this file, by offset
    int64_t n_entries, at;            // entry[at] is being hashed
    ft_hasher *whole, *part;          // part: the bytes of entry[at] so far, NULL before the first
    char *chunk;
} check;

static int by_offset(const void *a, const void *b)
{
    const ft_checkpoint_manifest_entry *left = *(const ft_checkpoint_manifest_entry *const *)a,
                                       *right = *(const ft_checkpoint_manifest_entry *const *)b;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

static ft_status list_entries(check *c, const ft_checkpoint_manifest *manifest)
{
    FT_ALLOC_CHECK(c->entry = FT_NEW_ARRAY(const ft_checkpoint_manifest_entry *, manifest->n_entries));
    for (int64_t i = 0; i < manifest->n_entries; i++)
        if (&manifest->files[manifest->entries[i].file] == c->file) c->entry[c->n_entries++] = &manifest->entries[i];
    qsort(c->entry, (size_t)c->n_entries, sizeof *c->entry, by_offset);
    for (int64_t i = 1; i < c->n_entries; i++)
        if (c->entry[i]->offset < c->entry[i - 1]->offset + c->entry[i - 1]->length)
            return ft_error(FT_E_CORRUPT, "%s: the manifest lets %s and %s overlap", c->path, c->entry[i - 1]->parameter,
                            c->entry[i]->parameter);
    return FT_OK;
}

static ft_status compare_entry(const char *path, const ft_checkpoint_manifest_entry *entry, ft_hash128 hash)
{
    if (ft_hash128_equal(hash, entry->hash)) return FT_OK;
    return ft_error(FT_E_CORRUPT, "%s: bytes %" PRId64 "..%" PRId64 " (%s) are not what was written: the file is damaged", path,
                    entry->offset, entry->offset + entry->length - 1, entry->parameter);
}

static ft_status finish_entry(check *c, const ft_checkpoint_manifest_entry *entry)
{
    ft_hash128 hash = ft_hasher_finish(c->part);
    ft_hasher_free(c->part);
    c->part = NULL;
    c->at++;
    return compare_entry(c->path, entry, hash);
}

// Bytes [begin, end) of the file are in the chunk.
static ft_status hash_entries(check *c, int64_t begin, int64_t end)
{
    while (c->at < c->n_entries && c->entry[c->at]->offset < end) {
        const ft_checkpoint_manifest_entry *entry = c->entry[c->at];
        int64_t entry_end = entry->offset + entry->length;
        int64_t first = entry->offset > begin ? entry->offset : begin, last = entry_end < end ? entry_end : end;
        if (c->part == NULL) FT_TRY(ft_hasher_new(&c->part));
        ft_hasher_add(c->part, c->chunk + (first - begin), (size_t)(last - first));
        if (entry_end > end) return FT_OK;
        FT_TRY(finish_entry(c, entry));
    }
    return FT_OK;
}

static ft_status read_exact(const char *path, int fd, char *dst, int64_t offset, int64_t bytes)
{
    while (bytes > 0) {
        ssize_t n = pread(fd, dst, (size_t)bytes, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return ft_error_errno(FT_E_IO, errno, "%s: read of %" PRId64 " bytes at offset %" PRId64, path, bytes, offset);
        if (n == 0) return ft_error(FT_E_CORRUPT, "%s: ends at byte %" PRId64 " while being read", path, offset);
        dst += n;
        offset += n;
        bytes -= n;
    }
    return FT_OK;
}

static ft_status hash_file(check *c, int fd)
{
    FT_ALLOC_CHECK(c->chunk = ft_malloc((size_t)(c->file->bytes < CHUNK ? c->file->bytes : CHUNK)));
    FT_TRY(ft_hasher_new(&c->whole));
    // What was synced is dropped from the page cache: the bytes compared are those of the drive.
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (int64_t at = 0; at < c->file->bytes; at += CHUNK) {
        int64_t n = c->file->bytes - at < CHUNK ? c->file->bytes - at : CHUNK;
        FT_TRY(read_exact(c->path, fd, c->chunk, at, n));
        ft_hasher_add(c->whole, c->chunk, (size_t)n);
        FT_TRY(hash_entries(c, at, at + n));
    }
    if (ft_hash128_equal(ft_hasher_finish(c->whole), c->file->hash)) return FT_OK;
    return ft_error(FT_E_CORRUPT, "%s: its content is not what was written: the file is damaged", c->path);
}

static ft_status open_file(const char *path, const ft_checkpoint_manifest_file *file, int *fd)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 && errno == ENOENT) return ft_error(FT_E_CORRUPT, "%s: is missing; the manifest lists it", path);
    if (*fd < 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be opened", path);
    if (fstat(*fd, &info) != 0) return ft_error_errno(FT_E_IO, errno, "%s", path);
    if (!S_ISREG(info.st_mode)) return ft_error(FT_E_CORRUPT, "%s: is not a regular file", path);
    if (info.st_size != file->bytes)
        return ft_error(FT_E_CORRUPT, "%s: has %lld bytes, the manifest says %" PRId64 ": the file is damaged", path,
                        (long long)info.st_size, file->bytes);
    return FT_OK;
}

static ft_status check_file(const ft_checkpoint_manifest *manifest, const ft_checkpoint_manifest_file *file, const char *directory)
{
    int fd = -1;
    char *path = ft_path_join(directory, file->name);
    FT_ALLOC_CHECK(path);
    check c = {.path = path, .file = file};
    ft_status status = open_file(path, file, &fd);
    if (status == FT_OK) status = list_entries(&c, manifest);
    if (status == FT_OK) status = hash_file(&c, fd);
    if (fd >= 0) close(fd);
    ft_hasher_free(c.whole);
    ft_hasher_free(c.part);
    ft_free(c.chunk);
    ft_free(c.entry);
    ft_free(path);
    return status;
}

ft_status ft_checkpoint_manifest_check(const ft_checkpoint_manifest *manifest, const char *directory)
{
    for (int64_t i = 0; i < manifest->n_files; i++) FT_TRY(check_file(manifest, &manifest->files[i], directory));
    return FT_OK;
}

ft_status ft_checkpoint_manifest_read_entry(const ft_checkpoint_manifest *manifest, const ft_checkpoint_manifest_entry *entry,
                                            const char *directory, void *dst)
{
    int fd = -1;
    char *path = ft_path_join(directory, manifest->files[entry->file].name);
    FT_ALLOC_CHECK(path);
    ft_status status = open_file(path, &manifest->files[entry->file], &fd);
    if (status == FT_OK) status = read_exact(path, fd, dst, entry->offset, entry->length);
    if (status == FT_OK) status = compare_entry(path, entry, ft_hash128_of(dst, (size_t)entry->length));
    if (fd >= 0) close(fd);
    ft_free(path);
    return status;
}

ft_status ft_checkpoint_manifest_read_file(const ft_checkpoint_manifest *manifest, const char *directory, const char *name, char **data,
                                           size_t *bytes)
{
    const ft_checkpoint_manifest_file *file = ft_checkpoint_manifest_find_file(manifest, name);
    if (file == NULL) return ft_error(FT_E_CORRUPT, "%s: the manifest lists no %s", directory, name);
    char *path = ft_path_join(directory, name);
    FT_ALLOC_CHECK(path);
    *data = NULL;
    ft_status status = ft_file_read(path, MAX_SMALL_FILE, data, bytes);
    if (status == FT_OK && !ft_hash128_equal(ft_hash128_of(*data, *bytes), file->hash)) {
        status = ft_error(FT_E_CORRUPT, "%s: its content is not what was written: the file is damaged", path);
        ft_free(*data);
        *data = NULL;
    }
    ft_free(path);
    return status;
}

ft_status ft_checkpoint_verify(const char *directory)
{
    ft_checkpoint_manifest manifest;
    FT_TRY(ft_checkpoint_manifest_read(&manifest, directory));
    ft_status status = ft_checkpoint_manifest_check(&manifest, directory);
    ft_checkpoint_manifest_free(&manifest);
    return status;
}
