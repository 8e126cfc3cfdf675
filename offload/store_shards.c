// Weight files on disk while extents are made of them.
//
// A file of the source is the outline's (header and samples) or, between its first and last need, the whole one: the descriptor is
// exchanged, so that whoever reads tensors does not know. A whole file must agree with its outline in size, header and samples: the
// id of the store was made of those.
#include "offload/store_shards.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"

// Whether `name` is a needed file, or a part of one ("NAME.part").
static bool is_wanted(ft_shards *shards, int directory, const char *name)
{
    struct stat info;
    for (int k = 0; k < shards->access.n_needed; k++) {
        int i = shards->access.order[k];
        const ft_safetensors *file = &shards->source->files.files[i];
        size_t length = strlen(ft_path_base(file->path));
        if (strncmp(name, ft_path_base(file->path), length) != 0) continue;
        if (strncmp(name + length, ".part", 5) == 0) return true;
        if (name[length] != 0) continue;
        bool whole = fstatat(directory, name, &info, 0) == 0 && info.st_size == file->file_bytes;
        if (whole) shards->state[i] = FT_SHARD_HERE;
        return whole;
    }
    return false;
}

// What an earlier run left: a whole file is taken, of one on its way the part stays; what is not needed any more goes.
static ft_status take_over(ft_shards *shards)
{
    DIR *stream = opendir(shards->directory);
    if (stream == NULL) return ft_error_errno(FT_E_IO, errno, "%s", shards->directory);
    for (struct dirent *item; (item = readdir(stream)) != NULL;)
        if (item->d_name[0] != '.' && !is_wanted(shards, dirfd(stream), item->d_name)) unlinkat(dirfd(stream), item->d_name, 0);
    closedir(stream);
    return FT_OK;
}

static ft_status fill(ft_shards *shards, int begin)
{
    int n = shards->source->files.n_files;
    FT_TRY(ft_store_access_make(&shards->access, shards->source, begin));
    FT_ALLOC_CHECK(shards->state = FT_NEW_ARRAY(ft_shard_state, n));
    FT_ALLOC_CHECK(shards->outline = FT_NEW_ARRAY(int, n));
    FT_TRY(take_over(shards));
    return ft_fetcher_start(shards);
}

ft_status ft_shards_open(ft_shards **opened, ft_store_source *source, const char *directory, int begin, const volatile int *cancel)
{
    ft_shards *shards = FT_NEW(ft_shards);
    FT_ALLOC_CHECK(shards);
    *shards = (ft_shards){.source = source, .directory = directory, .position = begin, .cancel = cancel, .fetching = -1};
    pthread_mutex_init(&shards->mutex, NULL);
    pthread_cond_init(&shards->changed, NULL);
    ft_status status = fill(shards, begin);
    if (status == FT_OK) *opened = shards;
    else ft_shards_close(shards);
    return status;
}

static void set_state(ft_shards *shards, int i, ft_shard_state state)
{
    pthread_mutex_lock(&shards->mutex);
    shards->state[i] = state;
    pthread_mutex_unlock(&shards->mutex);
}

// The outline's descriptor comes back.
static void close_file(ft_shards *shards, int i)
{
    ft_safetensors *file = &shards->source->files.files[i];
    close(file->fd);
    file->fd = shards->outline[i];
    set_state(shards, i, FT_SHARD_DONE);
}

void ft_shards_close(ft_shards *shards)
{
    if (shards == NULL) return;
    ft_fetcher_stop(shards);
    for (int i = 0; shards->outline != NULL && i < shards->access.n_files; i++)
        if (shards->state[i] == FT_SHARD_OPEN) close_file(shards, i);
    pthread_mutex_destroy(&shards->mutex);
    pthread_cond_destroy(&shards->changed);
    ft_store_access_free(&shards->access);
    ft_free(shards->state);
    ft_free(shards->outline);
    ft_free(shards);
}

static ft_status compare(const ft_safetensors *outline, const ft_safetensors *file)
{
    ft_hash128 expected = {0}, found = {0};
    bool same = outline->file_bytes == file->file_bytes && ft_hash128_equal(outline->header_hash, file->header_hash);
    if (same) {
        FT_TRY(ft_store_hash_samples(outline, &expected));
        FT_TRY(ft_store_hash_samples(file, &found));
    }
    if (same && ft_hash128_equal(expected, found)) return FT_OK;
    return ft_error(FT_E_CORRUPT, "%s: the file that was fetched does not agree with what was read of it before: run the same command again",
                    outline->path);
}

// A pair that does not agree is of no use to the next run; which of the two is wrong is not known.
static void forget(const ft_shards *shards, int i, const char *path)
{
    const char *name = ft_path_base(shards->source->files.files[i].path);
    char *outline = ft_path_join(shards->source->files.directory, name);
    unlink(path);
    if (outline != NULL) unlink(outline);
    ft_free(outline);
}

static ft_status open_file(ft_shards *shards, int i)
{
    ft_safetensors whole, *file = &shards->source->files.files[i];
    char *path = ft_shard_path(shards, i, "");
    FT_ALLOC_CHECK(path);
    ft_status status = ft_safetensors_open(&whole, path);
    if (status == FT_OK) {
        status = compare(file, &whole);
        if (status == FT_OK) {
            shards->outline[i] = file->fd;
            file->fd = whole.fd;
            whole.fd = -1;
            set_state(shards, i, FT_SHARD_OPEN);
        }
        ft_safetensors_close(&whole);
    }
    if (status == FT_E_CORRUPT || status == FT_E_INPUT) forget(shards, i, path);
    ft_free(path);
    return status;
}

static bool is_needed(const ft_store_access *access, int file, int extent)
{
    return access->first[file] <= extent && extent <= access->last[file];
}

ft_status ft_shards_need(ft_shards *shards, int extent, ft_progress *progress)
{
    FT_TRY(ft_fetcher_wait(shards, extent, progress));
    for (int k = 0; k < shards->access.n_needed; k++) {
        int i = shards->access.order[k];
        if (is_needed(&shards->access, i, extent) && shards->state[i] == FT_SHARD_HERE) FT_TRY(open_file(shards, i));
    }
    return FT_OK;
}

bool ft_shards_end_with(const ft_shards *shards, int extent)
{
    for (int i = 0; i < shards->access.n_files; i++)
        if (shards->access.last[i] == extent) return true;
    return false;
}

void ft_shards_release(ft_shards *shards, int extent)
{
    for (int i = 0; i < shards->access.n_files; i++) {
        if (shards->access.last[i] != extent || shards->state[i] != FT_SHARD_OPEN) continue;
        char *path = ft_shard_path(shards, i, "");
        close_file(shards, i);
        if (path != NULL) unlink(path);
        ft_free(path);
    }
}
