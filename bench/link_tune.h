// Which transfers a machine likes: drives by size and depth, the link by the size of a copy.
#ifndef FT_BENCH_LINK_TUNE_H
#define FT_BENCH_LINK_TUNE_H

#include "bench/link_choice.h"
#include "bench/link_copies.h"
#include "bench/link_drives.h"

typedef struct {
    int64_t bytes;   // of a transfer
    int depth;       // transfers in flight
    bool usable;     // by a run; others are measured for comparison
    double rate;     // bytes/s
} ft_tune_cell;

// The fastest usable cell; of those within a hundredth of it, which is what repeated measurements differ by, the one with the fewest
// bytes in flight: less memory, and the first bytes come sooner. NULL if none was measured.
const ft_tune_cell *ft_tune_best(const ft_tune_cell *cells, int n);

enum { FT_TUNE_MOST_DEPTH = 64 };
#define FT_TUNE_MOST_CHUNK ((int64_t)8 << 20)

// Measure (medians of `repeat` interleaved rounds), add every cell to the report and set what was best. Drives were opened with room
// for the largest of the table.
ft_status ft_tune_drives(ft_link_drives *drives, int repeat, ft_bench_report *report, ft_link_choice *choice);
ft_status ft_tune_copies(ft_link_copies *copies, int repeat, ft_bench_report *report, ft_link_choice *choice);

#endif
