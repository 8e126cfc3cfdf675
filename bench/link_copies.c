#include "bench/link_copies.h"

#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/threads.h"
#include "offload/pool.h"

#define BYTES FT_LINK_COPY_BYTES
#define GRAIN ((int64_t)2 << 20)
enum { PASSES_CUDA = 8 };

struct ft_link_copies {
    ft_device *device;
    ft_pool *pool;
    char *host[2], *memory[2];  // in, out
    ft_queue *queue[2];
    int passes;
};

// ---- samples

static ft_status issue(const ft_link_copy *copy, int way)
{
    ft_link_copies *c = copy->copies;
    int64_t piece = copy->piece > 0 ? copy->piece : BYTES;
    if (!(copy->directions & 1u << way)) return FT_OK;
    for (int64_t at = 0, n; at < BYTES; at += n) {
        n = BYTES - at < piece ? BYTES - at : piece;
        if (way == 0) FT_TRY(ft_copy_h2d(c->queue[0], c->memory[0] + at, c->host[0] + at, n));
        else FT_TRY(ft_copy_d2h(c->queue[1], c->host[1] + at, c->memory[1] + at, n));
    }
    return FT_OK;
}

ft_status ft_link_copy_run(void *context, double *rate)
{
    const ft_link_copy *copy = context;
    ft_link_copies *c = copy->copies;
    int ways = copy->directions == FT_LINK_BOTH ? 2 : 1;
    double start = ft_now_s();
    for (int pass = 0; pass < c->passes; pass++)
        for (int way = 0; way < 2; way++) FT_TRY(issue(copy, way));
    for (int way = 0; way < 2; way++) FT_TRY(ft_queue_sync(c->queue[way]));
    *rate = (double)ways * (double)c->passes * (double)BYTES / (ft_now_s() - start);
    return FT_OK;
}

ft_status ft_link_copy_memcpy(void *context, double *rate)
{
    ft_link_copies *c = context;
    double start = ft_now_s();
    memcpy(c->memory[0], c->host[0], (size_t)BYTES);
    *rate = (double)BYTES / (ft_now_s() - start);
    return FT_OK;
}

static void copy_range(void *context, int64_t begin, int64_t end)
{
    ft_link_copies *c = context;
    memcpy(c->host[1] + begin * GRAIN, c->host[0] + begin * GRAIN, (size_t)((end - begin) * GRAIN));
}

ft_status ft_link_copy_host(void *context, double *rate)
{
    double start = ft_now_s();
    ft_parallel_for(BYTES / GRAIN, 1, copy_range, context);
    *rate = 2 * (double)BYTES / (ft_now_s() - start);
    return FT_OK;
}

// ---- open and close

static void fill_range(void *context, int64_t begin, int64_t end)
{
    uint32_t *words = context;
    for (int64_t i = begin * GRAIN / 4; i < end * GRAIN / 4; i++) words[i] = (uint32_t)i * 2654435761u;
}

static ft_status set_up(ft_link_copies *c)
{
    FT_TRY(ft_pool_create(&c->pool, c->device, 2 * BYTES, -1));
    for (int way = 0; way < 2; way++) {
        void *memory;
        c->host[way] = ft_pool_take(c->pool, BYTES);
        ft_parallel_for(BYTES / GRAIN, 1, fill_range, c->host[way]);
        FT_TRY(ft_device_alloc(c->device, BYTES, &memory));
        c->memory[way] = memory;
        FT_TRY(ft_queue_create(c->device, FT_QUEUE_COPY, way == 0 ? "h2d" : "d2h", &c->queue[way]));
    }
    FT_TRY(ft_copy_h2d(c->queue[1], c->memory[1], c->host[1], BYTES));
    return ft_queue_sync(c->queue[1]);
}

ft_status ft_link_copies_open(ft_link_copies **copies, ft_device *device)
{
    ft_link_copies *c = FT_NEW(ft_link_copies);
    FT_ALLOC_CHECK(c);
    *c = (ft_link_copies){.device = device, .passes = ft_device_get_info(device)->kind == FT_DEVICE_CPU ? 1 : PASSES_CUDA};
    ft_status status = set_up(c);
    if (status == FT_OK) *copies = c;
    else ft_link_copies_close(c);
    return status;
}

void ft_link_copies_close(ft_link_copies *c)
{
    if (c == NULL) return;
    for (int way = 0; way < 2; way++) {
        if (c->queue[way]) ft_queue_destroy(c->queue[way]);
        if (c->memory[way]) ft_device_free(c->device, c->memory[way]);
    }
    ft_pool_destroy(c->pool);
    ft_free(c);
}
