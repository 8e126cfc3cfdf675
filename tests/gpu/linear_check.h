// Runs a linear group's two directions and holds them to the reference of linear_case.h: values, equal bits of two runs, nothing
// written outside of the views' room and of the workspace that the op table promises.
#ifndef TESTS_GPU_LINEAR_CHECK_H
#define TESTS_GPU_LINEAR_CHECK_H

#include "gpu/linear_case.h"

static inline int64_t linear_workspace_bytes(const linear_test *t, ft_op op)
{
    ft_op_shape shape = {.rows = t->c.rows, .in = t->c.in, .out = t->out, .rank = t->rank, .parts = t->c.n_parts,
                         .dropout = t->c.dropout > 0};
    return ft_op_workspace(op, &shape, FT_DEVICE_CUDA);
}

// After a call: the guard behind the workspace is as it was.
static inline void linear_check_guard(const linear_test *t, const char *workspace, int64_t bytes)
{
    unsigned char guard[LINEAR_GUARD];
    t_download(guard, workspace + bytes, LINEAR_GUARD);
    for (int i = 0; i < LINEAR_GUARD; i++) {
        if (guard[i] != 0xFF) fail_msg("%s: byte %d behind a workspace of %lld bytes was written", t->text, i, (long long)bytes);
    }
}

// The values of a view's first `cols` columns; columns from `end` on and rows beyond its room must be NaN, as uploaded.
static inline float *linear_gather(linear_test *t, const char *what, const void *data, int64_t cols, int64_t end, int64_t ld,
                                   int64_t rows_stored)
{
    ft_bf16 *image = linear_host(t, rows_stored * ld * 2);
    float *values = linear_host(t, t->c.rows * cols * 4);
    t_download(image, data, rows_stored * ld * 2);
    for (int64_t i = 0; i < rows_stored; i++) {
        for (int64_t l = 0; l < ld; l++) {
            if ((i >= t->room || l >= end) && image[i * ld + l] != 0xFFFF)
                fail_msg("%s: %s was written at row %lld, column %lld", t->text, what, (long long)i, (long long)l);
            if (i < t->c.rows && l < cols) values[i * cols + l] = ft_bf16_to_f32(image[i * ld + l]);
        }
    }
    return values;
}

static inline void linear_check(const linear_test *t, const char *what, const float *got, const double *want, int64_t n, double tolerance)
{
    char text[280];
    if (n == 0) return;
    snprintf(text, sizeof text, "%s: %s", what, t->text);
    t_check(text, got, want, n, tolerance);
}

// S in columns [0, rank) of [rows, fold], then 1 where there is a bias, then zeros.
static inline void linear_check_low_rank(linear_test *t, const char *what, const float *got, int64_t ld, int64_t first, const double *s,
                                         bool one, double tolerance)
{
    float *columns = linear_host(t, t->c.rows * t->rank * 4);
    for (int64_t i = 0; i < t->c.rows; i++) {
        for (int64_t j = 0; j < t->fold; j++) {
            float value = got[i * ld + first + j], fixed = one && j == t->rank && t->any_bias ? 1 : 0;
            if (j < t->rank) columns[i * t->rank + j] = value;
            else if (value != fixed)
                fail_msg("%s: %s row %lld, column %lld is %g", t->text, what, (long long)i, (long long)j, (double)value);
        }
    }
    linear_check(t, what, columns, s, t->c.rows * t->rank, tolerance);
}

static inline ft_view linear_bf16_view(void *data, int64_t rows, int64_t cols, int64_t ld)
{
    return (ft_view){.data = data, .repr = FT_REPR_BF16, .rows = rows, .cols = cols, .ld = ld};
}

