// What the comm tests share: every collective on one rank, checked against sums formed in rank order.
#ifndef FT_TESTS_OFFLOAD_COMM_SUPPORT_H
#define FT_TESTS_OFFLOAD_COMM_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "offload/comm.h"

// A failed check ends the process, threads and other MPI ranks with it: ranks that wait for this one would hang.
#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (condition) break;                                                             \
        fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, ft_error_message()); \
        _Exit(1);                                                                         \
    } while (0)

// Values of very different sizes: any other order of additions gives other bits.
static inline float comm_value(int rank, int64_t i)
{
    uint64_t mixed = ((uint64_t)i * 0x9E3779B97F4A7C15u) ^ ((uint64_t)(rank + 1) * 0xC2B2AE3D27D4EB4Fu);
    mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9u;
    return ((float)(int32_t)(mixed >> 32) * 0x1p-31f) * (float)(1 << (mixed >> 8) % 24);
}

static inline float comm_sum_f32(int size, int64_t i)
{
    float sum = comm_value(0, i);
    for (int r = 1; r < size; r++) sum += comm_value(r, i);
    return sum;
}

static inline double comm_sum_f64(int size, int64_t i)
{
    double sum = comm_value(0, i) * 1.1;
    for (int r = 1; r < size; r++) sum += comm_value(r, i) * 1.1;
    return sum;
}

static inline void comm_check_all_reduce(ft_comm *comm, ft_queue *queue, int64_t n)
{
    int rank = ft_comm_rank(comm), size = ft_comm_size(comm);
    float *f32 = malloc((size_t)n * sizeof *f32 + 1);
    double *f64 = malloc((size_t)n * sizeof *f64 + 1);
    for (int64_t i = 0; i < n; i++) {
        f32[i] = comm_value(rank, i);
        f64[i] = comm_value(rank, i) * 1.1;
    }
    CHECK(ft_comm_all_reduce(comm, f32, n, queue) == FT_OK);
    CHECK(ft_comm_all_reduce_f64(comm, f64, n, queue) == FT_OK);
    CHECK(ft_queue_sync(queue) == FT_OK);
    for (int64_t i = 0; i < n; i++) {
        float sum_f32 = comm_sum_f32(size, i);
        double sum_f64 = comm_sum_f64(size, i);
        CHECK(memcmp(&f32[i], &sum_f32, sizeof sum_f32) == 0);
        CHECK(memcmp(&f64[i], &sum_f64, sizeof sum_f64) == 0);
    }
    free(f32);
    free(f64);
}

// In place and not: dst may be the rank's own part of src.
static inline void comm_check_reduce_scatter(ft_comm *comm, ft_queue *queue, int64_t n_each, bool in_place)
{
    int rank = ft_comm_rank(comm), size = ft_comm_size(comm);
    float *src = malloc((size_t)(n_each * size) * sizeof *src + 1), *own = malloc((size_t)n_each * sizeof *own + 1);
    float *dst = in_place ? src + rank * n_each : own;
    for (int64_t i = 0; i < n_each * size; i++) src[i] = comm_value(rank, i);
    CHECK(ft_comm_reduce_scatter(comm, dst, src, n_each, queue) == FT_OK);
    CHECK(ft_queue_sync(queue) == FT_OK);
    for (int64_t i = 0; i < n_each; i++) {
        float sum = comm_sum_f32(size, rank * n_each + i);
        CHECK(memcmp(&dst[i], &sum, sizeof sum) == 0);
    }
    free(src);
    free(own);
}

static inline char comm_byte(int rank, int64_t i)
{
    return (char)(31 * rank + i * 7 + i / 251);
}

static inline void comm_check_all_gather(ft_comm *comm, ft_queue *queue, int64_t bytes, bool in_place)
{
    int rank = ft_comm_rank(comm), size = ft_comm_size(comm);
    char *dst = malloc((size_t)(bytes * size) + 1), *own = malloc((size_t)bytes + 1), *src = in_place ? dst + rank * bytes : own;
    memset(dst, 0x55, (size_t)(bytes * size));
    for (int64_t i = 0; i < bytes; i++) src[i] = comm_byte(rank, i);
    CHECK(ft_comm_all_gather(comm, dst, src, bytes, queue) == FT_OK);
    CHECK(ft_queue_sync(queue) == FT_OK);
    for (int r = 0; r < size; r++)
        for (int64_t i = 0; i < bytes; i++) CHECK(dst[r * bytes + i] == comm_byte(r, i));
    free(dst);
    free(own);
}

static inline void comm_check_broadcast(ft_comm *comm, ft_queue *queue, int64_t bytes, int root)
{
    char *data = malloc((size_t)bytes + 1);
    for (int64_t i = 0; i < bytes; i++) data[i] = comm_byte(ft_comm_rank(comm), i);
    CHECK(ft_comm_broadcast(comm, data, bytes, root, queue) == FT_OK);
    CHECK(ft_queue_sync(queue) == FT_OK);
    for (int64_t i = 0; i < bytes; i++) CHECK(data[i] == comm_byte(root, i));
    free(data);
}

// Everything, at sizes around the ranks' shares and blocks.
static inline void comm_check_all(ft_comm *comm, ft_queue *queue, int64_t largest)
{
    const int64_t sizes[] = {0, 1, 2, 3, 5, 1023, 1024, 1025, 10007, largest};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        comm_check_all_reduce(comm, queue, sizes[s]);
        for (int in_place = 0; in_place < 2; in_place++) {
            comm_check_reduce_scatter(comm, queue, sizes[s], in_place);
            comm_check_all_gather(comm, queue, sizes[s], in_place);
        }
        for (int root = 0; root < ft_comm_size(comm); root++) comm_check_broadcast(comm, queue, sizes[s], root);
        CHECK(ft_comm_barrier(comm) == FT_OK);
    }
}

#endif
