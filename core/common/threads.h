// A parallel for over index ranges on a fixed pool of threads.
//
// The split depends only on (n, grain, number of threads), never on timing, and every index is run by exactly one call, so
// results that write disjoint outputs are reproducible. The pool is created once by ft_threads_init; before that, and after
// ft_threads_shutdown, everything runs on the calling thread. Any thread may call ft_parallel_for: while the pool serves one
// caller, others (and calls from inside a piece) run the same pieces themselves, in order.
#ifndef FT_COMMON_THREADS_H
#define FT_COMMON_THREADS_H

#include "common/status.h"

typedef void (*ft_range_function)(void *context, int64_t begin, int64_t end);

// Starts count - 1 workers (the caller is the other thread). 0 = FT_THREADS from the environment, else ft_cpus_usable().
// Again with the same number: no-op; with another: FT_E_INTERNAL. FT_E_USAGE if FT_THREADS is not a number in 1..1024.
ft_status ft_threads_init(int count);
int ft_threads_count(void);  // 1 without a pool
// Calls function(context, begin, end) over [0, n) in pieces whose bounds are multiples of `grain` (>= 1; the last piece ends
// at n), at most four per thread; returns when all are done, their writes visible to the caller.
void ft_parallel_for(int64_t n, int64_t grain, ft_range_function function, void *context);
// Ends and joins the workers; no ft_parallel_for may be running.
void ft_threads_shutdown(void);

#endif
