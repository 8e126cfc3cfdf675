// What store_shards.c and store_fetch.c share. The main thread makes extents, the fetcher fetches the next file meanwhile.
#ifndef FT_OFFLOAD_STORE_SHARDS_H
#define FT_OFFLOAD_STORE_SHARDS_H

#include <pthread.h>

#include "offload/store_hub.h"

typedef enum { FT_SHARD_AWAY, FT_SHARD_HERE, FT_SHARD_OPEN, FT_SHARD_DONE } ft_shard_state;

struct ft_shards {
    ft_store_source *source;
    const char *directory;
    ft_store_access access;
    int *outline;                // descriptors of the outline while files are OPEN
    const volatile int *cancel;  // of the build
    // The fetcher's: AWAY -> HERE is its work, all else the main thread's.
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex;       // of what follows
    pthread_cond_t changed;
    ft_shard_state *state;       // by file
    int position;                // the extent that is made or waited for
    int fetching;                // the file on its way, -1 = none
    volatile int stop;           // also the cancel of the hub's calls
    ft_status status;            // of fetching
    char message[FT_ERROR_MESSAGE_BYTES];
    int64_t shown;               // bytes fetched as ft_shards_fetched said last: it never goes back
};

char *ft_shard_path(const ft_shards *shards, int file, const char *suffix);  // heap

ft_status ft_fetcher_start(ft_shards *shards);
void ft_fetcher_stop(ft_shards *shards);  // waits for its end
// Until the files that `extent` needs are HERE or OPEN.
ft_status ft_fetcher_wait(ft_shards *shards, int extent, ft_progress *progress);

#endif
