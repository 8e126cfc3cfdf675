// A device: memory, queues, events, copies, graphs. One row per kind (cpu, cuda); everything above is written against this.
//
// Queues run their work in order. A compute queue takes kernels; a copy queue takes copies. On CUDA a queue is a stream. On
// the CPU a compute queue runs each call before it returns, and a copy queue is a thread, so that streaming overlaps compute
// there as well and the same races exist to be caught.
// Events order queues: ft_event_wait(event, queue) makes later work of `queue` wait for what the event's last record covers.
// Waiting on an event that was never recorded does nothing. No call here blocks the host except ft_*_sync, open, close and
// destroy, a call on a queue that already has about a thousand calls pending and, on the CPU, ft_event_wait on a compute queue.
// A queue and an event are used by one host thread at a time, except that any thread may wait on, sync or query an event.
// An event last recorded on a queue that has been destroyed must be recorded again before it is used.
// Errors of asynchronous work are reported by the next ft_queue_sync / ft_event_sync of that queue. On CUDA any later call may
// report them too, and one that a kernel caused stays with the process.
#ifndef FT_DEVICE_DEVICE_H
#define FT_DEVICE_DEVICE_H

#include "common/status.h"

typedef enum { FT_DEVICE_CPU, FT_DEVICE_CUDA } ft_device_kind;
typedef enum { FT_QUEUE_COMPUTE, FT_QUEUE_COPY } ft_queue_kind;
typedef enum { FT_COPY_H2D, FT_COPY_D2H, FT_COPY_D2D } ft_copy_direction;

typedef struct ft_device ft_device;
typedef struct ft_queue ft_queue;
typedef struct ft_event ft_event;
typedef struct ft_graph ft_graph;

typedef struct {
    ft_device_kind kind;
    int ordinal;
    char name[96];            // "NVIDIA H100 80GB HBM3", or the CPU's model name
    int sm_count;             // CPU: threads
    int compute_capability;   // 90 for sm_90; 0 on the CPU
    int64_t memory_bytes;     // of the device; CPU: what this process may use (cgroup limit included)
    int64_t memory_free;      // at open, other processes and the context included
    int64_t context_bytes;    // taken by the context itself
    int numa_node;            // nearest host memory, -1 unknown
    bool async_copies;        // both copy directions at once beside compute
    bool graphs;              // capture is possible
    bool bf16_products;       // CPU: frozen matrices are multiplied in bf16 (kernels/cpu/compute.h); false after open
} ft_device_info;

// "cpu", "cuda", or "auto" (CUDA if this build and machine have it). FT_E_UNSUPPORTED in one line otherwise: no CUDA in the
// build, no driver or one too old, no GPU, or one the build has no code for. FT_E_USAGE for a GPU beyond the last. The CPU device
// has ordinals 0, 1, ... as well (ranks of one process); they share the memory. ft_threads_init comes first: sm_count is its
// count.
ft_status ft_device_open(ft_device **device, const char *kind, int ordinal);
void ft_device_close(ft_device *device);
const ft_device_info *ft_device_get_info(const ft_device *device);

// Device memory, FT_ARENA_ALIGN-aligned, zeroed and resident. A handful of calls before step 0: everything else comes from
// arenas. FT_E_NOMEM names what was asked and what there is.
ft_status ft_device_alloc(ft_device *device, int64_t bytes, void **pointer);
void ft_device_free(ft_device *device, void *pointer);
// Device memory in use now, by every process and the driver. 0 on the CPU, whose memory is the host's.
ft_status ft_device_memory_used(ft_device *device, int64_t *bytes);
// Makes host memory (page-aligned, anonymous) a fast and asynchronous source and target of copies. CPU: nothing to do.
ft_status ft_device_register_host(ft_device *device, void *pointer, int64_t bytes);
void ft_device_unregister_host(ft_device *device, void *pointer);

ft_status ft_queue_create(ft_device *device, ft_queue_kind kind, const char *name, ft_queue **queue);
void ft_queue_destroy(ft_queue *queue);
ft_status ft_queue_sync(ft_queue *queue);
ft_device *ft_queue_device(const ft_queue *queue);

