// Queues of the CPU device. A compute queue has no thread: its work is done when the call returns, so its position is always 0
// and passed. A copy queue is a thread that works off a ring of commands; the ring is part of the queue, so that nothing is
// allocated after creation, and a caller that finds it full waits for the oldest command.
//
// `lock` guards submitted, completed and stop. A slot of the ring belongs to the submitter until `submitted` passes it, and to
// the thread until `completed` passes it. `submitted` is written by the one host thread that owns the queue.
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "device/copy_cpu.h"
#include "device/device_cpu.h"

enum { RING = 1024 };

typedef enum { COMMAND_COPY, COMMAND_FILL, COMMAND_WAIT, COMMAND_STAMP } command_kind;

typedef struct {
    command_kind kind;
    void *dst;
    const void *src;
    int64_t bytes;
    int byte;
    ft_queue *other;  // WAIT: until it has passed `position`
    ft_event *event;  // STAMP: its record number `position`
    uint64_t position;
} command;

struct ft_cpu_queue {
    ft_queue base;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;      // submitted or stop changed
    pthread_cond_t progress;  // completed changed
    uint64_t submitted, completed;
    bool stop;
    command ring[RING];
};

static void run(const command *c)
{
    switch (c->kind) {
    case COMMAND_COPY: ft_copy_cpu(c->dst, c->src, c->bytes); break;
    case COMMAND_FILL: memset(c->dst, c->byte, (size_t)c->bytes); break;
    case COMMAND_WAIT: ft_cpu_queue_wait(c->other, c->position); break;
    case COMMAND_STAMP: ft_cpu_event_stamp(c->event, c->position); break;
    }
}

// Waits for a command; NULL when the queue is empty and shall end.
static const command *next_command(ft_cpu_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->completed == queue->submitted && !queue->stop) pthread_cond_wait(&queue->work, &queue->lock);
    bool any = queue->completed < queue->submitted;
    const command *c = any ? &queue->ring[queue->completed % RING] : NULL;
    pthread_mutex_unlock(&queue->lock);
    return c;
}

static void *queue_main(void *argument)
{
    ft_cpu_queue *queue = argument;
    for (const command *c; (c = next_command(queue)) != NULL;) {
        run(c);
        pthread_mutex_lock(&queue->lock);
        queue->completed++;
        pthread_cond_broadcast(&queue->progress);
        pthread_mutex_unlock(&queue->lock);
    }
    return NULL;
}

static void submit(ft_cpu_queue *queue, const command *c)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->submitted - queue->completed == RING) pthread_cond_wait(&queue->progress, &queue->lock);
    queue->ring[queue->submitted % RING] = *c;
    queue->submitted++;
    pthread_cond_signal(&queue->work);
    pthread_mutex_unlock(&queue->lock);
}

static void submit_or_run(ft_queue *base, const command *c)
{
    if (base->kind == FT_QUEUE_COMPUTE) run(c);
    else submit((ft_cpu_queue *)base, c);
}

ft_status ft_cpu_queue_copy(ft_queue *queue, void *dst, const void *src, int64_t bytes, ft_copy_direction direction)
{
    submit_or_run(queue, &(command){.kind = COMMAND_COPY, .dst = dst, .src = src, .bytes = bytes});
    return FT_OK;
}

ft_status ft_cpu_queue_fill(ft_queue *queue, void *dst, int byte, int64_t bytes)
{
    submit_or_run(queue, &(command){.kind = COMMAND_FILL, .dst = dst, .byte = byte, .bytes = bytes});
    return FT_OK;
}

uint64_t ft_cpu_queue_position(const ft_queue *base)
{
    return ((const ft_cpu_queue *)base)->submitted;
}

bool ft_cpu_queue_passed(ft_queue *base, uint64_t position)
{
    ft_cpu_queue *queue = (ft_cpu_queue *)base;
    pthread_mutex_lock(&queue->lock);
    bool passed = queue->completed >= position;
    pthread_mutex_unlock(&queue->lock);
    return passed;
}

void ft_cpu_queue_wait(ft_queue *base, uint64_t position)
{
    ft_cpu_queue *queue = (ft_cpu_queue *)base;
    pthread_mutex_lock(&queue->lock);
    while (queue->completed < position) pthread_cond_wait(&queue->progress, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

void ft_cpu_queue_wait_for(ft_queue *queue, ft_queue *other, uint64_t position)
{
    if (queue == other) return;
    submit_or_run(queue, &(command){.kind = COMMAND_WAIT, .other = other, .position = position});
}

void ft_cpu_queue_stamp(ft_queue *queue, ft_event *event, uint64_t number)
{
    submit_or_run(queue, &(command){.kind = COMMAND_STAMP, .event = event, .position = number});
}

static ft_status start_thread(ft_cpu_queue *queue, const char *name)
{
    int error = pthread_create(&queue->thread, NULL, queue_main, queue);
    if (error != 0) return ft_error_errno(FT_E_NOMEM, error, "queue %s: its thread could not be started", name);
    char short_name[16];  // the kernel's limit
    snprintf(short_name, sizeof short_name, "ft-%s", name);
    pthread_setname_np(queue->thread, short_name);
    return FT_OK;
}

static void free_queue(ft_cpu_queue *queue)
{
    pthread_cond_destroy(&queue->progress);
    pthread_cond_destroy(&queue->work);
    pthread_mutex_destroy(&queue->lock);
    ft_free(queue);
}

ft_status ft_cpu_queue_create(ft_device *device, ft_queue_kind kind, const char *name, ft_queue **created)
{
    ft_cpu_queue *queue = FT_NEW(ft_cpu_queue);
    FT_ALLOC_CHECK(queue);
    queue->base = (ft_queue){.device = device, .kind = kind};
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->work, NULL);
    pthread_cond_init(&queue->progress, NULL);
    ft_status status = kind == FT_QUEUE_COPY ? start_thread(queue, name) : FT_OK;
    if (status != FT_OK) free_queue(queue);
    else *created = &queue->base;
    return status;
}

void ft_cpu_queue_destroy(ft_queue *base)
{
    ft_cpu_queue *queue = (ft_cpu_queue *)base;
    if (base->kind == FT_QUEUE_COPY) {
        pthread_mutex_lock(&queue->lock);
        queue->stop = true;
        pthread_cond_signal(&queue->work);
        pthread_mutex_unlock(&queue->lock);
        pthread_join(queue->thread, NULL);
    }
    free_queue(queue);
}