// --- Forward -----------------------------------------------------------------------------------------------------------------
static inline float *linear_run_forward(linear_test *t, ft_view x, ft_view *low_rank, void *workspace, int64_t bytes)
{
    int64_t rows = t->c.rows, ld = t->out + LINEAR_GAP, stored = t->room + FT_ROW_ALIGN;
    ft_view y = linear_bf16_view(t_device(stored * ld * 2), rows, t->out, ld), residual = {0};
    if (t->c.residual == RESIDUAL_IS_Y) y.data = linear_upload(t->residual, rows, t->out, ld, stored);
    if (t->c.residual == RESIDUAL_IS_Y) residual = y;
    if (t->c.residual == RESIDUAL) residual = linear_bf16_view(linear_upload(t->residual, rows, t->out, t->out, t->room), rows, t->out, t->out);
    if (t->fold > 0) *low_rank = linear_bf16_view(t_device(t->room * t->fold * 2), rows, t->fold, t->fold);
    linear_must(t_ops()->linear_forward(t_queue(), &t->group, y, x, residual, *low_rank, workspace, bytes), t->text);
    return linear_gather(t, "y", y.data, t->out, t->out, ld, stored);
}

static inline void linear_check_forward(const linear_case *c)
{
    linear_test t;
    double tolerance = ft_op_table[FT_OP_LINEAR_FORWARD].tolerance_bf16;
    linear_test_init(&t, c);
    int64_t bytes = linear_workspace_bytes(&t, FT_OP_LINEAR_FORWARD), n = c->rows * t.out, x_ld = c->in + t.fold;
    void *workspace = t_device(bytes + LINEAR_GUARD);
    ft_view x = linear_view(&t, t.x, c->in, x_ld), low_rank = {0};
    float *y = linear_run_forward(&t, x, &low_rank, workspace, bytes), *again = linear_run_forward(&t, x, &low_rank, workspace, bytes);
    linear_check_guard(&t, workspace, bytes);
    double *s = linear_low_rank(&t, linear_dropped(&t));
    if (t.fold > 0) {
        float *kept = t_download_bf16(low_rank.data, c->rows * t.fold), *tail = t_download_bf16(x.data, c->rows * x_ld);
        linear_check_low_rank(&t, "S kept", kept, t.fold, 0, s, true, tolerance);
        linear_check_low_rank(&t, "S in x's tail", tail, x_ld, c->in, s, true, tolerance);
    }
    linear_check(&t, "y", y, linear_want_y(&t, s), n, tolerance);
    if (memcmp(y, again, (size_t)n * 4) != 0) fail_msg("%s: two runs differ in their bits", t.text);
    linear_test_free(&t);
}

// --- Backward ----------------------------------------------------------------------------------------------------------------
static inline void linear_upload_gradients(linear_test *t)
{
    for (int p = 0; p < t->c.n_parts; p++) {
        if (t->c.r[p] == 0) continue;
        t->group.lora[p].da = t_upload(t->da[p], t->c.r[p] * t->c.in * 4);
        t->group.lora[p].db = t_upload(t->db[p], t->c.out[p] * t->c.r[p] * 4);
    }
}

static inline double *linear_doubles(linear_test *t, const float *values, int64_t n)
{
    double *wide = linear_host(t, n * 8);
    for (int64_t i = 0; i < n; i++) wide[i] = values[i];
    return wide;
}

// One float buffer of everything the backward pass gives, for the comparison of bits: dx, then db and da of each part.
typedef struct {
    float *dx, *db[FT_LINEAR_PARTS], *da[FT_LINEAR_PARTS];
} linear_gradients;

static inline float *linear_download(linear_test *t, const float *device, int64_t n)
{
    float *values = linear_host(t, n * 4);
    t_download(values, device, n * 4);
    return values;
}

static inline linear_gradients linear_run_backward(linear_test *t, ft_view x, ft_view dy, ft_view low_rank, ft_view d_low_rank,
                                                   void *workspace, int64_t bytes)
{
    int64_t ld = t->c.in + LINEAR_GAP, stored = t->room + FT_ROW_ALIGN;
    ft_view dx = linear_bf16_view(t_device(stored * ld * 2), t->c.rows, t->c.in, ld);
    linear_gradients g = {0};
    linear_upload_gradients(t);
    linear_must(t_ops()->linear_backward(t_queue(), &t->group, dx, dy, low_rank, d_low_rank, workspace, bytes), t->text);
    if (t->rank > 0) linear_must(t_ops()->lora_backward_a(t_queue(), &t->group, x, d_low_rank, workspace, bytes), t->text);
    g.dx = linear_gather(t, "dx", dx.data, t->c.in, t->c.in, ld, stored);
    for (int p = 0; p < t->c.n_parts; p++) {
        if (t->c.r[p] == 0) continue;
        g.da[p] = linear_download(t, t->group.lora[p].da, t->c.r[p] * t->c.in);
        g.db[p] = linear_download(t, t->group.lora[p].db, t->c.out[p] * t->c.r[p]);
    }
    return g;
}

