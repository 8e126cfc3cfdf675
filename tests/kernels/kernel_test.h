// Helpers of the kernel tests. References are written in each test, in float64, in the plainest form of the formula.
#ifndef FT_TESTS_KERNELS_KERNEL_TEST_H
#define FT_TESTS_KERNELS_KERNEL_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "common/rng.h"
#include "common/threads.h"
#include "kernels/ops.h"

typedef struct {
    ft_device *device;
    ft_queue *queue;
    const ft_ops *ops;
} t_kernels;

static t_kernels t;

static inline int t_open(void **state)
{
    if (ft_threads_init(2) != FT_OK || ft_device_open(&t.device, "cpu", 0) != FT_OK) return -1;
    if (ft_queue_create(t.device, FT_QUEUE_COMPUTE, "compute", &t.queue) != FT_OK) return -1;
    t.ops = ft_ops_for(FT_DEVICE_CPU);
    return 0;
}

static inline int t_close(void **state)
{
    ft_queue_destroy(t.queue);
    ft_device_close(t.device);
    ft_threads_shutdown();
    return 0;
}

// A float32 matrix [rows, cols] with `pad` further columns of NaN, which an op must neither use nor touch.
typedef struct {
    float *data;
    int64_t rows, cols, ld;
} t_matrix;

enum { T_PAD_BITS = 0x7FC0BEEF };

static inline t_matrix t_matrix_nan(int64_t rows, int64_t cols, int64_t pad)
{
    t_matrix m = {ft_malloc((size_t)(rows * (cols + pad) + 1) * sizeof(float)), rows, cols, cols + pad};
    for (int64_t i = 0; i < rows * m.ld; i++) m.data[i] = ft_bits_to_f32(T_PAD_BITS);
    return m;
}

// Normal values from a seed, times `scale`.
static inline t_matrix t_matrix_random(int64_t rows, int64_t cols, int64_t pad, uint32_t seed, float scale)
{
    t_matrix m = t_matrix_nan(rows, cols, pad);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            float pair[2];
            ft_rng_block block = ft_rng(seed, FT_RNG_DATA, (uint32_t)r, (uint32_t)c, 0, 0);
            ft_rng_normal(block.word[0], block.word[1], pair);
            m.data[r * m.ld + c] = pair[0] * scale;
        }
    }
    return m;
}

static inline t_matrix t_matrix_copy(t_matrix from)
{
    t_matrix m = t_matrix_nan(from.rows, from.cols, from.ld - from.cols);
    memcpy(m.data, from.data, (size_t)(from.rows * from.ld) * sizeof(float));
    return m;
}

static inline void t_matrix_free(t_matrix m)
{
    for (int64_t r = 0; r < m.rows; r++) {
        for (int64_t c = m.cols; c < m.ld; c++) assert_int_equal(ft_f32_to_bits(m.data[r * m.ld + c]), T_PAD_BITS);
    }
    ft_free(m.data);
}

static inline ft_view t_view(t_matrix m)
{
    return (ft_view){.data = m.data, .repr = FT_REPR_F32, .rows = m.rows, .cols = m.cols, .ld = m.ld};
}

static inline double t_at(t_matrix m, int64_t row, int64_t col)
{
    return (double)m.data[row * m.ld + col];
}

static inline double *t_doubles(int64_t n)
{
    return ft_calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

// ||m - reference|| / ||reference||, reference [rows, cols] dense. NaN anywhere gives NaN, which no bound admits.
static inline double t_error(t_matrix m, const double *reference)
{
    double difference = 0, norm = 0;
    for (int64_t r = 0; r < m.rows; r++) {
        for (int64_t c = 0; c < m.cols; c++) {
            double expected = reference[r * m.cols + c], d = t_at(m, r, c) - expected;
            difference += d * d;
            norm += expected * expected;
        }
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

#define t_assert_close(matrix, reference, tolerance)                                                      \
    do {                                                                                                  \
        double t_error_ = t_error(matrix, reference);                                                     \
        if (!(t_error_ <= (tolerance))) fail_msg("%s: relative error %g > %g", #matrix, t_error_, tolerance); \
    } while (0)

#define t_assert_same_bits(a, b) assert_memory_equal((a).data, (b).data, (size_t)((a).rows * (a).ld) * sizeof(float))

// A workspace of exactly the bytes the op table gives, full of NaN, with a canary behind.
typedef struct {
    void *block, *data;
    int64_t bytes;
} t_workspace;

enum { T_CANARY = 256 };

static inline t_workspace t_workspace_take(ft_op op, const ft_op_shape *shape)
{
    t_workspace w = {.bytes = ft_op_workspace(op, shape, FT_DEVICE_CPU)};
    assert_true(w.bytes >= 0);
    w.block = ft_malloc((size_t)w.bytes + FT_ARENA_ALIGN + T_CANARY);
    w.data = (void *)(((uintptr_t)w.block + FT_ARENA_ALIGN - 1) / FT_ARENA_ALIGN * FT_ARENA_ALIGN);
    memset(w.data, 0xFF, (size_t)w.bytes);
    memset((char *)w.data + w.bytes, 0xA5, T_CANARY);
    return w;
}

static inline void t_workspace_return(t_workspace w)
{
    const unsigned char *canary = (const unsigned char *)w.data + w.bytes;
    for (int i = 0; i < T_CANARY; i++) assert_int_equal(canary[i], 0xA5);
    ft_free(w.block);
}

#define T_GROUP(tests) cmocka_run_group_tests(tests, t_open, t_close)

#endif
