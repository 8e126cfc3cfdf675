// NVMe -> host: a file of random bytes on every drive, read through our drives (a thread and a ring each) into a registered pool, as
// a run reads its store; and by fio.
#ifndef FT_BENCH_LINK_DRIVES_H
#define FT_BENCH_LINK_DRIVES_H

#include "bench/probes.h"
#include "device/device.h"

typedef struct ft_link_drives ft_link_drives;

// Writes the files (options: nvme, made where they are missing; bytes of each; seed) and takes a pool, pinned for `device`, that has room for transfers of up to
// `most_chunk` at a depth of up to `most_depth`. Closing removes the files. FT_E_USAGE: no drive, or too few bytes.
ft_status ft_link_drives_open(ft_link_drives **drives, const ft_bench_options *options, ft_device *device, int64_t most_chunk, int most_depth);
void ft_link_drives_close(ft_link_drives *drives);

// From here on, transfers of this size, so many in flight on each drive.
ft_status ft_link_drives_use(ft_link_drives *drives, int64_t chunk, int depth);
const char *ft_link_drives_engine(const ft_link_drives *drives);

// Calls of a series (bench/link_series.h): the whole of the files; all drives at once.
ft_status ft_link_drives_read(void *drives, double *rate);
ft_status ft_link_drives_fio(void *drives, double *rate);
// The next `bytes` of each file: calls in a row go round, so that what one has left in a cache is not what the next one reads.
ft_status ft_link_drives_read_part(ft_link_drives *drives, int64_t bytes, double *rate);

#endif