// Asynchronous; source and target stay valid until the queue has passed the copy. Host memory should be registered: CUDA copies
// from and to other host memory through the driver's own buffers, at about a quarter of the speed and with the host waiting.
ft_status ft_copy_h2d(ft_queue *queue, void *device_dst, const void *host_src, int64_t bytes);
ft_status ft_copy_d2h(ft_queue *queue, void *host_dst, const void *device_src, int64_t bytes);
ft_status ft_copy_d2d(ft_queue *queue, void *dst, const void *src, int64_t bytes);
ft_status ft_fill(ft_queue *queue, void *device_dst, int byte, int64_t bytes);

ft_status ft_event_create(ft_device *device, ft_event **event);
void ft_event_destroy(ft_event *event);
ft_status ft_event_record(ft_event *event, ft_queue *queue);
ft_status ft_event_wait(ft_event *event, ft_queue *queue);
ft_status ft_event_sync(ft_event *event);           // blocks the host
ft_status ft_event_query(ft_event *event, bool *done);
// Seconds between two events of one device that were both recorded and have passed, else FT_E_INTERNAL (to half a microsecond
// on CUDA): between the moments when the work before each was done. Negative where `end` was first.
ft_status ft_event_elapsed(ft_event *begin, ft_event *end, double *seconds);

// Graphs: record the work of a compute queue once, replay it. FT_E_UNSUPPORTED where info.graphs is false. Between begin and
// end the calls of this thread on that queue are recorded and not run; nothing is allocated, synchronized or queried there. Run
// the work once before: what its first run loads cannot be recorded.
ft_status ft_graph_begin(ft_queue *queue);
ft_status ft_graph_end(ft_queue *queue, ft_graph **graph);
ft_status ft_graph_launch(ft_graph *graph, ft_queue *queue);
void ft_graph_destroy(ft_graph *graph);

// The row of a device kind. A device implements every member; ft_* above only dispatch.
typedef struct {
    ft_device_kind kind;
    const char *name;
    ft_status (*open)(ft_device **device, int ordinal);
    void (*close)(ft_device *device);
    ft_status (*alloc)(ft_device *device, int64_t bytes, void **pointer);
    void (*free)(ft_device *device, void *pointer);
    ft_status (*memory_used)(ft_device *device, int64_t *bytes);
    ft_status (*register_host)(ft_device *device, void *pointer, int64_t bytes);
    void (*unregister_host)(ft_device *device, void *pointer);
    ft_status (*queue_create)(ft_device *device, ft_queue_kind kind, const char *name, ft_queue **queue);
    void (*queue_destroy)(ft_queue *queue);
    ft_status (*queue_sync)(ft_queue *queue);
    ft_status (*copy)(ft_queue *queue, void *dst, const void *src, int64_t bytes, ft_copy_direction direction);
    ft_status (*fill)(ft_queue *queue, void *dst, int byte, int64_t bytes);
    ft_status (*event_create)(ft_device *device, ft_event **event);
    void (*event_destroy)(ft_event *event);
    ft_status (*event_record)(ft_event *event, ft_queue *queue);
    ft_status (*event_wait)(ft_event *event, ft_queue *queue);
    ft_status (*event_sync)(ft_event *event);
    ft_status (*event_query)(ft_event *event, bool *done);
    ft_status (*event_elapsed)(ft_event *begin, ft_event *end, double *seconds);
    ft_status (*graph_begin)(ft_queue *queue);
    ft_status (*graph_end)(ft_queue *queue, ft_graph **graph);
    ft_status (*graph_launch)(ft_graph *graph, ft_queue *queue);
    void (*graph_destroy)(ft_graph *graph);
} ft_device_row;

extern const ft_device_row *const ft_device_rows[];  // NULL-terminated; cpu always, cuda where built

// First member of every implementation's own struct.
struct ft_device { const ft_device_row *row; ft_device_info info; };
struct ft_queue { ft_device *device; ft_queue_kind kind; };
struct ft_event { ft_device *device; };
struct ft_graph { ft_device *device; };

#endif
