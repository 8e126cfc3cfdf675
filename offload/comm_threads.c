// The `threads` backend: ranks are threads of one process and read one another's memory.
//
// A collective is three steps: every rank posts its buffers and meets the others; each rank does its share of the work, a range
// of the result that no other rank writes; nobody leaves before all shares are done, so no buffer is reused while it is read.
// Aborting wakes the ranks that wait for a meeting, and no later meeting completes. Ranks that had met finish their call: a
// share never blocks.
#include <pthread.h>
#include <string.h>

#include "common/memory.h"
#include "offload/comm_backend.h"

#define BLOCK_BYTES 4096  // of the sum being formed, on the stack

typedef enum { CALL_ALL_GATHER, CALL_ALL_REDUCE, CALL_REDUCE_SCATTER, CALL_BROADCAST, CALL_BARRIER } call_kind;

// What a rank posts. All but the pointers must agree.
typedef struct {
    call_kind kind;
    ft_comm_type type;
    int64_t n;
    int root;
    void *dst;
    const void *src;
} posted_call;

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t news;
    int size;
    int members;         // communicators not freed yet
    int arrived;         // at the current meeting
    uint64_t meeting;    // number of completed meetings
    int working;         // ranks between the two meetings of a call
    bool aborted;
    posted_call call[];  // [size]
} thread_group;

typedef struct {
    ft_comm base;
    thread_group *group;
} thread_comm;

// Waits until all ranks are here. False if the group aborted before that.
static bool meet(thread_group *group)
{
    uint64_t meeting = group->meeting;
    if (++group->arrived == group->size && !group->aborted) {
        group->arrived = 0;
        group->meeting++;
        group->working = group->size;
        pthread_cond_broadcast(&group->news);
    }
    while (group->meeting == meeting && !group->aborted) pthread_cond_wait(&group->news, &group->lock);
    return group->meeting != meeting;
}

static bool same_call(const posted_call *a, const posted_call *b)
{
    return a->kind == b->kind && a->type == b->type && a->n == b->n && a->root == b->root;
}

static ft_status check_calls(const thread_comm *comm)
{
    const posted_call *call = comm->group->call;
    for (int r = 1; r < comm->group->size; r++)
        if (!same_call(&call[0], &call[r]))
            return ft_error(FT_E_INTERNAL, "ranks 0 and %d call different collectives (%d of %lld, %d of %lld)", r,
                            (int)call[0].kind, (long long)call[0].n, (int)call[r].kind, (long long)call[r].n);
    return FT_OK;
}

// Posts the call; FT_OK once every rank has posted the same.
static ft_status begin(thread_comm *comm, posted_call call)
{
    thread_group *group = comm->group;
    pthread_mutex_lock(&group->lock);
    group->call[comm->base.rank] = call;
    bool met = !group->aborted && meet(group);
    pthread_mutex_unlock(&group->lock);
    return met ? FT_OK : ft_comm_aborted(&comm->base);
}

// Ends a rank's share of the work and waits for all others to end theirs.
static ft_status end(thread_comm *comm, ft_status status)
{
    thread_group *group = comm->group;
    pthread_mutex_lock(&group->lock);
    if (--group->working == 0) pthread_cond_broadcast(&group->news);
    while (group->working > 0) pthread_cond_wait(&group->news, &group->lock);
    pthread_mutex_unlock(&group->lock);
    return status;
}

// The share of `rank` of n elements.
static int64_t share_begin(const thread_comm *comm, int64_t n, int rank)
{
    return n / comm->group->size * rank + n % comm->group->size * rank / comm->group->size;
}

static void gather_share(const thread_comm *comm)
{
    const thread_group *group = comm->group;
    const posted_call *mine = &group->call[comm->base.rank];
    for (int r = 0; r < group->size; r++) {
        char *to = (char *)mine->dst + r * mine->n;
        if (to != group->call[r].src) memcpy(to, group->call[r].src, (size_t)mine->n);
    }
}

// Every rank's elements [at, at + n) added in rank order. Results pass through such a block: a target may be the very memory
// that is summed.
typedef struct {
    _Alignas(64) char bytes[BLOCK_BYTES];
} sum_block;

static void sum_ranks(sum_block *sum, const thread_group *group, int64_t at, int64_t n, ft_comm_type type)
{
    int64_t element = ft_comm_type_bytes(type);
    memcpy(sum->bytes, (const char *)group->call[0].src + at * element, (size_t)(n * element));
    for (int r = 1; r < group->size; r++) ft_comm_add(sum->bytes, (const char *)group->call[r].src + at * element, n, type);
}

// Sums this rank's range and gives it to everyone.
static void reduce_share(const thread_comm *comm)
{
    sum_block sum;
    const thread_group *group = comm->group;
    const posted_call *mine = &group->call[comm->base.rank];
    int64_t element = ft_comm_type_bytes(mine->type), block = BLOCK_BYTES / element;
    int64_t stop = share_begin(comm, mine->n, comm->base.rank + 1);
    for (int64_t at = share_begin(comm, mine->n, comm->base.rank); at < stop; at += block) {
        int64_t n = stop - at < block ? stop - at : block;
        sum_ranks(&sum, group, at, n, mine->type);
        for (int r = 0; r < group->size; r++) memcpy((char *)group->call[r].dst + at * element, sum.bytes, (size_t)(n * element));
    }
}

