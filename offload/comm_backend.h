// What a communication backend implements; comm.c checks arguments, keeps the abort flag and orders calls on the queue.
#ifndef FT_OFFLOAD_COMM_BACKEND_H
#define FT_OFFLOAD_COMM_BACKEND_H

#include "offload/comm.h"

typedef enum { FT_COMM_F32, FT_COMM_F64 } ft_comm_type;
static inline int64_t ft_comm_type_bytes(ft_comm_type type) { return type == FT_COMM_F32 ? 4 : 8; }

// The row of a backend. `free` releases the struct itself. Counts are > 0; the queue was synchronised where host_memory is set.
typedef struct {
    const char *name;
    bool host_memory;  // buffers are read and written by the host: CPU device only
    void (*free)(ft_comm *comm);
    void (*abort)(ft_comm *comm);
    ft_status (*all_gather)(ft_comm *comm, void *dst, const void *src, int64_t bytes, ft_queue *queue);
    ft_status (*all_reduce)(ft_comm *comm, void *data, int64_t n, ft_comm_type type, ft_queue *queue);
    ft_status (*reduce_scatter)(ft_comm *comm, float *dst, const float *src, int64_t n_each, ft_queue *queue);
    ft_status (*broadcast)(ft_comm *comm, void *data, int64_t bytes, int root, ft_queue *queue);
    ft_status (*barrier)(ft_comm *comm);
} ft_comm_row;

// First member of every backend's own struct.
struct ft_comm {
    const ft_comm_row *row;
    int rank, size;
};

// acc[i] += x[i]: the one addition every backend uses, so that all give the same bits.
void ft_comm_add(void *acc, const void *x, int64_t n, ft_comm_type type);
// What a call returns once any rank has aborted.
ft_status ft_comm_aborted(const ft_comm *comm);

#endif
