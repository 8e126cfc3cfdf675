// What drive.c (the interface), drive_files.c and drive_loop.c (the thread) share.
#ifndef FT_IO_DRIVE_INTERNAL_H
#define FT_IO_DRIVE_INTERNAL_H

#include <pthread.h>

#include "io/drive.h"

#define FT_DRIVE_FILES 64

typedef struct {
    char *name;
    int fd;  // -1 under an engine that touches no file
    bool direct, writable;
} ft_drive_file;

// A piece of a request: what is in flight, or waits to go again.
typedef struct {
    ft_io_request io;           // what remains to be moved
    ft_drive_request *request;  // NULL = free slot
    int attempts;               // EAGAIN and EINTR in a row
} ft_drive_slot;

// A registered buffer and its place in the engine's table.
typedef struct {
    const char *base;
    size_t bytes;
    int index;
} ft_drive_buffer;

struct ft_drive {
    char *directory;
    char *engine_name;  // as asked for
    int depth;
    uint32_t chunk_bytes;
    pthread_t thread;

    // Of the drive's thread alone, once it runs.
    ft_drive_slot *slots;         // depth of them
    ft_drive_slot **free_slots;   // stack
    ft_drive_slot **again;        // pieces to submit again, oldest first
    ft_io_request **batch;        // scratch: submitted or reaped together
    int n_free, n_again;
    int pause_ms;                 // before the next submission: the device said EAGAIN again and again
    ft_drive_request *done_head, *done_tail;  // ended, `complete` not called yet

    pthread_mutex_t lock;  // guards everything below
    pthread_cond_t work;   // to the thread: a request, a registration, closing
    pthread_cond_t news;   // from the thread: started, registration answered, transfer complete
    bool started, closing;
    bool waiting;          // the thread is, or is about to be, in reap and could start another piece
    ft_io_engine *engine;  // NULL before the start and after the engine broke
    unsigned caps;
    ft_status broken;      // why the engine is gone
    char broken_message[FT_ERROR_MESSAGE_BYTES];
    ft_drive_request *head, *tail;  // submitted and not yet wholly cut into pieces
    ft_drive_file files[FT_DRIVE_FILES];
    int n_files;
    bool register_asked;  // a registration waits for the thread's answer
    const struct iovec *register_buffers;
    int register_n;
    ft_status register_status;
    char register_message[FT_ERROR_MESSAGE_BYTES];
    ft_drive_buffer *buffers;  // registered, by address
    int n_buffers;
    ft_drive_stats stats;
    double busy_since_s;       // 0 when nothing is in flight
    char description[64];
};

// Rewrites `description`, "io_uring+direct+registered": what holds for every open file. The lock is held.
void ft_drive_describe(ft_drive *drive);

// The drive's thread: opens the engine, moves pieces, runs completions, closes the engine when `closing` and drained.
void *ft_drive_main(void *drive);

#endif
