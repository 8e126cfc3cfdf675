// Dispatch: every call goes to the row of its device.
#include "device/device.h"

#include <string.h>

#include "common/memory.h"
#include "device/device_cpu.h"
#include "device/device_cuda.h"

const ft_device_row *const ft_device_rows[] = {
    &ft_device_cpu,
#ifdef FT_HAVE_CUDA
    &ft_device_cuda,
#endif
    NULL,
};

static const ft_device_row *find_row(const char *name)
{
    for (const ft_device_row *const *row = ft_device_rows; *row != NULL; row++) {
        if (strcmp((*row)->name, name) == 0) return *row;
    }
    return NULL;
}

// The first accelerator that opens, else the CPU. A device that this machine lacks is passed over; any other failure is told.
static ft_status open_best(ft_device **device, int ordinal)
{
    for (const ft_device_row *const *row = ft_device_rows; *row != NULL; row++) {
        if ((*row)->kind == FT_DEVICE_CPU) continue;
        ft_status status = (*row)->open(device, ordinal);
        if (status != FT_E_UNSUPPORTED) return status;
    }
    return ft_device_cpu.open(device, ordinal);
}

ft_status ft_device_open(ft_device **device, const char *kind, int ordinal)
{
    *device = NULL;
    if (strcmp(kind, "auto") == 0) return open_best(device, ordinal);
    const ft_device_row *row = find_row(kind);
    if (row != NULL) return row->open(device, ordinal);
    if (strcmp(kind, "cuda") == 0) {
        return ft_error(FT_E_UNSUPPORTED, "device cuda: this build has none (configure with -DFT_CUDA=ON); use --device cpu");
    }
    return ft_error(FT_E_USAGE, "device '%s' is unknown: use auto, cuda or cpu", kind);
}

void ft_device_close(ft_device *device)
{
    if (device != NULL) device->row->close(device);
}

const ft_device_info *ft_device_get_info(const ft_device *device)
{
    return &device->info;
}

ft_status ft_device_alloc(ft_device *device, int64_t bytes, void **pointer)
{
    FT_ASSERT(bytes >= 0, "%lld bytes", (long long)bytes);
    *pointer = NULL;
    return device->row->alloc(device, bytes, pointer);
}

void ft_device_free(ft_device *device, void *pointer)
{
    if (pointer != NULL) device->row->free(device, pointer);
}

ft_status ft_device_memory_used(ft_device *device, int64_t *bytes)
{
    *bytes = 0;
    return device->row->memory_used(device, bytes);
}

ft_status ft_device_register_host(ft_device *device, void *pointer, int64_t bytes)
{
    return device->row->register_host(device, pointer, bytes);
}

void ft_device_unregister_host(ft_device *device, void *pointer)
{
    device->row->unregister_host(device, pointer);
}

ft_status ft_queue_create(ft_device *device, ft_queue_kind kind, const char *name, ft_queue **queue)
{
    *queue = NULL;
    return device->row->queue_create(device, kind, name, queue);
}

void ft_queue_destroy(ft_queue *queue)
{
    if (queue != NULL) queue->device->row->queue_destroy(queue);
}

ft_status ft_queue_sync(ft_queue *queue)
{
    return queue->device->row->queue_sync(queue);
}

ft_device *ft_queue_device(const ft_queue *queue)
{
    return queue->device;
}

static ft_status copy(ft_queue *queue, void *dst, const void *src, int64_t bytes, ft_copy_direction direction)
{
    FT_ASSERT(bytes >= 0, "%lld bytes", (long long)bytes);
    if (bytes == 0) return FT_OK;
    return queue->device->row->copy(queue, dst, src, bytes, direction);
}

ft_status ft_copy_h2d(ft_queue *queue, void *device_dst, const void *host_src, int64_t bytes)
{
    return copy(queue, device_dst, host_src, bytes, FT_COPY_H2D);
}

ft_status ft_copy_d2h(ft_queue *queue, void *host_dst, const void *device_src, int64_t bytes)
{
    return copy(queue, host_dst, device_src, bytes, FT_COPY_D2H);
}

ft_status ft_copy_d2d(ft_queue *queue, void *dst, const void *src, int64_t bytes)
{
    return copy(queue, dst, src, bytes, FT_COPY_D2D);
}

ft_status ft_fill(ft_queue *queue, void *device_dst, int byte, int64_t bytes)
{
    FT_ASSERT(bytes >= 0, "%lld bytes", (long long)bytes);
    if (bytes == 0) return FT_OK;
    return queue->device->row->fill(queue, device_dst, byte, bytes);
}

ft_status ft_event_create(ft_device *device, ft_event **event)
{
    *event = NULL;
    return device->row->event_create(device, event);
}

void ft_event_destroy(ft_event *event)
{
    if (event != NULL) event->device->row->event_destroy(event);
}

ft_status ft_event_record(ft_event *event, ft_queue *queue)
{
    return event->device->row->event_record(event, queue);
}

ft_status ft_event_wait(ft_event *event, ft_queue *queue)
{
    return event->device->row->event_wait(event, queue);
}

ft_status ft_event_sync(ft_event *event)
{
    return event->device->row->event_sync(event);
}

ft_status ft_event_query(ft_event *event, bool *done)
{
    return event->device->row->event_query(event, done);
}

ft_status ft_event_elapsed(ft_event *begin, ft_event *end, double *seconds)
{
    return begin->device->row->event_elapsed(begin, end, seconds);
}

ft_status ft_graph_begin(ft_queue *queue)
{
    return queue->device->row->graph_begin(queue);
}

ft_status ft_graph_end(ft_queue *queue, ft_graph **graph)
{
    *graph = NULL;
    return queue->device->row->graph_end(queue, graph);
}

ft_status ft_graph_launch(ft_graph *graph, ft_queue *queue)
{
    return graph->device->row->graph_launch(graph, queue);
}

void ft_graph_destroy(ft_graph *graph)
{
    if (graph != NULL) graph->device->row->graph_destroy(graph);
}
