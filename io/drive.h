// A drive: one directory on one device, with its own thread and engine (one ring per drive).
//
// Any thread submits; transfers of a drive run concurrently up to the engine's depth, and complete in any order. Short
// transfers are continued, EAGAIN and EINTR retried (a bounded number of times in a row), everything else ends the request with
// a status and a message naming directory, file and offset. Submitting and completing allocate nothing.
// Requests larger than the chunk size are split by the drive. Pieces start in submission order: all of one request before any
// of the next, so the oldest request finishes first when the device serves in order.
#ifndef FT_IO_DRIVE_H
#define FT_IO_DRIVE_H

#include "io/engine.h"

typedef struct ft_drive ft_drive;

typedef struct {
    const char *engine;      // "auto" | "io_uring" | "posix" | "null" | "fault:..."
    int depth;               // chunks in flight, 0 = 32
    uint32_t chunk_bytes;    // largest single transfer, 0 = 1 MiB; a multiple of FT_IO_ALIGN
} ft_drive_options;

// A read or write of any size above 0; buffer, offset and bytes are multiples of FT_IO_ALIGN (asserted, also where the file
// system does without). FT_IO_FSYNC ignores buffer, offset and bytes and covers the writes completed before it is submitted.
// Caller-owned, alive until `complete` was called (on the drive's thread; it must not block for long and may submit further
// requests; the drive does not touch the request afterwards).
typedef struct ft_drive_request {
    ft_io_op op;
    int file;                // from ft_drive_open_file
    void *buffer;
    int64_t offset, bytes;
    void (*complete)(struct ft_drive_request *request);
    void *user;
    // out
    ft_status status;
    char message[256];       // set when status != 0
    // private
    struct ft_drive_request *next;
    int64_t submitted;       // bytes handed out in pieces
    int in_flight;           // pieces handed out and not finished
} ft_drive_request;

ft_status ft_drive_open(ft_drive **drive, const char *directory, const ft_drive_options *options);
// Waits for what was submitted, ends the thread, closes the drive's files. NULL is accepted.
void ft_drive_close(ft_drive *drive);

// Opens DIRECTORY/name on the drive (O_DIRECT where possible). *file is an index valid until the drive closes; at most 64
// files. writable creates and allows FT_IO_WRITE. The null engine opens nothing.
ft_status ft_drive_open_file(ft_drive *drive, const char *name, bool writable, int *file);
// Memory that requests will use, so that the engine can register it (pieces of at most 1 GiB each, disjoint; what was registered
// before is forgotten). Called before the first request; a refusal (RLIMIT_MEMLOCK) is said once and costs speed only.
ft_status ft_drive_register(ft_drive *drive, const struct iovec *buffers, int n);

void ft_drive_submit(ft_drive *drive, ft_drive_request *request);
// Synchronous convenience for set-up and tools: submits and waits.
ft_status ft_drive_transfer(ft_drive *drive, ft_io_op op, int file, void *buffer, int64_t offset, int64_t bytes);

// Grows DIRECTORY/file to `bytes` (fallocate; ENOSPC becomes FT_E_IO naming the missing bytes).
ft_status ft_drive_reserve(ft_drive *drive, int file, int64_t bytes);
// The open file is still in its directory and has at least `bytes` bytes; FT_E_IO says what happened to it.
ft_status ft_drive_check_file(ft_drive *drive, int file, int64_t bytes);
ft_status ft_drive_sync(ft_drive *drive, int file);  // fdatasync

typedef struct {
    int64_t bytes_read, bytes_written;
    int64_t requests;         // ft_drive_requests ended, with or without an error
    int64_t retries;          // pieces repeated after EAGAIN or EINTR
    int64_t short_transfers;  // pieces continued after a short transfer
    double busy_s;            // time with at least one transfer in flight
} ft_drive_stats;
void ft_drive_get_stats(ft_drive *drive, ft_drive_stats *stats);
const char *ft_drive_directory(const ft_drive *drive);
const char *ft_drive_engine(const ft_drive *drive);  // "io_uring", with "+direct" and "+registered" where they hold

#endif
