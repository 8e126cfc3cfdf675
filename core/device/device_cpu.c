// The CPU as a device: its memory is host memory, its compute queues run inline, its copy queues are threads (queue_cpu.c).
#include "device/device_cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/text.h"
#include "common/threads.h"
#include "device/host_memory.h"

// What the last record covers, and when that was done; queue NULL = never recorded. A stamp under way in a queue holds the event.
typedef struct {
    ft_event base;
    pthread_mutex_t lock;
    int holders;
    ft_queue *queue;
    uint64_t position, number;  // number of records so far: an older one's stamp comes too late
    double recorded;
} cpu_event;

static void read_cpu_name(char *name, size_t bytes)
{
    snprintf(name, bytes, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL) return;
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        const char *value = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (value == NULL) continue;
        value += 1 + strspn(value + 1, " \t");
        snprintf(name, bytes, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    fclose(file);
}

static ft_status cpu_open(ft_device **opened, int ordinal)
{
    ft_host_memory memory;
    FT_TRY(ft_host_memory_read(&memory, ""));
    ft_device *device = FT_NEW(ft_device);
    FT_ALLOC_CHECK(device);
    device->row = &ft_device_cpu;
    device->info = (ft_device_info){
        .kind = FT_DEVICE_CPU,
        .ordinal = ordinal,
        .sm_count = ft_threads_count(),
        .memory_bytes = memory.total,
        .memory_free = memory.available,
        .numa_node = -1,
        .async_copies = true,
    };
    read_cpu_name(device->info.name, sizeof device->info.name);
    *opened = device;
    return FT_OK;
}

static void cpu_close(ft_device *device)
{
    ft_free(device);
}

// Fewer TLB misses where the system takes the advice.
static void advise_huge_pages(uintptr_t begin, uintptr_t end)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (end > begin) madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

// The block from the heap is kept in the word before the aligned memory. Writing the zeroes here and not leaving them to page
// faults finds missing memory before step 0.
static ft_status cpu_alloc(ft_device *device, int64_t bytes, void **pointer)
{
    if (bytes > device->info.memory_bytes) {
        char asked[FT_HUMAN_BYTES], has[FT_HUMAN_BYTES];
        return ft_error(FT_E_NOMEM, "device cpu: %s asked, this process may use %s; lower --hbm-budget",
                        ft_human_bytes(asked, (double)bytes), ft_human_bytes(has, (double)device->info.memory_bytes));
    }
    char *block = ft_malloc((size_t)bytes + 2 * FT_ARENA_ALIGN);
    FT_ALLOC_CHECK(block);
    char *aligned = block + (2 * FT_ARENA_ALIGN - (uintptr_t)block % FT_ARENA_ALIGN);
    memcpy(aligned - sizeof block, &block, sizeof block);
    advise_huge_pages((uintptr_t)aligned, (uintptr_t)aligned + (uintptr_t)bytes);
    memset(aligned, 0, (size_t)bytes);
    *pointer = aligned;
    return FT_OK;
}

static void cpu_free(ft_device *device, void *pointer)
{
    void *block;
    memcpy(&block, (char *)pointer - sizeof block, sizeof block);
    ft_free(block);
}

static ft_status cpu_memory_used(ft_device *device, int64_t *bytes)
{
    *bytes = 0;
    return FT_OK;
}

// All host memory is equally near to the CPU.
static ft_status cpu_register_host(ft_device *device, void *pointer, int64_t bytes)
{
    return FT_OK;
}

static void cpu_unregister_host(ft_device *device, void *pointer)
{
}

static ft_status cpu_queue_sync(ft_queue *queue)
{
    ft_cpu_queue_wait(queue, ft_cpu_queue_position(queue));
    return FT_OK;
}

static ft_status cpu_event_create(ft_device *device, ft_event **created)
{
    cpu_event *event = FT_NEW(cpu_event);
    FT_ALLOC_CHECK(event);
    event->base.device = device;
    event->holders = 1;
    pthread_mutex_init(&event->lock, NULL);
    *created = &event->base;
    return FT_OK;
}

static void cpu_event_destroy(ft_event *base)
{
    cpu_event *event = (cpu_event *)base;
    pthread_mutex_lock(&event->lock);
    bool last = --event->holders == 0;
    pthread_mutex_unlock(&event->lock);
    if (!last) return;
    pthread_mutex_destroy(&event->lock);
    ft_free(event);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void ft_cpu_event_stamp(ft_event *base, uint64_t number)
{
    cpu_event *event = (cpu_event *)base;
    pthread_mutex_lock(&event->lock);
    if (event->number == number) event->recorded = now();
    pthread_mutex_unlock(&event->lock);
    cpu_event_destroy(base);
}

static ft_status cpu_event_record(ft_event *base, ft_queue *queue)
{
    cpu_event *event = (cpu_event *)base;
    pthread_mutex_lock(&event->lock);
    uint64_t number = ++event->number;
    event->holders++;
    pthread_mutex_unlock(&event->lock);
    ft_cpu_queue_stamp(queue, base, number);
    pthread_mutex_lock(&event->lock);
    event->queue = queue;
    event->position = ft_cpu_queue_position(queue);
    pthread_mutex_unlock(&event->lock);
    return FT_OK;
}

// The recorded queue (NULL if none) and position, as one reading.
static ft_queue *covered(ft_event *base, uint64_t *position)
{
    cpu_event *event = (cpu_event *)base;
    pthread_mutex_lock(&event->lock);
    ft_queue *queue = event->queue;
    *position = event->position;
    pthread_mutex_unlock(&event->lock);
    return queue;
}

static ft_status cpu_event_wait(ft_event *event, ft_queue *queue)
{
    uint64_t position;
    ft_queue *recorded = covered(event, &position);
    if (recorded != NULL) ft_cpu_queue_wait_for(queue, recorded, position);
    return FT_OK;
}

static ft_status cpu_event_sync(ft_event *event)
{
    uint64_t position;
    ft_queue *recorded = covered(event, &position);
    if (recorded != NULL) ft_cpu_queue_wait(recorded, position);
    return FT_OK;
}

static ft_status cpu_event_query(ft_event *event, bool *done)
{
    uint64_t position;
    ft_queue *recorded = covered(event, &position);
    *done = recorded == NULL || ft_cpu_queue_passed(recorded, position);
    return FT_OK;
}

static ft_status recorded_at(ft_event *base, double *seconds)
{
    cpu_event *event = (cpu_event *)base;
    bool passed;
    FT_TRY(cpu_event_query(base, &passed));
    pthread_mutex_lock(&event->lock);
    bool any = event->queue != NULL;
    *seconds = event->recorded;
    pthread_mutex_unlock(&event->lock);
    return any && passed ? FT_OK : ft_error(FT_E_INTERNAL, "device cpu: an event that was not recorded, or has not passed, has no time");
}

static ft_status cpu_event_elapsed(ft_event *begin, ft_event *end, double *seconds)
{
    double from, to;
    FT_TRY(recorded_at(begin, &from));
    FT_TRY(recorded_at(end, &to));
    *seconds = to - from;
    return FT_OK;
}

static ft_status no_graphs(void)
{
    return ft_error(FT_E_UNSUPPORTED, "device cpu: no graphs; its compute queues run every call at once");
}

static ft_status cpu_graph_begin(ft_queue *queue)
{
    return no_graphs();
}

static ft_status cpu_graph_end(ft_queue *queue, ft_graph **graph)
{
    return no_graphs();
}

static ft_status cpu_graph_launch(ft_graph *graph, ft_queue *queue)
{
    return no_graphs();
}

static void cpu_graph_destroy(ft_graph *graph)
{
}

const ft_device_row ft_device_cpu = {
    .kind = FT_DEVICE_CPU,
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .memory_used = cpu_memory_used,
    .register_host = cpu_register_host,
    .unregister_host = cpu_unregister_host,
    .queue_create = ft_cpu_queue_create,
    .queue_destroy = ft_cpu_queue_destroy,
    .queue_sync = cpu_queue_sync,
    .copy = ft_cpu_queue_copy,
    .fill = ft_cpu_queue_fill,
    .event_create = cpu_event_create,
    .event_destroy = cpu_event_destroy,
    .event_record = cpu_event_record,
    .event_wait = cpu_event_wait,
    .event_sync = cpu_event_sync,
    .event_query = cpu_event_query,
    .event_elapsed = cpu_event_elapsed,
    .graph_begin = cpu_graph_begin,
    .graph_end = cpu_graph_end,
    .graph_launch = cpu_graph_launch,
    .graph_destroy = cpu_graph_destroy,
};
