// Storage engines: how bytes move between files and memory. A storage engine is one row of ft_io_engines and one file.
//
// An engine is a queue pair owned by one thread: open, register_buffers, submit, reap and close are called from the same thread,
// wake from any. It reports what the operating system said about each request, once, in any order; it does not retry. Short
// transfers, EAGAIN and EINTR are the caller's business (io/drive.c), so every engine, the fault engine included, is exercised
// by the same retry code.
#ifndef FT_IO_ENGINE_H
#define FT_IO_ENGINE_H

#include <sys/uio.h>

#include "common/status.h"

typedef enum { FT_IO_READ, FT_IO_WRITE, FT_IO_FSYNC } ft_io_op;

// One transfer. The caller owns it and its buffer until it is reaped.
typedef struct ft_io_request {
    ft_io_op op;
    int fd;
    void *buffer;         // FT_IO_ALIGN-aligned for O_DIRECT files
    int buffer_index;     // index of the registered buffer `buffer` lies in, -1 if none
    uint32_t bytes;       // at most FT_IO_MAX_BYTES
    int64_t offset;
    int32_t result;       // out: bytes moved, or -errno
    void *user;
} ft_io_request;

#define FT_IO_ALIGN 4096
#define FT_IO_MAX_BYTES (64u << 20)

typedef struct ft_io_engine ft_io_engine;  // first member of every engine's own struct

typedef struct {
    int depth;            // requests in flight at most
    const char *spec;     // text after "name:" of --io-engine ("fault:io_uring,seed=7,short=0.1"), NULL if none
    const char *directory;  // of the drive it is for, NULL if none
} ft_io_options;

enum {
    FT_IO_CAP_ASYNC = 1,      // more than one request is really in flight
    FT_IO_CAP_REGISTERED = 2, // register_buffers does something
    FT_IO_CAP_NO_DATA = 4,    // null engine: reads fill a pattern instead of touching files
    FT_IO_CAP_SPEC = 8,       // takes text after "NAME:"
};

// The row of an engine.
typedef struct {
    const char *name;
    const char *help;
    unsigned caps;
    // FT_E_UNSUPPORTED when the kernel or container refuses it (the caller may fall back and say so once).
    ft_status (*open)(ft_io_engine **engine, const ft_io_options *options);
    // Replaces the registered buffers (each at most 1 GiB). FT_E_UNSUPPORTED if refused (memlock): requests then use index -1.
    ft_status (*register_buffers)(ft_io_engine *engine, const struct iovec *buffers, int n);
    // Takes all n requests (the caller keeps at most `depth` in flight). A failure means that the engine is broken: the state of
    // every request in flight is unknown until close has returned.
    ft_status (*submit)(ft_io_engine *engine, ft_io_request *const *requests, int n);
    // Stores up to max finished requests; waits for at least one if `wait` and any is in flight. Returns their number (0 after a
    // wake) or a negative ft_status: the engine is broken, as for submit.
    int (*reap)(ft_io_engine *engine, ft_io_request **done, int max, bool wait);
    // From any thread: the reap that waits, or the next one that would, returns early. Repeated wakes merge into one.
    void (*wake)(ft_io_engine *engine);
    void (*close)(ft_io_engine *engine);  // waits for requests in flight
} ft_io_engine_row;

struct ft_io_engine {
    const ft_io_engine_row *row;
    unsigned caps;
};

// io_uring | posix | null | fault, terminated by a row with name NULL.
//   io_uring  one ring per engine, registered buffers
//   posix     pread, pwrite and fdatasync on up to 16 threads of its own: where io_uring is refused
//   null      touches no file: the 8 bytes at file offset o, o a multiple of 8, read as o; writes are dropped
//   fault     wraps another one, see io/fault.h
extern const ft_io_engine_row *const ft_io_engines[];

// Opens by name ("auto" = io_uring, else posix with a line said once). "fault:INNER[,key=value...]" wraps INNER.
ft_status ft_io_engine_open(ft_io_engine **engine, const char *name, const ft_io_options *options);

// Opens a file with O_DIRECT where the file system allows it with FT_IO_ALIGN; *direct says whether it did (said once if not).
// flags: O_RDONLY | O_RDWR | O_CREAT...; returns the descriptor or a negative ft_status with the path named.
int ft_io_open_file(const char *path, int flags, bool *direct);

#endif
