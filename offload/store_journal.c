// The journal of a build: which stripes are durable, with their hashes. It lies in the first part's building directory.
//
//   header, 64 bytes: "FTJOURNL", u32 version (1), u32 zero, 32 hex digits of the set, zero
//   then batches: u64 first stripe, u64 number n, 4 x (f64 error_sq, f64 norm_sq) of the matrix groups up to here,
//                 u64 XXH3-64 of the batch with this field zero, n x u64 stripe hash
// Little endian. Batches follow one another without gaps in stripe numbers. Order: stripes written, their data files synced,
// batch written, journal synced; so a batch that verifies speaks of stripes that are on the drives. A batch ends where an
// extent ends: a build continues with nothing but the numbers above. The first batch that does not verify ends the journal.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hash.h"
#include "offload/store_internal.h"

#define JOURNAL_VERSION 1
#define JOURNAL_BYTES_MAX ((size_t)1 << 30)

typedef struct {
    char magic[8];
    uint32_t version, zero;
    char set[FT_HASH_TEXT - 1];
    uint8_t rest[16];
} journal_header;

typedef struct {
    uint64_t first, n;
    ft_store_error error[FT_GROUP_MATRICES];
    uint64_t hash;
} batch_header;

_Static_assert(sizeof(journal_header) == 64 && sizeof(batch_header) == 88, "journal");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the journal is written as it lies in memory");

static journal_header header_of(const char set[FT_HASH_TEXT])
{
    journal_header header = {.magic = "FTJOURNL", .version = JOURNAL_VERSION};
    memcpy(header.set, set, sizeof header.set);
    return header;
}

static ft_status write_durably(int fd, const char *path, const void *data, size_t bytes)
{
    const char *at = data;
    FT_TRY(ft_store_step("journal"));
    while (bytes > 0) {
        ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ft_error_errno(FT_E_IO, n == 0 ? ENOSPC : errno, "%s: write of %zu bytes", path, bytes);
        at += n;
        bytes -= (size_t)n;
    }
    FT_TRY(ft_store_step("journal-sync"));
    return fdatasync(fd) == 0 ? FT_OK : ft_error_errno(FT_E_IO, errno, "%s: fdatasync", path);
}

ft_status ft_journal_create(int *fd, const char *path, const char set[FT_HASH_TEXT])
{
    journal_header header = header_of(set);
    *fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (*fd < 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be created", path);
    ft_status status = write_durably(*fd, path, &header, sizeof header);
    if (status == FT_OK) return FT_OK;
    close(*fd);
    *fd = -1;
    return status;
}

// The hash of a batch in memory; its hash field is zero meanwhile.
static uint64_t batch_hash(batch_header *batch)
{
    uint64_t stored = batch->hash;
    batch->hash = 0;
    uint64_t hash = ft_hash64(batch, sizeof *batch + batch->n * sizeof(uint64_t));
    batch->hash = stored;
    return hash;
}

// Takes the batch at `data` over; returns its bytes, 0 if it does not verify.
static size_t take_batch(char *data, size_t bytes, ft_stripe_table *table, int64_t *done, ft_store_error error[FT_GROUP_MATRICES])
{
    batch_header *batch = (batch_header *)data;
    if (bytes < sizeof *batch || batch->first != (uint64_t)*done || batch->n > (uint64_t)(table->n - *done)) return 0;
    size_t whole = sizeof *batch + batch->n * sizeof(uint64_t);
    if (bytes < whole || batch_hash(batch) != batch->hash) return 0;
    const uint64_t *hash = (const uint64_t *)(batch + 1);
    for (uint64_t i = 0; i < batch->n; i++) table->stripe[*done + (int64_t)i].hash = hash[i];
    memcpy(error, batch->error, sizeof batch->error);
    *done += (int64_t)batch->n;
    return whole;
}

// Bytes of the journal that verify, 0 if it is another set's.
static size_t take_batches(char *data, size_t bytes, const char set[FT_HASH_TEXT], ft_stripe_table *table, int64_t *done,
                           ft_store_error error[FT_GROUP_MATRICES])
{
    journal_header header = header_of(set);
    if (bytes < sizeof header || memcmp(data, &header, sizeof header) != 0) return 0;
    size_t at = sizeof header, step;
    while ((step = take_batch(data + at, bytes - at, table, done, error)) > 0) at += step;
    return at;
}

ft_status ft_journal_resume(int *fd, const char *path, const char set[FT_HASH_TEXT], ft_stripe_table *table, int64_t *done,
                            ft_store_error error[FT_GROUP_MATRICES])
{
    char *data;
    size_t bytes;
    *fd = -1;
    *done = 0;
    FT_TRY(ft_file_read(path, JOURNAL_BYTES_MAX, &data, &bytes));
    size_t valid = take_batches(data, bytes, set, table, done, error);
    ft_free(data);
    if (valid == 0) return ft_error(FT_E_NOT_FOUND, "%s is not the journal of this build", path);
    *fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (*fd < 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be opened", path);
    if (ftruncate(*fd, (off_t)valid) == 0) return FT_OK;
    ft_status status = ft_error_errno(FT_E_IO, errno, "%s: cannot be truncated to %zu bytes", path, valid);
    close(*fd);
    *fd = -1;
    return status;
}

ft_status ft_journal_append(int fd, const char *path, const ft_stripe_table *table, int64_t first, int64_t end,
                            const ft_store_error error[FT_GROUP_MATRICES])
{
    size_t bytes = sizeof(batch_header) + (size_t)(end - first) * sizeof(uint64_t);
    batch_header *batch = ft_calloc(1, bytes);
    FT_ALLOC_CHECK(batch);
    batch->first = (uint64_t)first;
    batch->n = (uint64_t)(end - first);
    memcpy(batch->error, error, sizeof batch->error);
    uint64_t *hash = (uint64_t *)(batch + 1);
    for (int64_t i = first; i < end; i++) hash[i - first] = table->stripe[i].hash;
    batch->hash = batch_hash(batch);
    ft_status status = write_durably(fd, path, batch, bytes);
    ft_free(batch);
    return status;
}
