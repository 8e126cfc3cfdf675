// The file "tokens", little-endian:
//
//   bytes             what
//   8                 magic "FTDATA2\n"
//   8                 n_counts
//   n_counts * 96     ft_data_counts of each dataset, its twelve int64
//   n_counts * (8+k)  name of each dataset: length k, text
//   then twice, for the training and the eval samples:
//   8, 8              n, tokens
//   (n + 1) * 8       begin
//   n * 4             source
//   tokens * 4        ids
//   tokens * 4        labels
//   at the end 16     XXH3-128 of all bytes before (high, low)
#include "data/prepared.h"

#include <errno.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/commit.h"

static const char magic[8] = "FTDATA2\n";
_Static_assert(sizeof(ft_data_counts) == 96, "the counts are twelve int64");

// A file that is written or read front to back, with the hash of what went by.
typedef struct {
    FILE *file;
    const char *path;
    ft_hasher *hasher;
    int64_t left;  // reading: bytes before the hash
} hashed_file;

static ft_status put(hashed_file *f, const void *data, int64_t bytes)
{
    ft_hasher_add(f->hasher, data, (size_t)bytes);
    if (fwrite(data, 1, (size_t)bytes, f->file) == (size_t)bytes) return FT_OK;
    return ft_error_errno(FT_E_IO, errno, "%s: writing failed", f->path);
}

static ft_status get(hashed_file *f, void *data, int64_t bytes)
{
    bool there = bytes >= 0 && bytes <= f->left && fread(data, 1, (size_t)bytes, f->file) == (size_t)bytes;
    if (!there) return ft_error(FT_E_CORRUPT, "%s: cut short", f->path);
    f->left -= bytes;
    ft_hasher_add(f->hasher, data, (size_t)bytes);
    return FT_OK;
}

// A heap array of `count` elements into the pointer `array` is the address of; a zero byte follows it.
static ft_status get_array(hashed_file *f, void *array, int64_t count, int64_t element)
{
    if (count < 0 || count > f->left / element) return ft_error(FT_E_CORRUPT, "%s: cut short", f->path);
    char *data = ft_calloc((size_t)(count * element) + 1, 1);
    FT_ALLOC_CHECK(data);
    memcpy(array, &data, sizeof data);
    return get(f, data, count * element);
}

static ft_status put_samples(hashed_file *f, const ft_samples *samples)
{
    const int64_t none = 0;
    FT_TRY(put(f, &samples->n, 8));
    FT_TRY(put(f, &samples->tokens, 8));
    FT_TRY(put(f, samples->n ? samples->begin : &none, (samples->n + 1) * 8));
    FT_TRY(put(f, samples->n ? (const void *)samples->source : "", samples->n * 4));
    FT_TRY(put(f, samples->n ? (const void *)samples->ids : "", samples->tokens * 4));
    return put(f, samples->n ? (const void *)samples->labels : "", samples->tokens * 4);
}

static ft_status get_samples(hashed_file *f, ft_samples *samples)
{
    FT_TRY(get(f, &samples->n, 8));
    FT_TRY(get(f, &samples->tokens, 8));
    if (samples->n < 0 || samples->n > f->left) return ft_error(FT_E_CORRUPT, "%s: cut short", f->path);
    samples->capacity = samples->n;
    samples->tokens_capacity = samples->tokens;
    FT_TRY(get_array(f, &samples->begin, samples->n + 1, 8));
    FT_TRY(get_array(f, &samples->source, samples->n, 4));
    FT_TRY(get_array(f, &samples->ids, samples->tokens, 4));
    return get_array(f, &samples->labels, samples->tokens, 4);
}

static ft_status put_dataset(hashed_file *f, const ft_dataset *dataset)
{
    int64_t n = dataset->n_counts;
    FT_TRY(put(f, magic, sizeof magic));
    FT_TRY(put(f, &n, 8));
    FT_TRY(put(f, dataset->counts, n * (int64_t)sizeof *dataset->counts));
    for (int64_t i = 0; i < n; i++) {
        int64_t length = (int64_t)strlen(dataset->names[i]);
        FT_TRY(put(f, &length, 8));
        FT_TRY(put(f, dataset->names[i], length));
    }
    FT_TRY(put_samples(f, &dataset->train));
    FT_TRY(put_samples(f, &dataset->eval));
    ft_hash128 hash = ft_hasher_finish(f->hasher);
    return put(f, &hash, sizeof hash);
}

