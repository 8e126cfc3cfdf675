// The calls of offload/comm.h, and the backend of one rank.
#include "offload/comm.h"

#include "common/memory.h"
#include "offload/comm_backend.h"

void ft_comm_add(void *acc, const void *x, int64_t n, ft_comm_type type)
{
    if (type == FT_COMM_F32) {
        float *a = acc;
        const float *b = x;
        for (int64_t i = 0; i < n; i++) a[i] += b[i];
    } else {
        double *a = acc;
        const double *b = x;
        for (int64_t i = 0; i < n; i++) a[i] += b[i];
    }
}

ft_status ft_comm_aborted(const ft_comm *comm)
{
    return ft_error(FT_E_IO, "rank %d: another rank stopped with an error: see its message", comm->rank);
}

// A host backend works at once, on memory that work queued before may still be writing.
static ft_status enter(const ft_comm *comm, ft_queue *queue)
{
    if (!comm->row->host_memory) return FT_OK;
    if (ft_queue_device(queue)->info.kind != FT_DEVICE_CPU)
        return ft_error(FT_E_UNSUPPORTED, "the %s backend moves host memory only: GPUs communicate through nccl", comm->row->name);
    return ft_queue_sync(queue);
}

ft_status ft_comm_all_gather(ft_comm *comm, void *dst, const void *src, int64_t bytes, ft_queue *queue)
{
    FT_ASSERT(bytes >= 0);
    FT_TRY(enter(comm, queue));
    return bytes == 0 ? FT_OK : comm->row->all_gather(comm, dst, src, bytes, queue);
}

ft_status ft_comm_all_reduce(ft_comm *comm, float *data, int64_t n, ft_queue *queue)
{
    FT_ASSERT(n >= 0);
    FT_TRY(enter(comm, queue));
    return n == 0 ? FT_OK : comm->row->all_reduce(comm, data, n, FT_COMM_F32, queue);
}

ft_status ft_comm_all_reduce_f64(ft_comm *comm, double *data, int64_t n, ft_queue *queue)
{
    FT_ASSERT(n >= 0);
    FT_TRY(enter(comm, queue));
    return n == 0 ? FT_OK : comm->row->all_reduce(comm, data, n, FT_COMM_F64, queue);
}

ft_status ft_comm_reduce_scatter(ft_comm *comm, float *dst, const float *src, int64_t n_each, ft_queue *queue)
{
    FT_ASSERT(n_each >= 0);
    FT_TRY(enter(comm, queue));
    return n_each == 0 ? FT_OK : comm->row->reduce_scatter(comm, dst, src, n_each, queue);
}

ft_status ft_comm_broadcast(ft_comm *comm, void *data, int64_t bytes, int root, ft_queue *queue)
{
    FT_ASSERT(bytes >= 0 && root >= 0 && root < comm->size, "broadcast from rank %d of %d", root, comm->size);
    FT_TRY(enter(comm, queue));
    return bytes == 0 ? FT_OK : comm->row->broadcast(comm, data, bytes, root, queue);
}

ft_status ft_comm_barrier(ft_comm *comm)
{
    return comm->row->barrier(comm);
}

void ft_comm_abort(ft_comm *comm)
{
    comm->row->abort(comm);
}

void ft_comm_free(ft_comm *comm)
{
    if (comm != NULL) comm->row->free(comm);
}

int ft_comm_rank(const ft_comm *comm)
{
    return comm->rank;
}

int ft_comm_size(const ft_comm *comm)
{
    return comm->size;
}

const char *ft_comm_backend(const ft_comm *comm)
{
    return comm->row->name;
}

// --- self -------------------------------------------------------------------------------------------------------------------

typedef struct {
    ft_comm base;
    bool aborted;
} self_comm;

static ft_status self_check(const ft_comm *comm)
{
    return ((const self_comm *)comm)->aborted ? ft_comm_aborted(comm) : FT_OK;
}

static ft_status self_all_gather(ft_comm *comm, void *dst, const void *src, int64_t bytes, ft_queue *queue)
{
    FT_TRY(self_check(comm));
    return dst == src ? FT_OK : ft_copy_d2d(queue, dst, src, bytes);
}

static ft_status self_all_reduce(ft_comm *comm, void *data, int64_t n, ft_comm_type type, ft_queue *queue)
{
    return self_check(comm);
}

static ft_status self_reduce_scatter(ft_comm *comm, float *dst, const float *src, int64_t n_each, ft_queue *queue)
{
    return self_all_gather(comm, dst, src, n_each * (int64_t)sizeof *src, queue);
}

static ft_status self_broadcast(ft_comm *comm, void *data, int64_t bytes, int root, ft_queue *queue)
{
    return self_check(comm);
}

static ft_status self_barrier(ft_comm *comm)
{
    return self_check(comm);
}

static void self_abort(ft_comm *comm)
{
    ((self_comm *)comm)->aborted = true;
}

static void self_free(ft_comm *comm)
{
    ft_free(comm);
}

static const ft_comm_row self_row = {
    .name = "self",
    .free = self_free,
    .abort = self_abort,
    .all_gather = self_all_gather,
    .all_reduce = self_all_reduce,
    .reduce_scatter = self_reduce_scatter,
    .broadcast = self_broadcast,
    .barrier = self_barrier,
};

ft_status ft_comm_self(ft_comm **comm)
{
    self_comm *self = FT_NEW(self_comm);
    FT_ALLOC_CHECK(self);
    self->base = (ft_comm){.row = &self_row, .rank = 0, .size = 1};
    *comm = &self->base;
    return FT_OK;
}
