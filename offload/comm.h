// Communication between ranks. A backend is one row: self (one rank), threads (ranks are threads of this process, CPU device),
// mpi (one process per rank), nccl (with the CUDA device).
//
// Every rank calls every collective in the same order. Results are the same bits on every rank, and all_reduce sums in rank
// order 0, 1, 2, ..., so they do not depend on timing. A rank that fails calls ft_comm_abort: the others' pending and later
// calls return FT_E_IO instead of hanging. Contents of buffers are then unspecified, and so is whether a call that was in
// progress still succeeds. A communicator is used by one thread at a time. Nothing is allocated after creation.
#ifndef FT_OFFLOAD_COMM_H
#define FT_OFFLOAD_COMM_H

#include "device/device.h"

typedef struct ft_comm ft_comm;

// `self`: a communicator of one rank.
ft_status ft_comm_self(ft_comm **comm);
// `threads`: creates n connected communicators for n threads of this process.
ft_status ft_comm_threads(ft_comm **comms, int n);
// `mpi`: MPI_COMM_WORLD; initialises MPI if needed. FT_E_UNSUPPORTED if this build has no MPI.
ft_status ft_comm_mpi(ft_comm **comm);
void ft_comm_free(ft_comm *comm);  // the mpi backend finalises with its last communicator
void ft_comm_abort(ft_comm *comm);

int ft_comm_rank(const ft_comm *comm);
int ft_comm_size(const ft_comm *comm);
const char *ft_comm_backend(const ft_comm *comm);

// Buffers are device memory of the rank's device (host memory on the CPU device); the call is ordered on `queue`. `threads` and
// `mpi` move host memory, so they want a queue of the CPU device (FT_E_UNSUPPORTED otherwise) and have finished on return.
// dst holds size * bytes; rank r's src lands at dst + r * bytes, where it may lie already.
ft_status ft_comm_all_gather(ft_comm *comm, void *dst, const void *src, int64_t bytes, ft_queue *queue);
ft_status ft_comm_all_reduce(ft_comm *comm, float *data, int64_t n, ft_queue *queue);             // in place, sum
ft_status ft_comm_all_reduce_f64(ft_comm *comm, double *data, int64_t n, ft_queue *queue);        // in place, sum
// Rank r's dst is the sum of every rank's src[r * n_each, ...); dst may be that part of src.
ft_status ft_comm_reduce_scatter(ft_comm *comm, float *dst, const float *src, int64_t n_each, ft_queue *queue);
ft_status ft_comm_broadcast(ft_comm *comm, void *data, int64_t bytes, int root, ft_queue *queue);
ft_status ft_comm_barrier(ft_comm *comm);

#endif