static ft_status get_names(hashed_file *f, ft_dataset *dataset, int64_t n)
{
    dataset->names = FT_NEW_ARRAY(char *, n);
    FT_ALLOC_CHECK(dataset->names);
    for (; dataset->n_counts < n; dataset->n_counts++) {
        int64_t length;
        FT_TRY(get(f, &length, 8));
        FT_TRY(get_array(f, &dataset->names[dataset->n_counts], length, 1));
    }
    return FT_OK;
}

static ft_status get_dataset(hashed_file *f, ft_dataset *dataset)
{
    char start[sizeof magic];
    int64_t n;
    ft_hash128 hash;
    FT_TRY(get(f, start, sizeof start));
    if (memcmp(start, magic, sizeof magic) != 0) return ft_error(FT_E_CORRUPT, "%s: not tokenized data", f->path);
    FT_TRY(get(f, &n, 8));
    FT_TRY(get_array(f, &dataset->counts, n, sizeof *dataset->counts));
    FT_TRY(get_names(f, dataset, n));
    FT_TRY(get_samples(f, &dataset->train));
    FT_TRY(get_samples(f, &dataset->eval));
    bool whole = f->left == 0 && fread(&hash, 1, sizeof hash, f->file) == sizeof hash;
    if (whole && ft_hash128_equal(hash, ft_hasher_finish(f->hasher))) return FT_OK;
    return ft_error(FT_E_CORRUPT, "%s: its hash is wrong", f->path);
}

static char *entry_path(const char *directory, ft_hash128 key)
{
    char name[FT_HASH_TEXT];
    return ft_format("%s/%s/tokens", directory, ft_hash128_text(key, name));
}

static ft_status open_and_get(const char *path, ft_dataset *dataset)
{
    hashed_file f = {.path = path};
    int64_t bytes;
    FT_TRY(ft_path_size(path, &bytes));
    FT_TRY(ft_hasher_new(&f.hasher));
    f.left = bytes - (int64_t)sizeof(ft_hash128);
    f.file = fopen(path, "rb");
    ft_status status = f.file ? get_dataset(&f, dataset) : ft_error_errno(FT_E_IO, errno, "%s: cannot be opened", path);
    if (f.file != NULL) fclose(f.file);
    ft_hasher_free(f.hasher);
    if (status != FT_OK) ft_dataset_free(dataset);
    return status;
}

ft_status ft_prepared_read(const char *directory, ft_hash128 key, ft_dataset *dataset, bool *found)
{
    char *path = entry_path(directory, key);
    FT_ALLOC_CHECK(path);
    *found = false;
    ft_status status = FT_OK;
    if (ft_path_exists(path)) {
        status = open_and_get(path, dataset);
        *found = status == FT_OK;
    }
    if (status == FT_E_CORRUPT) {
        ft_warn("%s; tokenizing again", ft_error_message());
        status = FT_OK;
    }
    ft_free(path);
    return status;
}

static ft_status write_file(const char *path, const ft_dataset *dataset)
{
    hashed_file f = {.path = path};
    FT_ALLOC_CHECK(path);
    FT_TRY(ft_hasher_new(&f.hasher));
    f.file = fopen(path, "wb");
    ft_status status = f.file ? put_dataset(&f, dataset) : ft_error_errno(FT_E_IO, errno, "%s: cannot be written", path);
    if (f.file != NULL && fclose(f.file) != 0 && status == FT_OK)
        status = ft_error_errno(FT_E_IO, errno, "%s: writing failed", path);
    ft_hasher_free(f.hasher);
    return status;
}

ft_status ft_prepared_write(const char *directory, ft_hash128 key, const ft_dataset *dataset)
{
    char name[FT_HASH_TEXT];
    ft_commit commit;
    FT_TRY(ft_make_directories(directory));
    FT_TRY(ft_commit_begin(&commit, directory, ft_hash128_text(key, name)));
    char *path = ft_commit_path(&commit, "tokens");
    ft_status status = write_file(path, dataset);
    ft_free(path);
    if (status == FT_OK) return ft_commit_finish(&commit, true);
    ft_commit_abort(&commit);
    return status;
}
