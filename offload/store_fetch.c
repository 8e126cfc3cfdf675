// The thread that fetches weight files in the order of their first need, one need ahead of the main thread.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "offload/store_shards.h"

#define POLL_NS 100000000  // how often who waits looks at the cancel flag and shows progress

char *ft_shard_path(const ft_shards *shards, int file, const char *suffix)
{
    return ft_format("%s/%s%s", shards->directory, ft_path_base(shards->source->files.files[file].path), suffix);
}

static ft_status fetch(ft_shards *shards, int i)
{
    const ft_hub_listing *listing = shards->source->listing;
    const ft_hub_file *file = ft_hub_listing_find(listing, ft_path_base(shards->source->files.files[i].path));
    ft_hub_options options = {.quiet = true};
    char *path = ft_shard_path(shards, i, "");
    FT_ALLOC_CHECK(path);
    ft_status status = ft_store_hub.fetch(listing, file, path, &options, &shards->stop);
    ft_free(path);
    return status;
}

// Waits for the turn of the k-th file: when the one before it is needed, it is next. False = there is no more to do.
static bool begin(ft_shards *shards, int k, bool *here)
{
    const ft_store_access *access = &shards->access;
    pthread_mutex_lock(&shards->mutex);
    while (!shards->stop && k > 0 && access->first[access->order[k - 1]] > shards->position)
        pthread_cond_wait(&shards->changed, &shards->mutex);
    bool go = !shards->stop;
    *here = shards->state[access->order[k]] != FT_SHARD_AWAY;
    if (go && !*here) shards->fetching = access->order[k];
    pthread_mutex_unlock(&shards->mutex);
    return go;
}

static void end(ft_shards *shards, int i, ft_status status)
{
    pthread_mutex_lock(&shards->mutex);
    if (status == FT_OK) shards->state[i] = FT_SHARD_HERE;
    else snprintf(shards->message, sizeof shards->message, "%s", ft_error_message());
    shards->status = status;
    shards->fetching = -1;
    pthread_cond_broadcast(&shards->changed);
    pthread_mutex_unlock(&shards->mutex);
}

static void *run(void *context)
{
    ft_shards *shards = context;
    bool here;
    for (int k = 0; k < shards->access.n_needed && begin(shards, k, &here); k++) {
        if (here) continue;
        int i = shards->access.order[k];
        ft_status status = fetch(shards, i);
        end(shards, i, status);
        if (status != FT_OK) break;
    }
    return NULL;
}

ft_status ft_fetcher_start(ft_shards *shards)
{
    int failed = pthread_create(&shards->thread, NULL, run, shards);
    if (failed) return ft_error_errno(FT_E_IO, failed, "a thread that fetches cannot be started");
    shards->running = true;
    return FT_OK;
}

void ft_fetcher_stop(ft_shards *shards)
{
    if (!shards->running) return;
    pthread_mutex_lock(&shards->mutex);
    __atomic_store_n(&shards->stop, 1, __ATOMIC_RELAXED);  // the hub's calls read it without the mutex
    pthread_cond_broadcast(&shards->changed);
    pthread_mutex_unlock(&shards->mutex);
    pthread_join(shards->thread, NULL);
    shards->running = false;
}

static bool all_here(const ft_shards *shards, int extent)
{
    const ft_store_access *access = &shards->access;
    for (int i = 0; i < access->n_files; i++)
        if (access->first[i] <= extent && extent <= access->last[i] && shards->state[i] == FT_SHARD_AWAY) return false;
    return true;
}

// With the mutex held; it is released while the progress is shown.
static void wait_a_little(ft_shards *shards, ft_progress *progress)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&shards->changed, &shards->mutex, &until);
    if (progress == NULL) return;
    pthread_mutex_unlock(&shards->mutex);
    ft_progress_update(progress, (double)ft_shards_fetched(shards));
    pthread_mutex_lock(&shards->mutex);
}

ft_status ft_fetcher_wait(ft_shards *shards, int extent, ft_progress *progress)
{
    pthread_mutex_lock(&shards->mutex);
    shards->position = extent;
    pthread_cond_broadcast(&shards->changed);
    bool stopped = false, here;
    while (!(here = all_here(shards, extent)) && shards->status == FT_OK && !stopped) {
        wait_a_little(shards, progress);
        stopped = shards->cancel != NULL && *shards->cancel;
    }
    ft_status status = here ? FT_OK : stopped ? FT_E_STOPPED : shards->status;
    if (status != FT_OK && !stopped) ft_error_adopt(status, shards->message);
    pthread_mutex_unlock(&shards->mutex);
    return status;
}

// Of the file on its way, what its part has on disk: it may have holes.
static int64_t bytes_on_their_way(const ft_shards *shards, int file)
{
    struct stat info;
    char *part = file >= 0 ? ft_shard_path(shards, file, ".part") : NULL;
    int64_t bytes = 0;
    if (part != NULL && stat(part, &info) == 0) bytes = info.st_size < info.st_blocks * 512 ? info.st_size : info.st_blocks * 512;
    ft_free(part);
    return bytes;
}

int64_t ft_shards_fetched(ft_shards *shards)
{
    int64_t bytes = ft_shards_bytes(shards->source);
    pthread_mutex_lock(&shards->mutex);
    for (int k = 0; k < shards->access.n_needed; k++) {
        int i = shards->access.order[k];
        if (shards->state[i] == FT_SHARD_AWAY) bytes -= shards->source->files.files[i].file_bytes;
    }
    int fetching = shards->fetching;
    pthread_mutex_unlock(&shards->mutex);
    bytes += bytes_on_their_way(shards, fetching);
    if (bytes > shards->shown) shards->shown = bytes;
    return shards->shown;
}

int64_t ft_shards_bytes(const ft_store_source *source)
{
    int64_t bytes = 0;
    for (int i = 0; i < source->files.n_files; i++) bytes += source->files.files[i].file_bytes;
    return bytes;
}
