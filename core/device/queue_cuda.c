// Queues of the CUDA device are streams that do not wait for the default one; events and graphs are the runtime's.
#include <stdarg.h>
#include <stdio.h>

#include "common/memory.h"
#include "device/cuda_internal.h"

typedef struct {
    ft_queue base;
    cudaStream_t stream;
    char name[32];
    void *kernels;
    void (*free_kernels)(void *kernels);
} cuda_queue;

typedef struct {
    ft_event base;
    cudaEvent_t event;
} cuda_event;

typedef struct {
    ft_graph base;
    cudaGraphExec_t executable;
} cuda_graph;

static cuda_queue *of_queue(ft_queue *queue)
{
    return (cuda_queue *)queue;
}

static cudaEvent_t of_event(ft_event *event)
{
    return ((cuda_event *)event)->event;
}

ft_status ft_cuda_error(cudaError_t error, const char *format, ...)
{
    char where[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(where, sizeof where, format, arguments);
    va_end(arguments);
    cudaGetLastError();
    return ft_error(FT_E_DEVICE, "%s: %s", where, cudaGetErrorString(error));
}

ft_status ft_cuda_use(const ft_device *device)
{
    FT_CUDA_TRY(cudaSetDevice(device->info.ordinal), "device cuda:%d", device->info.ordinal);
    return FT_OK;
}

// The kernels launch right after this, so their device is made current here. An error shows in the launch.
ft_cuda_stream ft_queue_cuda_stream(ft_queue *queue)
{
    cudaSetDevice(queue->device->info.ordinal);
    return of_queue(queue)->stream;
}

void ft_queue_cuda_set_kernels(ft_queue *queue, void *kernels, void (*free_kernels)(void *))
{
    cuda_queue *q = of_queue(queue);
    if (q->kernels != NULL && q->kernels != kernels) q->free_kernels(q->kernels);
    q->kernels = kernels;
    q->free_kernels = free_kernels;
}

void *ft_queue_cuda_kernels(ft_queue *queue)
{
    return of_queue(queue)->kernels;
}

ft_status ft_cuda_queue_create(ft_device *device, ft_queue_kind kind, const char *name, ft_queue **created)
{
    FT_TRY(ft_cuda_use(device));
    cuda_queue *queue = FT_NEW(cuda_queue);
    FT_ALLOC_CHECK(queue);
    queue->base = (ft_queue){.device = device, .kind = kind};
    snprintf(queue->name, sizeof queue->name, "%s", name);
    cudaError_t error = cudaStreamCreateWithFlags(&queue->stream, cudaStreamNonBlocking);
    if (error != cudaSuccess) {
        ft_free(queue);
        return ft_cuda_error(error, "queue %s", name);
    }
    *created = &queue->base;
    return FT_OK;
}

void ft_cuda_queue_destroy(ft_queue *base)
{
    cuda_queue *queue = of_queue(base);
    ft_cuda_use(base->device);
    cudaStreamSynchronize(queue->stream);
    if (queue->kernels != NULL) queue->free_kernels(queue->kernels);
    cudaStreamDestroy(queue->stream);
    cudaGetLastError();
    ft_free(queue);
}

ft_status ft_cuda_queue_sync(ft_queue *queue)
{
    FT_TRY(ft_cuda_use(queue->device));
    FT_CUDA_TRY(cudaStreamSynchronize(of_queue(queue)->stream), "queue %s", of_queue(queue)->name);
    return FT_OK;
}

ft_status ft_cuda_queue_copy(ft_queue *queue, void *dst, const void *src, int64_t bytes, ft_copy_direction direction)
{
    static const enum cudaMemcpyKind kinds[] = {
        [FT_COPY_H2D] = cudaMemcpyHostToDevice, [FT_COPY_D2H] = cudaMemcpyDeviceToHost, [FT_COPY_D2D] = cudaMemcpyDeviceToDevice};
    FT_TRY(ft_cuda_use(queue->device));
    const char *from = src;
    char *to = dst;
    for (int64_t done = 0, run; done < bytes; done += run) {
        const char *host = direction == FT_COPY_H2D ? from + done : to + done;
        run = direction == FT_COPY_D2D ? bytes : ft_cuda_pinned_run(host, bytes - done);
        FT_CUDA_TRY(cudaMemcpyAsync(to + done, from + done, (size_t)run, kinds[direction], of_queue(queue)->stream),
                    "queue %s: copy of %lld bytes", of_queue(queue)->name, (long long)run);
    }
    return FT_OK;
}

ft_status ft_cuda_queue_fill(ft_queue *queue, void *dst, int byte, int64_t bytes)
{
    FT_TRY(ft_cuda_use(queue->device));
    FT_CUDA_TRY(cudaMemsetAsync(dst, byte, (size_t)bytes, of_queue(queue)->stream), "queue %s: fill of %lld bytes", of_queue(queue)->name,
                (long long)bytes);
    return FT_OK;
}

// Host threads that wait sleep: the cores have drives to read and an optimizer to run.
ft_status ft_cuda_event_create(ft_device *device, ft_event **created)
{
    FT_TRY(ft_cuda_use(device));
    cuda_event *event = FT_NEW(cuda_event);
    FT_ALLOC_CHECK(event);
    event->base.device = device;
    cudaError_t error = cudaEventCreateWithFlags(&event->event, cudaEventBlockingSync);
    if (error != cudaSuccess) {
        ft_free(event);
        return ft_cuda_error(error, "device cuda:%d: an event", device->info.ordinal);
    }
    *created = &event->base;
    return FT_OK;
}

void ft_cuda_event_destroy(ft_event *event)
{
    ft_cuda_use(event->device);
    if (cudaEventDestroy(of_event(event)) != cudaSuccess) cudaGetLastError();
    ft_free(event);
}

ft_status ft_cuda_event_record(ft_event *event, ft_queue *queue)
{
    FT_TRY(ft_cuda_use(queue->device));
    FT_CUDA_TRY(cudaEventRecord(of_event(event), of_queue(queue)->stream), "queue %s: recording an event", of_queue(queue)->name);
    return FT_OK;
}

// The event may be of another device.
ft_status ft_cuda_event_wait(ft_event *event, ft_queue *queue)
{
    FT_TRY(ft_cuda_use(queue->device));
    FT_CUDA_TRY(cudaStreamWaitEvent(of_queue(queue)->stream, of_event(event), 0), "queue %s: waiting for an event", of_queue(queue)->name);
    return FT_OK;
}

ft_status ft_cuda_event_sync(ft_event *event)
{
    FT_TRY(ft_cuda_use(event->device));
    FT_CUDA_TRY(cudaEventSynchronize(of_event(event)), "device cuda:%d: work before an event", event->device->info.ordinal);
    return FT_OK;
}

ft_status ft_cuda_event_query(ft_event *event, bool *done)
{
    FT_TRY(ft_cuda_use(event->device));
    cudaError_t error = cudaEventQuery(of_event(event));
    *done = error == cudaSuccess;
    if (error != cudaErrorNotReady) FT_CUDA_TRY(error, "device cuda:%d: work before an event", event->device->info.ordinal);
    cudaGetLastError();
    return FT_OK;
}

ft_status ft_cuda_event_elapsed(ft_event *begin, ft_event *end, double *seconds)
{
    float milliseconds;
    FT_TRY(ft_cuda_use(begin->device));
    cudaError_t error = cudaEventElapsedTime(&milliseconds, of_event(begin), of_event(end));
    if (error == cudaErrorNotReady || error == cudaErrorInvalidResourceHandle) {
        cudaGetLastError();
        return ft_error(FT_E_INTERNAL, "device cuda:%d: an event that was not recorded, or has not passed, has no time",
                        begin->device->info.ordinal);
    }
    FT_CUDA_TRY(error, "device cuda:%d: work before an event", begin->device->info.ordinal);
    *seconds = 1e-3 * (double)milliseconds;
    return FT_OK;
}

// Thread-local: what other threads do with the GPU meanwhile is theirs.
ft_status ft_cuda_graph_begin(ft_queue *queue)
{
    FT_TRY(ft_cuda_use(queue->device));
    FT_CUDA_TRY(cudaStreamBeginCapture(of_queue(queue)->stream, cudaStreamCaptureModeThreadLocal), "queue %s: recording a graph",
                of_queue(queue)->name);
    return FT_OK;
}

static ft_status instantiate(ft_device *device, cudaGraph_t recorded, ft_graph **made)
{
    cuda_graph *graph = FT_NEW(cuda_graph);
    FT_ALLOC_CHECK(graph);
    graph->base.device = device;
    cudaError_t error = cudaGraphInstantiate(&graph->executable, recorded, 0);
    if (error != cudaSuccess) {
        ft_free(graph);
        return ft_cuda_error(error, "device cuda:%d: a recorded graph", device->info.ordinal);
    }
    *made = &graph->base;
    return FT_OK;
}

ft_status ft_cuda_graph_end(ft_queue *queue, ft_graph **graph)
{
    cudaGraph_t recorded = NULL;
    FT_TRY(ft_cuda_use(queue->device));
    FT_CUDA_TRY(cudaStreamEndCapture(of_queue(queue)->stream, &recorded), "queue %s: recording a graph", of_queue(queue)->name);
    ft_status status = instantiate(queue->device, recorded, graph);
    cudaGraphDestroy(recorded);
    return status;
}

ft_status ft_cuda_graph_launch(ft_graph *graph, ft_queue *queue)
{
    FT_TRY(ft_cuda_use(queue->device));
    FT_CUDA_TRY(cudaGraphLaunch(((cuda_graph *)graph)->executable, of_queue(queue)->stream), "queue %s: replaying a graph",
                of_queue(queue)->name);
    return FT_OK;
}

void ft_cuda_graph_destroy(ft_graph *graph)
{
    ft_cuda_use(graph->device);
    if (cudaGraphExecDestroy(((cuda_graph *)graph)->executable) != cudaSuccess) cudaGetLastError();
    ft_free(graph);
}
