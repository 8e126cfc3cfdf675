#include "offload/pool.h"

#include <errno.h>
#include <linux/mman.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/text.h"
#include "common/threads.h"
#include "device/host_memory.h"

#define PAGE ((int64_t)4096)
#define HUGE_PAGE ((int64_t)2 << 20)

struct ft_pool {
    ft_device *device;
    char *base;
    int64_t bytes, used;
    int64_t slabs;
    uint8_t *registered;        // [slabs] known to the device
    int node;                   // NUMA node it is bound to, -1 = none
    bool reserved;              // on pages of the huge page pool (MAP_HUGETLB)
};

#define HUGETLB_FROM ((int64_t)64 << 20)  // less is not worth pages that others may have reserved
#define TOLD_FROM ((int64_t)1 << 30)

static int64_t round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static int64_t slab_bytes(const ft_pool *pool, int64_t slab)
{
    int64_t rest = pool->bytes - slab * FT_POOL_SLAB;
    return rest < FT_POOL_SLAB ? rest : FT_POOL_SLAB;
}

// Touching more than there is would end the process without a word, so the machine is asked first.
static ft_status check_available(int64_t bytes)
{
    ft_host_memory memory;
    FT_TRY(ft_host_memory_read(&memory, ""));
    if (bytes <= memory.available) return FT_OK;
    char asked[FT_HUMAN_BYTES], has[FT_HUMAN_BYTES];
    return ft_error(FT_E_INPUT, "host memory: %s asked, %s available, short by %lld bytes; lower --host-budget",
                    ft_human_bytes(asked, (double)bytes), ft_human_bytes(has, (double)memory.available),
                    (long long)(bytes - memory.available));
}

