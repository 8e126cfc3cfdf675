// XXH3-64 of ranges: xxHash itself, one range a piece of work.
// Header-only: static libfyaml carries an xxHash of its own, and two of them do not link.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "kernels/cpu/cpu_ops.h"

typedef struct {
    uint64_t *out;
    const ft_range *ranges;
} hash_job;

static void hash_ranges(void *context, int64_t begin, int64_t end)
{
    const hash_job *job = context;
    for (int64_t i = begin; i < end; i++) job->out[i] = XXH3_64bits(job->ranges[i].address, (size_t)job->ranges[i].bytes);
}

ft_status ft_cpu_stripe_hash(ft_queue *queue, uint64_t *out, const ft_range *ranges, int64_t n)
{
    ft_cpu_check(queue);
    for (int64_t i = 0; i < n; i++) FT_ASSERT(ranges[i].bytes > 240, "stripe_hash: range %lld, %lld bytes", (long long)i, (long long)ranges[i].bytes);
    ft_parallel_for(n, 1, hash_ranges, &(hash_job){out, ranges});
    return FT_OK;
}
