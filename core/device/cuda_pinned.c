// Host regions known to the CUDA runtime. One copy must not span two of them, even where they lie side by side: pools register
// their memory slab by slab, and a snapshot of a large adapter is longer than a slab has left.
#include <pthread.h>

#include "common/memory.h"
#include "device/cuda_internal.h"

typedef struct {
    uintptr_t begin, end;
} region;

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static region *regions;
static int64_t n_regions, capacity;

static ft_status grow(void)
{
    if (n_regions < capacity) return FT_OK;
    int64_t more = capacity ? 2 * capacity : 64;
    region *larger = ft_realloc(regions, (size_t)more * sizeof *larger);
    FT_ALLOC_CHECK(larger);
    regions = larger;
    capacity = more;
    return FT_OK;
}

ft_status ft_cuda_pinned_add(const void *pointer, int64_t bytes)
{
    pthread_rwlock_wrlock(&lock);
    ft_status status = grow();
    if (status == FT_OK) regions[n_regions++] = (region){(uintptr_t)pointer, (uintptr_t)pointer + (uintptr_t)bytes};
    pthread_rwlock_unlock(&lock);
    return status;
}

void ft_cuda_pinned_remove(const void *pointer)
{
    pthread_rwlock_wrlock(&lock);
    for (int64_t i = 0; i < n_regions; i++) {
        if (regions[i].begin != (uintptr_t)pointer) continue;
        regions[i] = regions[--n_regions];
        break;
    }
    if (n_regions == 0) {
        ft_free(regions);
        regions = NULL;
        capacity = 0;
    }
    pthread_rwlock_unlock(&lock);
}

int64_t ft_cuda_pinned_run(const void *pointer, int64_t bytes)
{
    uintptr_t at = (uintptr_t)pointer;
    int64_t run = bytes;
    pthread_rwlock_rdlock(&lock);
    for (int64_t i = 0; i < n_regions; i++)
        if (at >= regions[i].begin && at < regions[i].end && (int64_t)(regions[i].end - at) < run) run = (int64_t)(regions[i].end - at);
    pthread_rwlock_unlock(&lock);
    return run;
}
