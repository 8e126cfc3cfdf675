// Collectives of the `mpi` backend, made of point-to-point messages, for two reasons: sums are taken in rank order whatever MPI's
// algorithm, and a pending call can be left when another rank aborts (MPI's own collectives cannot be cancelled). Waiting tests
// the messages of the call and the one receive that listens for an abort, and sleeps between tests: ranks may share cores.
// An all-reduce is a reduce-scatter and an all-gather of each chunk: 2 (size - 1)/size of the data in and out of every rank.
#ifdef FT_HAVE_MPI

#include <sched.h>
#include <string.h>
#include <time.h>

#include "offload/comm_mpi.h"

#define MESSAGE_BYTES ((int64_t)1 << 30)  // counts of MPI are int
#define SPINS 200                         // tests before a wait begins to sleep

ft_status ft_mpi_error(const ft_mpi_comm *comm, int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    MPI_Error_string(code, text, &length);
    return ft_error(FT_E_IO, "MPI rank %d: %s: %s", comm->base.rank, what, text);
}

static ft_status send_to(ft_mpi_comm *comm, const void *data, int64_t bytes, int rank)
{
    FT_TRY_MPI(comm, MPI_Isend(data, (int)bytes, MPI_BYTE, rank, FT_MPI_TAG_DATA, comm->comm, &comm->request[comm->n_requests]));
    comm->receives[comm->n_requests++] = false;
    return FT_OK;
}

static ft_status receive_from(ft_mpi_comm *comm, void *data, int64_t bytes, int rank)
{
    FT_TRY_MPI(comm, MPI_Irecv(data, (int)bytes, MPI_BYTE, rank, FT_MPI_TAG_DATA, comm->comm, &comm->request[comm->n_requests]));
    comm->receives[comm->n_requests++] = true;
    return FT_OK;
}

// Leaves the messages of a call behind: the run is over, nobody waits for them.
void ft_mpi_drop_messages(ft_mpi_comm *comm)
{
    for (int i = 0; i < comm->n_requests; i++) {
        if (comm->request[i] == MPI_REQUEST_NULL) continue;
        if (comm->receives[i]) MPI_Cancel(&comm->request[i]);
        MPI_Request_free(&comm->request[i]);
    }
    comm->n_requests = 0;
}

static ft_status listen_for_abort(ft_mpi_comm *comm)
{
    int heard = 0;
    if (!comm->aborted) FT_TRY_MPI(comm, MPI_Test(&comm->listen, &heard, MPI_STATUS_IGNORE));
    if (heard) comm->aborted = true;
    return comm->aborted ? ft_comm_aborted(&comm->base) : FT_OK;
}

static void rest(int spins)
{
    if (spins < SPINS) sched_yield();
    else nanosleep(&(struct timespec){.tv_nsec = 50 * 1000}, NULL);
}

static ft_status wait_messages(ft_mpi_comm *comm)
{
    for (int spins = 0;; spins++) {
        int done = 0;
        int code = MPI_Testall(comm->n_requests, comm->request, &done, MPI_STATUSES_IGNORE);
        ft_status status = code == MPI_SUCCESS ? FT_OK : ft_mpi_error(comm, code, "MPI_Testall");
        if (status == FT_OK && !done) status = listen_for_abort(comm);
        if (status != FT_OK) {
            ft_mpi_drop_messages(comm);
            return status;
        }
        if (done) break;
        rest(spins);
    }
    comm->n_requests = 0;
    return FT_OK;
}

// Pieces of `bytes` each, rank r's at base + r * stride: mine goes to everyone, theirs come to me.
static ft_status exchange(ft_mpi_comm *comm, char *base, int64_t stride, int64_t bytes)
{
    int rank = comm->base.rank, size = comm->base.size;
    for (int i = 1; i < size; i++) {
        int to = (rank + i) % size, from = (rank - i + size) % size;
        FT_TRY(receive_from(comm, base + from * stride, bytes, from));
        FT_TRY(send_to(comm, base + rank * stride, bytes, to));
    }
    return wait_messages(comm);
}

ft_status ft_mpi_all_gather(ft_comm *base, void *dst, const void *src, int64_t bytes, ft_queue *queue)
{
    ft_mpi_comm *comm = (ft_mpi_comm *)base;
    char *mine = (char *)dst + base->rank * bytes;
    FT_TRY(listen_for_abort(comm));
    if (mine != src) memcpy(mine, src, (size_t)bytes);
    for (int64_t at = 0; at < bytes; at += MESSAGE_BYTES)
        FT_TRY(exchange(comm, (char *)dst + at, bytes, bytes - at < MESSAGE_BYTES ? bytes - at : MESSAGE_BYTES));
    return FT_OK;
}

// The parts of a chunk of n elements at `at`, split as evenly as whole elements allow.
static void split_chunk(ft_mpi_comm *comm, int64_t at, int64_t n)
{
    int size = comm->base.size;
    for (int r = 0; r < size; r++) {
        int64_t begin = n / size * r + n % size * r / size, end = n / size * (r + 1) + n % size * (r + 1) / size;
        comm->part_at[r] = at + begin;
        comm->part_n[r] = end - begin;
    }
}

