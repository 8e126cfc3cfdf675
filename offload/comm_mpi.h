// What comm_mpi.c (start, end, abort) and comm_mpi_collectives.c share.
#ifndef FT_OFFLOAD_COMM_MPI_H
#define FT_OFFLOAD_COMM_MPI_H

#include <mpi.h>

#include "offload/comm_backend.h"

#define FT_MPI_SCRATCH_BYTES ((int64_t)4 << 20)  // of a chunk that is summed

enum { FT_MPI_TAG_DATA = 1, FT_MPI_TAG_ABORT = 2 };

typedef struct {
    ft_comm base;
    MPI_Comm comm;
    MPI_Request listen;     // receive of an abort
    bool aborted;
    MPI_Request *request;   // [2 * size], of the call in progress
    bool *receives;         // [2 * size]
    int n_requests;
    int64_t *part_at, *part_n;  // [size], elements: where each rank's part of a chunk lies
    char *scratch;          // parts to be summed, one behind the other in rank order
} ft_mpi_comm;

ft_status ft_mpi_error(const ft_mpi_comm *comm, int code, const char *what);
#define FT_TRY_MPI(comm, call)                                          \
    do {                                                                \
        int code_ = (call);                                             \
        if (code_ != MPI_SUCCESS) return ft_mpi_error(comm, code_, #call); \
    } while (0)

// Leaves the messages of a call behind: the run is over, nobody waits for them.
void ft_mpi_drop_messages(ft_mpi_comm *comm);

ft_status ft_mpi_all_gather(ft_comm *comm, void *dst, const void *src, int64_t bytes, ft_queue *queue);
ft_status ft_mpi_all_reduce(ft_comm *comm, void *data, int64_t n, ft_comm_type type, ft_queue *queue);
ft_status ft_mpi_reduce_scatter(ft_comm *comm, float *dst, const float *src, int64_t n_each, ft_queue *queue);
ft_status ft_mpi_broadcast(ft_comm *comm, void *data, int64_t bytes, int root, ft_queue *queue);
ft_status ft_mpi_barrier(ft_comm *comm);

#endif
