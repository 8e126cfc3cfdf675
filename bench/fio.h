// fio as the yardstick for storage.
#ifndef FT_BENCH_FIO_H
#define FT_BENCH_FIO_H

#include <stdio.h>

#include "common/text.h"

// Reads each file once, all at once with a thread and ring each: io_uring, O_DIRECT, in order.
typedef struct {
    const char *const *files;
    int n_files;
    int64_t bytes_each, block;
    int depth;
    bool registered;  // with registered buffers
} ft_fio_job;

// bytes/s of all files together. The environment variable FIO names the program, else it is the `fio` of the path. FT_E_NOT_FOUND
// where there is none, or it could not measure.
ft_status ft_fio_run(const ft_fio_job *job, double *rate);

// Its two halves: the shell command, and the answer in JSON (which fio may begin with notes).
ft_status ft_fio_command(const ft_fio_job *job, ft_text *command);
ft_status ft_fio_read(FILE *answer, double *rate);

#endif