// Everyone's data for this rank's part comes into scratch, and is summed there in rank order.
static ft_status sum_part(ft_mpi_comm *comm, const char *data, ft_comm_type type)
{
    int rank = comm->base.rank, size = comm->base.size;
    int64_t element = ft_comm_type_bytes(type), mine = comm->part_n[rank] * element;
    for (int i = 1; i < size; i++) {
        int to = (rank + i) % size, from = (rank - i + size) % size;
        FT_TRY(receive_from(comm, comm->scratch + from * mine, mine, from));
        FT_TRY(send_to(comm, data + comm->part_at[to] * element, comm->part_n[to] * element, to));
    }
    memcpy(comm->scratch + rank * mine, data + comm->part_at[rank] * element, (size_t)mine);
    FT_TRY(wait_messages(comm));
    for (int r = 1; r < size; r++) ft_comm_add(comm->scratch, comm->scratch + r * mine, comm->part_n[rank], type);
    return FT_OK;
}

// The summed parts go to everyone.
static ft_status spread_parts(ft_mpi_comm *comm, char *data, int64_t element)
{
    int rank = comm->base.rank, size = comm->base.size;
    char *mine = data + comm->part_at[rank] * element;
    memcpy(mine, comm->scratch, (size_t)(comm->part_n[rank] * element));
    for (int i = 1; i < size; i++) {
        int to = (rank + i) % size, from = (rank - i + size) % size;
        FT_TRY(receive_from(comm, data + comm->part_at[from] * element, comm->part_n[from] * element, from));
        FT_TRY(send_to(comm, mine, comm->part_n[rank] * element, to));
    }
    return wait_messages(comm);
}

ft_status ft_mpi_all_reduce(ft_comm *base, void *data, int64_t n, ft_comm_type type, ft_queue *queue)
{
    ft_mpi_comm *comm = (ft_mpi_comm *)base;
    int64_t element = ft_comm_type_bytes(type), chunk = FT_MPI_SCRATCH_BYTES / element;
    FT_TRY(listen_for_abort(comm));
    for (int64_t at = 0; at < n; at += chunk) {
        split_chunk(comm, at, n - at < chunk ? n - at : chunk);
        FT_TRY(sum_part(comm, data, type));
        FT_TRY(spread_parts(comm, data, element));
    }
    return FT_OK;
}

ft_status ft_mpi_reduce_scatter(ft_comm *base, float *dst, const float *src, int64_t n_each, ft_queue *queue)
{
    ft_mpi_comm *comm = (ft_mpi_comm *)base;
    int64_t chunk = FT_MPI_SCRATCH_BYTES / (int64_t)sizeof(float) / base->size;
    FT_TRY(listen_for_abort(comm));
    for (int64_t at = 0; at < n_each; at += chunk) {
        for (int r = 0; r < base->size; r++) {
            comm->part_at[r] = r * n_each + at;
            comm->part_n[r] = n_each - at < chunk ? n_each - at : chunk;
        }
        FT_TRY(sum_part(comm, (const char *)src, FT_COMM_F32));
        memcpy(dst + at, comm->scratch, (size_t)comm->part_n[0] * sizeof(float));
    }
    return FT_OK;
}

// A binomial tree: counted from the root, rank v hears from v without its lowest bit and tells v + smaller bits.
static ft_status broadcast_piece(ft_mpi_comm *comm, void *data, int64_t bytes, int root)
{
    int size = comm->base.size, v = (comm->base.rank - root + size) % size, bit = 1;
    while (bit < size && (v & bit) == 0) bit <<= 1;
    if (v != 0) {
        FT_TRY(receive_from(comm, data, bytes, (v - bit + root) % size));
        FT_TRY(wait_messages(comm));
    }
    for (bit >>= 1; bit > 0; bit >>= 1)
        if (v + bit < size) FT_TRY(send_to(comm, data, bytes, (v + bit + root) % size));
    return wait_messages(comm);
}

ft_status ft_mpi_broadcast(ft_comm *base, void *data, int64_t bytes, int root, ft_queue *queue)
{
    ft_mpi_comm *comm = (ft_mpi_comm *)base;
    FT_TRY(listen_for_abort(comm));
    for (int64_t at = 0; at < bytes; at += MESSAGE_BYTES)
        FT_TRY(broadcast_piece(comm, (char *)data + at, bytes - at < MESSAGE_BYTES ? bytes - at : MESSAGE_BYTES, root));
    return FT_OK;
}

ft_status ft_mpi_barrier(ft_comm *base)
{
    ft_mpi_comm *comm = (ft_mpi_comm *)base;
    FT_TRY(listen_for_abort(comm));
    return exchange(comm, comm->scratch, 1, 1);
}

#endif
