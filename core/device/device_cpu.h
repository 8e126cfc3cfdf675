// The CPU device's own parts: its row and its queues. Not for use outside this folder.
//
// A position in a queue is the number of commands submitted before it. An event is the pair (queue, position), so a wait that
// was submitted keeps meaning the same work whatever happens to the event afterwards.
#ifndef FT_DEVICE_DEVICE_CPU_H
#define FT_DEVICE_DEVICE_CPU_H

#include "device/device.h"

extern const ft_device_row ft_device_cpu;

typedef struct ft_cpu_queue ft_cpu_queue;

ft_status ft_cpu_queue_create(ft_device *device, ft_queue_kind kind, const char *name, ft_queue **queue);
void ft_cpu_queue_destroy(ft_queue *queue);  // after everything submitted is done
ft_status ft_cpu_queue_copy(ft_queue *queue, void *dst, const void *src, int64_t bytes, ft_copy_direction direction);
ft_status ft_cpu_queue_fill(ft_queue *queue, void *dst, int byte, int64_t bytes);

uint64_t ft_cpu_queue_position(const ft_queue *queue);           // what a record made here covers
bool ft_cpu_queue_passed(ft_queue *queue, uint64_t position);
void ft_cpu_queue_wait(ft_queue *queue, uint64_t position);      // blocks the host
// Later work of `queue` waits until `other` has passed the position.
void ft_cpu_queue_wait_for(ft_queue *queue, ft_queue *other, uint64_t position);

// Has ft_cpu_event_stamp called with event and number once the work submitted so far is done.
void ft_cpu_queue_stamp(ft_queue *queue, ft_event *event, uint64_t number);
// Takes the time of the event's record `number`; on the queue's thread.
void ft_cpu_event_stamp(ft_event *event, uint64_t number);

#endif
