// The `mpi` backend: one process per rank, MPI_COMM_WORLD, host memory. Start, end and abort; comm_mpi_collectives.c has the rest.
#include "common/memory.h"
#include "offload/comm_backend.h"

#ifdef FT_HAVE_MPI

#include <time.h>

#include "offload/comm_mpi.h"

#define ABORT_TESTS 1000  // milliseconds an aborting rank stays to deliver its messages

static int live_comms;
static bool initialised_here;

// Tells everyone. Messages need this process to make progress, so it stays a moment; a rank that is gone already is not waited for.
static void mpi_abort(ft_comm *base)
{
    ft_mpi_comm *comm = (ft_mpi_comm *)base;
    if (comm->aborted) return;
    comm->aborted = true;
    ft_mpi_drop_messages(comm);
    for (int r = 0; r < base->size; r++) {
        if (r == base->rank) continue;
        if (MPI_Isend(NULL, 0, MPI_BYTE, r, FT_MPI_TAG_ABORT, comm->comm, &comm->request[comm->n_requests]) == MPI_SUCCESS)
            comm->receives[comm->n_requests++] = false;
    }
    int done = 0;
    for (int i = 0; i < ABORT_TESTS && !done; i++) {
        if (MPI_Testall(comm->n_requests, comm->request, &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) break;
        if (!done) nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
    ft_mpi_drop_messages(comm);
}

static void free_memory(ft_mpi_comm *comm)
{
    ft_free(comm->request);
    ft_free(comm->receives);
    ft_free(comm->part_at);
    ft_free(comm->part_n);
    ft_free(comm->scratch);
    ft_free(comm);
}

static void finalize_with_last(void)
{
    if (--live_comms == 0 && initialised_here) MPI_Finalize();
}

static void mpi_free(ft_comm *base)
{
    ft_mpi_comm *comm = (ft_mpi_comm *)base;
    if (comm->listen != MPI_REQUEST_NULL) {
        MPI_Cancel(&comm->listen);
        MPI_Request_free(&comm->listen);
    }
    if (!comm->aborted) MPI_Comm_free(&comm->comm);
    free_memory(comm);
    finalize_with_last();
}

static const ft_comm_row mpi_row = {
    .name = "mpi",
    .host_memory = true,
    .free = mpi_free,
    .abort = mpi_abort,
    .all_gather = ft_mpi_all_gather,
    .all_reduce = ft_mpi_all_reduce,
    .reduce_scatter = ft_mpi_reduce_scatter,
    .broadcast = ft_mpi_broadcast,
    .barrier = ft_mpi_barrier,
};

static ft_status initialise(void)
{
    int initialised = 0, finalized = 0, provided;
    MPI_Finalized(&finalized);
    if (finalized) return ft_error(FT_E_INTERNAL, "MPI was finalised with its last communicator: it starts once in a process");
    MPI_Initialized(&initialised);
    if (initialised) return FT_OK;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS)
        return ft_error(FT_E_IO, "MPI could not be initialised: start ranks with mpirun");
    initialised_here = true;
    if (provided >= MPI_THREAD_SERIALIZED) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "this MPI library is for one thread only: use one with MPI_THREAD_SERIALIZED");
}

static ft_status allocate(ft_mpi_comm *comm)
{
    size_t size = (size_t)comm->base.size;
    comm->request = FT_NEW_ARRAY(MPI_Request, 2 * size);
    FT_ALLOC_CHECK(comm->request);
    comm->receives = FT_NEW_ARRAY(bool, 2 * size);
    FT_ALLOC_CHECK(comm->receives);
    comm->part_at = FT_NEW_ARRAY(int64_t, size);
    FT_ALLOC_CHECK(comm->part_at);
    comm->part_n = FT_NEW_ARRAY(int64_t, size);
    FT_ALLOC_CHECK(comm->part_n);
    comm->scratch = ft_malloc((size_t)FT_MPI_SCRATCH_BYTES + size * sizeof(double));  // parts round up to whole elements
    FT_ALLOC_CHECK(comm->scratch);
    return FT_OK;
}

static ft_status join(ft_mpi_comm *comm)
{
    MPI_Comm_rank(MPI_COMM_WORLD, &comm->base.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm->base.size);
    FT_TRY(allocate(comm));
    FT_TRY_MPI(comm, MPI_Comm_dup(MPI_COMM_WORLD, &comm->comm));
    FT_TRY_MPI(comm, MPI_Comm_set_errhandler(comm->comm, MPI_ERRORS_RETURN));
    FT_TRY_MPI(comm, MPI_Irecv(NULL, 0, MPI_BYTE, MPI_ANY_SOURCE, FT_MPI_TAG_ABORT, comm->comm, &comm->listen));
    return FT_OK;
}

ft_status ft_comm_mpi(ft_comm **made)
{
    FT_TRY(initialise());
    ft_mpi_comm *comm = FT_NEW(ft_mpi_comm);
    FT_ALLOC_CHECK(comm);
    comm->base.row = &mpi_row;
    comm->listen = MPI_REQUEST_NULL;
    live_comms++;
    ft_status status = join(comm);
    if (status == FT_OK) {
        *made = &comm->base;
        return FT_OK;
    }
    free_memory(comm);
    finalize_with_last();
    return status;
}

#else

ft_status ft_comm_mpi(ft_comm **comm)
{
    *comm = NULL;
    return ft_error(FT_E_UNSUPPORTED, "this build has no MPI: install libopenmpi-dev and configure with -DFT_MPI=ON");
}

#endif
