// A first-in first-out queue of request pointers with a fixed capacity: an engine of depth n never holds more than n.
#ifndef FT_IO_REQUEST_QUEUE_H
#define FT_IO_REQUEST_QUEUE_H

#include "common/memory.h"
#include "io/engine.h"

typedef struct {
    ft_io_request **items;
    int capacity, first, count;
} ft_request_queue;

static inline ft_status ft_request_queue_init(ft_request_queue *queue, int capacity)
{
    *queue = (ft_request_queue){.items = FT_NEW_ARRAY(ft_io_request *, capacity), .capacity = capacity};
    return queue->items == NULL ? FT_E_NOMEM : FT_OK;
}

static inline void ft_request_queue_free(ft_request_queue *queue)
{
    ft_free(queue->items);
}

static inline void ft_request_queue_push(ft_request_queue *queue, ft_io_request *request)
{
    FT_ASSERT(queue->count < queue->capacity, "more than %d requests in flight", queue->capacity);
    queue->items[(queue->first + queue->count++) % queue->capacity] = request;
}

static inline ft_io_request *ft_request_queue_pop(ft_request_queue *queue)
{
    FT_ASSERT(queue->count > 0);
    ft_io_request *request = queue->items[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    return request;
}

// Moves up to max requests into `out`, oldest first; returns their number.
static inline int ft_request_queue_drain(ft_request_queue *queue, ft_io_request **out, int max)
{
    int n = 0;
    while (n < max && queue->count > 0) out[n++] = ft_request_queue_pop(queue);
    return n;
}

#endif