static inline void linear_check_gradients(linear_test *t, const linear_gradients *g, const linear_gradients *again, const double *s,
                                          const double *ds, const double *dropped, double tolerance)
{
    const double *dy = linear_doubles(t, t->dy, t->c.rows * t->out);
    for (int64_t p = 0, first = 0, column = 0; p < t->c.n_parts; first += t->c.r[p], column += t->c.out[p], p++) {
        int64_t r = t->c.r[p], out = t->c.out[p], in = t->c.in;
        if (r == 0) continue;
        double *db = linear_want_gradient(t, t->db[p], (double)t->group.lora[p].scale, dy + column, out, t->out, s + first, r, t->rank);
        double *da = linear_want_gradient(t, t->da[p], 1, ds + first, r, t->rank, dropped, in, in);
        linear_check(t, "dB", g->db[p], db, out * r, tolerance);
        linear_check(t, "dA", g->da[p], da, r * in, tolerance);
        if (memcmp(g->db[p], again->db[p], (size_t)(out * r) * 4) != 0 || memcmp(g->da[p], again->da[p], (size_t)(r * in) * 4) != 0)
            fail_msg("%s: dA or dB of part %d differs between two runs", t->text, (int)p);
    }
}

static inline void linear_check_backward(const linear_case *c)
{
    linear_test t;
    double tolerance = ft_op_table[FT_OP_LINEAR_BACKWARD].tolerance_bf16;
    linear_test_init(&t, c);
    int64_t bytes = linear_workspace_bytes(&t, FT_OP_LINEAR_BACKWARD), forward_bytes = linear_workspace_bytes(&t, FT_OP_LINEAR_FORWARD);
    void *workspace = t_device(bytes + LINEAR_GUARD), *forward = t_device(forward_bytes);
    ft_view x = linear_view(&t, t.x, c->in, c->in + t.fold), dy = linear_view(&t, t.dy, t.out, t.out + t.fold), none = {0};
    ft_view low_rank = none, d_low_rank = none;
    if (t.fold > 0) {
        low_rank = linear_bf16_view(t_device(t.room * t.fold * 2), c->rows, t.fold, t.fold);
        d_low_rank = linear_bf16_view((ft_bf16 *)dy.data + t.out, c->rows, t.fold, dy.ld);
        linear_must(t_ops()->linear_forward(t_queue(), &t.group, none, x, none, low_rank, forward, forward_bytes), t.text);
    }
    linear_gradients g = linear_run_backward(&t, x, dy, low_rank, d_low_rank, workspace, bytes);
    linear_gradients again = linear_run_backward(&t, x, dy, low_rank, d_low_rank, workspace, bytes);
    linear_check_guard(&t, workspace, bytes);
    double *dropped = linear_dropped(&t), *s = linear_low_rank(&t, dropped), *ds = linear_d_low_rank(&t);
    if (t.rank > 0)
        linear_check_low_rank(&t, "dS in dy's tail", t_download_bf16(dy.data, c->rows * dy.ld), dy.ld, t.out, ds, false, tolerance);
    linear_check(&t, "dx", g.dx, linear_want_dx(&t, ds), c->rows * c->in, tolerance);
    if (memcmp(g.dx, again.dx, (size_t)(c->rows * c->in) * 4) != 0) fail_msg("%s: two runs differ in their bits", t.text);
    linear_check_gradients(&t, &g, &again, s, ds, dropped, tolerance);
    linear_test_free(&t);
}

#endif