// Pages that the administrator reserved (vm.nr_hugepages), where there are enough of them: mmap refuses otherwise.
static bool reserve_huge(ft_pool *pool)
{
    if (pool->bytes < HUGETLB_FROM) return false;
    void *range = mmap(NULL, (size_t)pool->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
    if (range == MAP_FAILED) return false;
    pool->base = range;
    pool->reserved = true;
    return true;
}

// Reserves with one huge page more than asked and gives the ends back, so that the pool starts on a huge page.
static ft_status reserve(ft_pool *pool)
{
    int64_t asked = pool->bytes + HUGE_PAGE;
    if (reserve_huge(pool)) return FT_OK;  // pages that the machine does not count as available
    FT_TRY(check_available(pool->bytes));
    char *range = mmap(NULL, (size_t)asked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return ft_error_errno(FT_E_NOMEM, errno, "host memory: %lld bytes cannot be mapped", (long long)asked);
    pool->base = range + (round_up((int64_t)(uintptr_t)range, HUGE_PAGE) - (int64_t)(uintptr_t)range);
    if (pool->base > range) munmap(range, (size_t)(pool->base - range));
    char *end = pool->base + pool->bytes;
    if (end < range + asked) munmap(end, (size_t)(range + asked - end));
    return FT_OK;
}

static void advise(const ft_pool *pool, int advice, const char *name)
{
    if (madvise(pool->base, (size_t)pool->bytes, advice) != 0)
        ft_log_once(FT_LOG_WARNING, name, "host memory: %s is refused here (%s)", name, strerror(errno));
}

// Before the first touch: pages are placed when they are touched. Reserved pages were promised of any node: where this one has too
// few, a binding would end the process at the touch, so they are only asked for there.
static void bind(ft_pool *pool, int node)
{
    pool->node = -1;
    if (node < 0) return;
    const char *why = NULL;
    if (numa_available() < 0) why = "this kernel has no NUMA policies";
    else if (node > numa_max_node()) why = "there is no such node";
    if (why == NULL) {
        struct bitmask *nodes = numa_allocate_nodemask();
        numa_bitmask_setbit(nodes, (unsigned)node);
        int policy = pool->reserved ? MPOL_PREFERRED : MPOL_BIND;
        if (mbind(pool->base, (size_t)pool->bytes, policy, nodes->maskp, nodes->size + 1, 0) != 0) why = strerror(errno);
        numa_free_nodemask(nodes);
    }
    if (why == NULL) pool->node = node;
    else ft_log_once(FT_LOG_WARNING, "pool-bind", "host memory is not bound to NUMA node %d: %s", node, why);
}

static void touch_range(void *context, int64_t begin, int64_t end)
{
    char *base = context;
    for (int64_t page = begin; page < end; page++) *(volatile char *)(base + page * PAGE) = 0;
}

typedef struct {
    ft_pool *pool;
    pthread_mutex_t lock;
    ft_status status;
    char message[FT_ERROR_MESSAGE_BYTES];
} registration;

// Errors are told per thread: the first one is carried to the caller's.
static void register_range(void *context, int64_t begin, int64_t end)
{
    registration *r = context;
    ft_pool *pool = r->pool;
    for (int64_t i = begin; i < end; i++) {
        ft_status status = ft_device_register_host(pool->device, pool->base + i * FT_POOL_SLAB, slab_bytes(pool, i));
        pthread_mutex_lock(&r->lock);
        pool->registered[i] = status == FT_OK;
        if (status != FT_OK && r->status == FT_OK) {
            r->status = status;
            snprintf(r->message, sizeof r->message, "%s", ft_error_message());
        }
        pthread_mutex_unlock(&r->lock);
    }
}

static ft_status register_slabs(ft_pool *pool)
{
    registration r = {.pool = pool, .lock = PTHREAD_MUTEX_INITIALIZER};
    FT_ALLOC_CHECK(pool->registered = FT_NEW_ARRAY(uint8_t, pool->slabs));
    ft_parallel_for(pool->slabs, 1, register_range, &r);
    if (r.status == FT_OK) return FT_OK;
    return ft_error(r.status, "%.900s; lower --host-budget, or raise the limit of locked memory (ulimit -l unlimited; LimitMEMLOCK=infinity; "
                    "in a container --ulimit memlock=-1)", r.message);
}

// What the pages became: the kernel gives huge ones where it can.
static void describe(const ft_pool *pool, double seconds)
{
    char size[FT_HUMAN_BYTES], pages[64] = "reserved 2 MiB pages", node[48] = "";
    if (pool->bytes < TOLD_FROM) return;
    if (!pool->reserved) {
        int64_t huge = ft_host_huge_bytes(pool->base, pool->bytes);
        if (huge < 0) snprintf(pages, sizeof pages, "pages of unknown size");
        else snprintf(pages, sizeof pages, "%.0f %% on transparent 2 MiB pages", 100.0 * (double)huge / (double)pool->bytes);
    }
    if (pool->node >= 0) snprintf(node, sizeof node, ", NUMA node %d%s", pool->node, pool->reserved ? " as far as it goes" : "");
    ft_info("host memory: %s in %lld pieces, %s%s, ready in %.1f s", ft_human_bytes(size, (double)pool->bytes), (long long)pool->slabs, pages, node,
            seconds);
}

ft_status ft_pool_create(ft_pool **created, ft_device *device, int64_t bytes, int numa_node)
{
    FT_ASSERT(bytes >= 0, "%lld bytes", (long long)bytes);
    *created = NULL;
    double start = ft_now_s();
    int64_t rounded = round_up(bytes > 0 ? bytes : 1, HUGE_PAGE);
    ft_pool *pool = FT_NEW(ft_pool);
    FT_ALLOC_CHECK(pool);
    *pool = (ft_pool){.device = device, .bytes = rounded, .slabs = (rounded + FT_POOL_SLAB - 1) / FT_POOL_SLAB};
    ft_status status;
    FT_TRY_GOTO(status, fail, reserve(pool));
    if (!pool->reserved) advise(pool, MADV_HUGEPAGE, "MADV_HUGEPAGE");
    advise(pool, MADV_DONTDUMP, "MADV_DONTDUMP");
    bind(pool, numa_node);
    ft_parallel_for(pool->bytes / PAGE, HUGE_PAGE / PAGE, touch_range, pool->base);
    advise(pool, MADV_DONTFORK, "MADV_DONTFORK");
    FT_TRY_GOTO(status, fail, register_slabs(pool));
    describe(pool, ft_now_s() - start);
    *created = pool;
    return FT_OK;
fail:
    ft_pool_destroy(pool);
    return status;
}

void ft_pool_destroy(ft_pool *pool)
{
    if (pool == NULL) return;
    for (int64_t i = 0; pool->registered != NULL && i < pool->slabs; i++)
        if (pool->registered[i]) ft_device_unregister_host(pool->device, pool->base + i * FT_POOL_SLAB);
    ft_free(pool->registered);
    if (pool->base != NULL) munmap(pool->base, (size_t)pool->bytes);
    ft_free(pool);
}

void *ft_pool_take(ft_pool *pool, int64_t bytes)
{
    int64_t rounded = round_up(bytes, PAGE);
    FT_ASSERT(bytes >= 0 && rounded <= pool->bytes - pool->used, "host pool: %lld bytes asked, %lld of %lld used",
              (long long)bytes, (long long)pool->used, (long long)pool->bytes);
    char *piece = pool->base + pool->used;
    pool->used += rounded;
    return piece;
}

int64_t ft_pool_run(const ft_pool *pool, const void *address, int64_t bytes)
{
    uintptr_t offset = (uintptr_t)address - (uintptr_t)pool->base;  // wraps to a large number below the pool
    if (offset >= (uintptr_t)pool->bytes) return bytes;
    int64_t rest = FT_POOL_SLAB - (int64_t)offset % FT_POOL_SLAB;
    return bytes < rest ? bytes : rest;
}

ft_status ft_pool_register(ft_pool *pool, ft_drive *drive)
{
    struct iovec *slabs = FT_NEW_ARRAY(struct iovec, pool->slabs);
    FT_ALLOC_CHECK(slabs);
    for (int64_t i = 0; i < pool->slabs; i++)
        slabs[i] = (struct iovec){.iov_base = pool->base + i * FT_POOL_SLAB, .iov_len = (size_t)slab_bytes(pool, i)};
    ft_status status = ft_drive_register(drive, slabs, (int)pool->slabs);
    ft_free(slabs);
    return status;
}

int64_t ft_pool_bytes(const ft_pool *pool)
{
    return pool->bytes;
}

int64_t ft_pool_used(const ft_pool *pool)
{
    return pool->used;
}
