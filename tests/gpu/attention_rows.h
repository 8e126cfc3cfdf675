// Operands of attention as rows with a tail, and what float64 references of attention are made of.
#ifndef TESTS_GPU_ATTENTION_ROWS_H
#define TESTS_GPU_ATTENTION_ROWS_H

#include <math.h>
#include <string.h>

#include "common/memory.h"
#include "gpu/gpu.h"

typedef struct {
    double *o, *lse, *dqkv;  // o, dqkv [rows, cols]; lse in the order of the kernels under test
} t_attention_reference;

static inline ft_view t_rows_view(void *data, int64_t rows, int64_t cols, int64_t ld)
{
    return (ft_view){.data = data, .repr = FT_REPR_BF16, .rows = rows, .cols = cols, .ld = ld};
}

// Uploads contiguous values; the tail of every row is NaN.
static inline ft_view t_upload_rows(const float *values, int64_t rows, int64_t cols, int64_t ld)
{
    float *wide = ft_calloc((size_t)(rows * ld), sizeof *wide);
    for (int64_t r = 0; r < rows; r++) {
        memcpy(wide + r * ld, values + r * cols, (size_t)cols * sizeof *wide);
        for (int64_t i = cols; i < ld; i++) wide[r * ld + i] = NAN;
    }
    void *data = t_upload_bf16(wide, rows * ld);
    ft_free(wide);
    return t_rows_view(data, rows, cols, ld);
}

// All of it, tails included; the caller frees.
static inline uint16_t *t_download_rows(ft_view view)
{
    uint16_t *bits = ft_malloc((size_t)(view.rows * view.ld) * sizeof *bits);
    t_download(bits, view.data, view.rows * view.ld * 2);
    return bits;
}

static inline double t_dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static inline void t_add_scaled(double *to, double factor, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] += factor * (double)x[i];
}

static inline void t_attention_reference_free(t_attention_reference r)
{
    ft_free(r.o);
    ft_free(r.lse);
    ft_free(r.dqkv);
}

#endif