static void scatter_share(const thread_comm *comm)
{
    sum_block sum;
    const posted_call *mine = &comm->group->call[comm->base.rank];
    int64_t element = ft_comm_type_bytes(mine->type), block = BLOCK_BYTES / element;
    for (int64_t at = 0; at < mine->n; at += block) {
        int64_t n = mine->n - at < block ? mine->n - at : block;
        sum_ranks(&sum, comm->group, comm->base.rank * mine->n + at, n, mine->type);
        memcpy((char *)mine->dst + at * element, sum.bytes, (size_t)(n * element));
    }
}

static void do_share(const thread_comm *comm)
{
    const posted_call *call = &comm->group->call[comm->base.rank];
    switch (call->kind) {
    case CALL_ALL_GATHER: gather_share(comm); break;
    case CALL_ALL_REDUCE: reduce_share(comm); break;
    case CALL_REDUCE_SCATTER: scatter_share(comm); break;
    case CALL_BROADCAST:
        if (comm->base.rank != call->root) memcpy(call->dst, comm->group->call[call->root].src, (size_t)call->n);
        break;
    case CALL_BARRIER: break;
    }
}

static ft_status collective(ft_comm *base, posted_call call)
{
    thread_comm *comm = (thread_comm *)base;
    FT_TRY(begin(comm, call));
    ft_status status = check_calls(comm);
    if (status == FT_OK) do_share(comm);
    return end(comm, status);
}

static ft_status threads_all_gather(ft_comm *comm, void *dst, const void *src, int64_t bytes, ft_queue *queue)
{
    return collective(comm, (posted_call){.kind = CALL_ALL_GATHER, .n = bytes, .dst = dst, .src = src});
}

static ft_status threads_all_reduce(ft_comm *comm, void *data, int64_t n, ft_comm_type type, ft_queue *queue)
{
    return collective(comm, (posted_call){.kind = CALL_ALL_REDUCE, .type = type, .n = n, .dst = data, .src = data});
}

static ft_status threads_reduce_scatter(ft_comm *comm, float *dst, const float *src, int64_t n_each, ft_queue *queue)
{
    return collective(comm, (posted_call){.kind = CALL_REDUCE_SCATTER, .n = n_each, .dst = dst, .src = src});
}

static ft_status threads_broadcast(ft_comm *comm, void *data, int64_t bytes, int root, ft_queue *queue)
{
    return collective(comm, (posted_call){.kind = CALL_BROADCAST, .n = bytes, .root = root, .dst = data, .src = data});
}

static ft_status threads_barrier(ft_comm *comm)
{
    return collective(comm, (posted_call){.kind = CALL_BARRIER});
}

static void threads_abort(ft_comm *base)
{
    thread_group *group = ((thread_comm *)base)->group;
    pthread_mutex_lock(&group->lock);
    group->aborted = true;
    pthread_cond_broadcast(&group->news);
    pthread_mutex_unlock(&group->lock);
}

// The last rank takes the group with it.
static void threads_free(ft_comm *base)
{
    thread_comm *comm = (thread_comm *)base;
    thread_group *group = comm->group;
    pthread_mutex_lock(&group->lock);
    bool last = --group->members == 0;
    pthread_mutex_unlock(&group->lock);
    if (last) {
        pthread_cond_destroy(&group->news);
        pthread_mutex_destroy(&group->lock);
        ft_free(group);
    }
    ft_free(comm);
}

static const ft_comm_row threads_row = {
    .name = "threads",
    .host_memory = true,
    .free = threads_free,
    .abort = threads_abort,
    .all_gather = threads_all_gather,
    .all_reduce = threads_all_reduce,
    .reduce_scatter = threads_reduce_scatter,
    .broadcast = threads_broadcast,
    .barrier = threads_barrier,
};

static ft_status join_rank(ft_comm **made, thread_group *group, int rank)
{
    thread_comm *comm = FT_NEW(thread_comm);
    FT_ALLOC_CHECK(comm);
    comm->base = (ft_comm){.row = &threads_row, .rank = rank, .size = group->size};
    comm->group = group;
    group->members++;
    *made = &comm->base;
    return FT_OK;
}

ft_status ft_comm_threads(ft_comm **comms, int n)
{
    FT_ASSERT(n >= 1);
    thread_group *group = ft_calloc(1, sizeof *group + (size_t)n * sizeof *group->call);
    FT_ALLOC_CHECK(group);
    group->size = n;
    group->members = 1;  // ours, until all ranks have joined
    pthread_mutex_init(&group->lock, NULL);
    pthread_cond_init(&group->news, NULL);
    ft_status status = FT_OK;
    int made = 0;
    while (made < n && status == FT_OK) {
        status = join_rank(&comms[made], group, made);
        made += status == FT_OK;
    }
    if (status == FT_OK) {
        group->members--;
        return FT_OK;
    }
    while (made > 0) ft_comm_free(comms[--made]);
    pthread_cond_destroy(&group->news);
    pthread_mutex_destroy(&group->lock);
    ft_free(group);
    return status;
}
