// What the files of the CUDA device share: the runtime, its errors as ft_status, the current device, the parts of the row. Not
// for use outside this folder.
#ifndef FT_DEVICE_CUDA_INTERNAL_H
#define FT_DEVICE_CUDA_INTERNAL_H

#include <cuda_runtime_api.h>

#include "device/device_cuda.h"

// Records "<where>: <the runtime's words>" as FT_E_DEVICE and clears what the runtime would tell again.
ft_status ft_cuda_error(cudaError_t error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define FT_CUDA_TRY(call, ...)                                                        \
    do {                                                                              \
        cudaError_t ft_cuda_try_ = (call);                                            \
        if (ft_cuda_try_ != cudaSuccess) return ft_cuda_error(ft_cuda_try_, __VA_ARGS__); \
    } while (0)

// Makes the device current on this thread: some nanoseconds where it is already.
ft_status ft_cuda_use(const ft_device *device);

// Regions of host memory that were registered (cuda_pinned.c). The run is how many of the bytes at `pointer` one copy may take:
// those up to the end of its region, all of them in memory that is none.
ft_status ft_cuda_pinned_add(const void *pointer, int64_t bytes);
void ft_cuda_pinned_remove(const void *pointer);
int64_t ft_cuda_pinned_run(const void *pointer, int64_t bytes);

ft_status ft_cuda_queue_create(ft_device *device, ft_queue_kind kind, const char *name, ft_queue **queue);
void ft_cuda_queue_destroy(ft_queue *queue);
ft_status ft_cuda_queue_sync(ft_queue *queue);
ft_status ft_cuda_queue_copy(ft_queue *queue, void *dst, const void *src, int64_t bytes, ft_copy_direction direction);
ft_status ft_cuda_queue_fill(ft_queue *queue, void *dst, int byte, int64_t bytes);

ft_status ft_cuda_event_create(ft_device *device, ft_event **event);
void ft_cuda_event_destroy(ft_event *event);
ft_status ft_cuda_event_record(ft_event *event, ft_queue *queue);
ft_status ft_cuda_event_wait(ft_event *event, ft_queue *queue);
ft_status ft_cuda_event_sync(ft_event *event);
ft_status ft_cuda_event_query(ft_event *event, bool *done);
ft_status ft_cuda_event_elapsed(ft_event *begin, ft_event *end, double *seconds);

ft_status ft_cuda_graph_begin(ft_queue *queue);
ft_status ft_cuda_graph_end(ft_queue *queue, ft_graph **graph);
ft_status ft_cuda_graph_launch(ft_graph *graph, ft_queue *queue);
void ft_cuda_graph_destroy(ft_graph *graph);

#endif
