// The fault engine: a row of the engine table that wraps another engine and injects what real disks do. Scripted either by
// its spec text (probabilities, seeded) or by a test through ft_fault_set (exact request numbers). Counters are global to the
// process and atomic, so a test can make "completion number k" of a whole run fail, whatever thread reaps it.
//
// spec: "INNER[,seed=N][,KIND=P...]", P in [0,1], together at most 1; KIND is one of eio enospc short zero eagain eintr late
// reorder flip misplace broken slow; in=TEXT: only on drives whose directory contains TEXT. Two engines with the same spec meet the same faults at the same request numbers of their own.
// A kind that does not apply to a request (short on one block or on fsync, enospc on a read) leaves it alone.
#ifndef FT_IO_FAULT_H
#define FT_IO_FAULT_H

#include "io/engine.h"

typedef enum {
    FT_FAULT_NONE,
    FT_FAULT_EIO,       // result -EIO
    FT_FAULT_ENOSPC,    // result -ENOSPC (writes)
    FT_FAULT_SHORT,     // half of the bytes (rounded to FT_IO_ALIGN), at least one block
    FT_FAULT_ZERO,      // 0 bytes: end of file where none is
    FT_FAULT_EAGAIN,
    FT_FAULT_EINTR,
    FT_FAULT_LATE,      // held back until at least two later requests finished or nothing else is in flight
    FT_FAULT_REORDER,   // finished after its successor; held back as FT_FAULT_LATE is, but for one later request
    FT_FAULT_FLIP,      // one bit of the data flipped, on its way to memory or to the file
    FT_FAULT_MISPLACE,  // data of a neighbouring aligned offset
    FT_FAULT_BROKEN,    // the engine fails: submit returns FT_E_IO
    FT_FAULT_SLOW,      // goes to the inner engine 5 ms late, and all that is behind it
    FT_FAULT_KINDS,
} ft_fault_kind;

// The `nth` request from now (1 = next; counted over all fault engines) meets `kind`, and so do the `repeat` - 1 after it.
void ft_fault_set(ft_fault_kind kind, int64_t nth, int64_t repeat);
void ft_fault_clear(void);
int64_t ft_fault_requests(void);  // requests seen since ft_fault_clear

#endif
