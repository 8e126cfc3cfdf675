// Moves a range of a drive's file as fast as the drive will: a number of requests is kept in flight, each through a piece of one
// buffer, and the next piece goes out on the drive's thread when one has ended. For measurements; what is moved is not looked at.
#ifndef FT_IO_DRIVE_PUMP_H
#define FT_IO_DRIVE_PUMP_H

#include <pthread.h>

#include "io/drive.h"

enum { FT_PUMP_REQUESTS = 128 };

typedef struct {
    // in
    ft_drive *drive;
    ft_io_op op;              // FT_IO_READ or FT_IO_WRITE
    int file;
    char *buffer;             // requests * piece bytes, aligned to FT_IO_ALIGN
    int64_t begin, end;       // of the file; multiples of FT_IO_ALIGN
    int64_t piece;            // bytes of a request
    int requests;             // in flight, 1 to FT_PUMP_REQUESTS
    // out, once it was waited for
    double begun_s, ended_s;  // ft_now_s
    // private
    int64_t next;
    int pending;              // the drive's thread's once it has begun
    bool done;                // under the lock
    pthread_mutex_t lock;
    pthread_cond_t idle;
    ft_status status;
    char message[256];
    ft_drive_request request[FT_PUMP_REQUESTS];
} ft_drive_pump;

// Several drives' pumps may run at once. The pump stays where it is until it was waited for, which must follow every begin.
void ft_drive_pump_begin(ft_drive_pump *pump);
// FT_OK, or the first request's failure; what was in flight then has ended.
ft_status ft_drive_pump_wait(ft_drive_pump *pump);

#endif
