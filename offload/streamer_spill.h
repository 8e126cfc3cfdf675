// What the spill's two files share: its pieces, operations and buffers.
#ifndef FT_OFFLOAD_STREAMER_SPILL_H
#define FT_OFFLOAD_STREAMER_SPILL_H

#include "offload/streamer_internal.h"

#define FT_SPILL_PIECE ((int64_t)4 << 20)
#define FT_SPILL_BUFFERS 16
#define FT_SPILL_PENDING 64  // operations called for and not finished

typedef struct {
    uint64_t hash;
    int64_t offset;  // in the drive's spill file
    uint32_t drive;
    uint32_t bytes;  // rounded up to FT_STREAM_IO_ALIGN
    bool written;
} ft_spill_piece;

typedef struct {
    ft_unit *unit;
    bool load;
    char *device;
    ft_event *before;  // the caller's work the operation follows
} ft_spill_operation;

// A bounce buffer and the piece that passes through it.
typedef struct {
    ft_drive_request request;
    ft_spill *spill;
    char *memory;
    ft_event *copied;
    const ft_spill_operation *operation;
    ft_spill_piece *piece;
    int64_t offset, bytes;  // of the piece within its unit
    bool first, last;       // of its operation
    bool again, ended;      // the drive's part: second attempt; done
    double asked_s;         // when the drive was asked
} ft_spill_buffer;

struct ft_spill {
    ft_streamer *streamer;
    pthread_t thread;
    bool running, idle;
    pthread_cond_t wake;
    ft_queue *h2d, *d2h;
    int file[FT_MAX_DRIVES];
    ft_spill_piece *piece;
    ft_spill_buffer buffer[FT_SPILL_BUFFERS];
    ft_spill_operation operation[FT_SPILL_PENDING];
    int64_t pushed, completed;         // operations; guarded by the lock
    int64_t taken;                     // operations begun (spill thread)
    int64_t begun, moved, finished;    // pieces (spill thread)
};

void *ft_spill_main(void *spill);  // the spill thread

#endif
