// A micro-batch of attention through cuDNN, and its checks against float64. Where a ragged backward pass is wrong, the error of each of
// its stages is printed for each document.
#ifndef TESTS_GPU_ATTENTION_CUDNN_CHECK_H
#define TESTS_GPU_ATTENTION_CUDNN_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "device/cuda_library.h"
#include "gpu/attention_rows.h"
#include "gpu/gpu.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_cudnn.h"
#include "kernels/cuda/attention_cudnn_graph.h"

enum { MAX_DOCUMENTS = 40, TAIL = 64, GUARD = 1 << 20 };  // GUARD: bytes on both sides of the workspace

typedef struct {
    int64_t q_heads, kv_heads, head_dim;
    int64_t max_length;       // of open; 0: the longest document
    int64_t spare_rows;       // rows that belong to no document
    int n;
    int lengths[MAX_DOCUMENTS];
} attention_case;

typedef struct {
    const attention_case *c;
    ft_cudnn_attention *cudnn;
    ft_attention shape;
    ft_documents documents;
    int32_t begin[MAX_DOCUMENTS + 1];
    int64_t used, rows, cols, o_cols;
    float *qkv, *d_o;         // host, contiguous
    ft_view qkv_view, d_o_view, o_view, dqkv_view;
    float *lse;
    ft_op_shape open_shape;
    char *workspace;
    int64_t workspace_bytes;
    bool dense;
} attention;

typedef t_attention_reference reference;  // lse [rows, q_heads]

static inline void poison_outputs(attention *a)
{
    const int64_t o_ld = a->o_cols + TAIL, dqkv_ld = a->cols + 2 * TAIL;
    a->o_view = t_rows_view(t_device(a->rows * o_ld * 2), a->rows, a->o_cols, o_ld);
    a->dqkv_view = t_rows_view(t_device(a->rows * dqkv_ld * 2), a->rows, a->cols, dqkv_ld);
    a->lse = t_device(a->rows * a->c->q_heads * (int64_t)sizeof(float));
}

static inline void set_documents(attention *a, const attention_case *c)
{
    a->c = c;
    a->shape = (ft_attention){c->q_heads, c->kv_heads, c->head_dim, 1 / sqrtf((float)c->head_dim)};
    a->documents = (ft_documents){.begin = a->begin, .n = c->n, .max_length = (int32_t)c->max_length};
    for (int d = 0; d < c->n; d++) {
        a->begin[d + 1] = a->begin[d] + c->lengths[d];
        if (c->lengths[d] > a->documents.max_length) a->documents.max_length = c->lengths[d];
    }
    a->dense = a->documents.max_length > 1 && c->spare_rows == 0;
    for (int d = 0; d < c->n; d++) a->dense = a->dense && c->lengths[d] == a->documents.max_length;
    a->used = a->begin[c->n];
    a->rows = a->used + c->spare_rows;
    a->cols = (c->q_heads + 2 * c->kv_heads) * c->head_dim;
    a->o_cols = c->q_heads * c->head_dim;
    a->documents.device_begin = t_upload(a->begin, (c->n + 1) * (int64_t)sizeof(int32_t));
}

// All plans for views that are there, where they are few; else the first call makes its own.
static inline void open_cudnn(attention *a, int64_t rows, int64_t max_docs)
{
    if (ft_cuda_library_open(FT_LIBRARY_CUDNN) != FT_OK) {
        printf("skipped: %s\n", ft_error_message());
        skip();
    }
    ft_ops_options options = {.attention = a->shape, .rows = rows, .max_length = a->documents.max_length, .max_docs = max_docs,
                              .train = true};
    if (max_docs <= 2) {
        options.qkv_ld = a->qkv_view.ld;
        options.o_ld = a->o_view.ld;
        options.d_o_ld = a->d_o_view.ld;
        options.dqkv_ld = a->dqkv_view.ld;
    }
    if (ft_cudnn_attention_open(&a->cudnn, t_queue(), &options, true) != FT_OK) fail_msg("open: %s", ft_error_message());
    a->open_shape = (ft_op_shape){.rows = rows, .q_heads = a->shape.q_heads, .kv_heads = a->shape.kv_heads,
                                  .head_dim = a->shape.head_dim, .max_length = options.max_length, .max_docs = max_docs};
    a->workspace_bytes = ft_cudnn_attention_workspace(&a->open_shape, true);
    if (a->workspace_bytes < ft_cudnn_attention_workspace(&a->open_shape, false))
        a->workspace_bytes = ft_cudnn_attention_workspace(&a->open_shape, false);
    a->workspace = (char *)t_device(a->workspace_bytes + 2 * (int64_t)GUARD) + GUARD;
}

static inline void close_cudnn(attention *a)
{
    t_sync();
    ft_cudnn_attention_close(a->cudnn);
    t_free();
}

// Spare rows hold NaN: they must not reach any result.
static inline void make_values(attention *a, uint64_t seed)
{
    a->qkv = t_random(a->rows * a->cols, 1, seed);
    a->d_o = t_random(a->rows * a->o_cols, 1, seed + 1);
    for (int64_t i = a->used * a->cols; i < a->rows * a->cols; i++) a->qkv[i] = NAN;
    for (int64_t i = a->used * a->o_cols; i < a->rows * a->o_cols; i++) a->d_o[i] = NAN;
    a->qkv_view = t_upload_rows(a->qkv, a->rows, a->cols, a->cols + TAIL);
    a->d_o_view = t_upload_rows(a->d_o, a->rows, a->o_cols, a->o_cols + TAIL);
    poison_outputs(a);
}

static inline void describe(char *text, size_t size, const attention *a, const char *what)
{
    int used = snprintf(text, size, "cudnn %s %s %lld/%lld d%lld, max length %d, documents", a->dense ? "dense" : "ragged", what,
                        (long long)a->c->q_heads, (long long)a->c->kv_heads, (long long)a->c->head_dim,
                        (int)a->documents.max_length);
    for (int d = 0; d < a->c->n && used < (int)size - 8; d++)
        used += snprintf(text + used, size - (size_t)used, " %d", a->c->lengths[d]);
}

static inline void require(ft_status status, const attention *a, const char *call)
{
    char text[256];
    if (status == FT_OK) return;
    describe(text, sizeof text, a, call);
    fail_msg("%s: %s", text, ft_error_message());
}

static inline void forward(void *context)
{
    const attention *a = context;
    require(ft_cudnn_attention_forward(a->cudnn, t_queue(), a->o_view, a->lse, a->qkv_view, &a->shape, &a->documents,
                                       a->workspace, a->workspace_bytes), a, "forward");
}

static inline void backward(void *context)
{
    const attention *a = context;
    require(ft_cudnn_attention_backward(a->cudnn, t_queue(), a->dqkv_view, a->d_o_view, a->o_view, a->lse, a->qkv_view,
                                        &a->shape, &a->documents, a->workspace, a->workspace_bytes), a, "backward");
}

// --- float64 -------------------------------------------------------------------------------------------------------------------
// Slot i of the document at row `first`: its output and lse, and its share of all gradients. p has room for a row.
static inline void reference_row(const attention *a, reference *r, int64_t first, int64_t i, int64_t head, double *p)
{
    const int64_t d = a->c->head_dim, kv = head / (a->c->q_heads / a->c->kv_heads), row = first + i;
    const int64_t q_at = head * d, k_at = (a->c->q_heads + kv) * d, v_at = k_at + a->c->kv_heads * d;
    const float *q = a->qkv + row * a->cols + q_at, *d_o = a->d_o + row * a->o_cols + q_at;
    double maximum = -INFINITY, sum = 0, delta = 0;
    for (int64_t j = 0; j <= i; j++) {
        p[j] = t_dot(q, a->qkv + (first + j) * a->cols + k_at, d) * (double)a->shape.scale;
        maximum = fmax(maximum, p[j]);
    }
    for (int64_t j = 0; j <= i; j++) sum += exp(p[j] - maximum);
    r->lse[row * a->c->q_heads + head] = maximum + log(sum);
    for (int64_t j = 0; j <= i; j++) {
        p[j] = exp(p[j] - maximum) / sum;
        t_add_scaled(r->o + row * a->o_cols + q_at, p[j], a->qkv + (first + j) * a->cols + v_at, d);
    }
    for (int64_t c = 0; c < d; c++) delta += (double)d_o[c] * r->o[row * a->o_cols + q_at + c];
    for (int64_t j = 0; j <= i; j++) {
        const float *key = a->qkv + (first + j) * a->cols + k_at, *value = a->qkv + (first + j) * a->cols + v_at;
        const double ds = p[j] * (t_dot(d_o, value, d) - delta) * (double)a->shape.scale;
        t_add_scaled(r->dqkv + row * a->cols + q_at, ds, key, d);
        t_add_scaled(r->dqkv + (first + j) * a->cols + k_at, ds, q, d);
        t_add_scaled(r->dqkv + (first + j) * a->cols + v_at, p[j], d_o, d);
    }
}

static inline reference reference_make(const attention *a)
{
    reference r = {.o = ft_calloc((size_t)(a->rows * a->o_cols), sizeof(double)),
                   .lse = ft_calloc((size_t)(a->rows * a->c->q_heads), sizeof(double)),
                   .dqkv = ft_calloc((size_t)(a->rows * a->cols), sizeof(double))};
    double *p = ft_calloc((size_t)a->documents.max_length, sizeof *p);
    for (int d = 0; d < a->c->n; d++)
        for (int64_t i = 0; i < a->c->lengths[d]; i++)
            for (int64_t head = 0; head < a->c->q_heads; head++) reference_row(a, &r, a->begin[d], i, head, p);
    ft_free(p);
    return r;
}

// --- checks --------------------------------------------------------------------------------------------------------------------
// Columns [first, first + n) of the used rows.
static inline void check_columns(const attention *a, const char *what, const uint16_t *bits, int64_t ld, const double *want,
                          int64_t cols, int64_t first, int64_t n, double tolerance)
{
    float *got = ft_calloc((size_t)(a->used * n), sizeof *got);
    double *part = ft_calloc((size_t)(a->used * n), sizeof *part);
    for (int64_t r = 0; r < a->used; r++) {
        for (int64_t i = 0; i < n; i++) {
            const uint32_t word = (uint32_t)bits[r * ld + first + i] << 16;
            memcpy(got + r * n + i, &word, sizeof word);
            part[r * n + i] = want[r * cols + first + i];
        }
    }
    char text[256];
    describe(text, sizeof text, a, what);
    t_check(text, got, part, a->used * n, tolerance);
    ft_free(got);
    ft_free(part);
}

// Tails of rows, and rows of no document, are as they were.
static inline void check_untouched(const attention *a, const char *what, const uint16_t *bits, ft_view view)
{
    for (int64_t r = 0; r < view.rows; r++) {
        for (int64_t i = r < a->used ? view.cols : 0; i < view.ld; i++) {
            if (bits[r * view.ld + i] == 0xFFFF) continue;
            char text[256];
            describe(text, sizeof text, a, what);
            fail_msg("%s: row %lld column %lld of a view of %lld columns was written: %04x", text, (long long)r, (long long)i,
                     (long long)view.cols, bits[r * view.ld + i]);
        }
    }
}

// In the layout of the call's plan: [document, head, slot] or [row, head].
static inline void check_lse(const attention *a, const reference *want)
{
    const int64_t heads = a->c->q_heads, length = a->documents.max_length, n = a->used * heads;
    float *got = ft_malloc((size_t)n * sizeof *got);
    double *wanted = ft_malloc((size_t)n * sizeof *wanted);
    t_download(got, a->lse, n * (int64_t)sizeof *got);
    for (int64_t row = 0; row < a->used; row++) {
        for (int64_t head = 0; head < heads; head++) {
            const int64_t at = a->dense ? (row / length * heads + head) * length + row % length : row * heads + head;
            wanted[at] = want->lse[row * heads + head];
        }
    }
    char text[256];
    describe(text, sizeof text, a, "lse");
    t_check(text, got, wanted, n, 1e-4);
    ft_free(got);
    ft_free(wanted);
}

static inline void check_gradients(const attention *a, const uint16_t *bits, const reference *want)
{
    const double tolerance = ft_op_table[FT_OP_ATTENTION_BACKWARD].tolerance_bf16;
    const int64_t ld = a->dqkv_view.ld, k_at = a->o_cols, v_at = k_at + a->c->kv_heads * a->c->head_dim;
    int longest = 0;
    for (int d = 0; d < a->c->n; d++) longest = a->c->lengths[d] > longest ? a->c->lengths[d] : longest;
    check_columns(a, "dv", bits, ld, want->dqkv, a->cols, v_at, a->cols - v_at, tolerance);
    // A query that sees one or two keys has a dS of almost nothing, whose relative error says nothing.
    if (longest >= 63) {
        check_columns(a, "dk", bits, ld, want->dqkv, a->cols, k_at, v_at - k_at, tolerance);
        check_columns(a, "dq", bits, ld, want->dqkv, a->cols, 0, k_at, tolerance);
    }
    check_columns(a, "dqkv", bits, ld, want->dqkv, a->cols, 0, a->cols, tolerance);
}

// Nothing around the workspace was written.
static inline void check_guards(const attention *a)
{
    uint8_t *bytes = ft_malloc(GUARD);
    for (int after = 0; after < 2; after++) {
        t_download(bytes, a->workspace + (after ? a->workspace_bytes : -(int64_t)GUARD), GUARD);
        for (int64_t i = 0; i < GUARD; i++) {
            if (bytes[i] == 0xFF) continue;
            char text[256];
            describe(text, sizeof text, a, "workspace");
            fail_msg("%s: byte %lld %s it was written", text, (long long)(after ? i : GUARD - i), after ? "past" : "before");
        }
    }
    ft_free(bytes);
}

// A packed part of the workspace: rows of `heads` heads, `group` of which are summed to be compared with `want`, columns of
// width `want_cols` from `first` on.
typedef struct {
    const char *name;
    int64_t at;
    int64_t heads, group, head_dim;
    bool is_float;
    const double *want;
    int64_t want_cols, first;
} stage;

static inline double stage_value(const stage *s, const char *workspace, int64_t element)
{
    const char *at = workspace + s->at + element * (s->is_float ? 4 : 2);
    uint32_t word = 0;
    memcpy((char *)&word + (s->is_float ? 0 : 2), at, s->is_float ? 4 : 2);
    float value;
    memcpy(&value, &word, sizeof value);
    return (double)value;
}

static inline double stage_error(const stage *s, const char *workspace, int64_t begin, int64_t end)
{
    double wrong = 0, all = 0;
    for (int64_t row = begin; row < end; row++) {
        for (int64_t i = 0; i < s->heads / s->group * s->head_dim; i++) {
            const int64_t head = i / s->head_dim * s->group, column = i % s->head_dim;
            const double want = s->want[row * s->want_cols + s->first + i];
            double got = 0;
            for (int64_t g = 0; g < s->group; g++)
                got += stage_value(s, workspace, (row * s->heads + head + g) * s->head_dim + column);
            wrong += (got - want) * (got - want);
            all += want * want;
        }
    }
    return sqrt(wrong / all);
}

// A line per document: which of the backward pass's stages is wrong. dQ's sums alone: they went to other rows. Sums by head, and
// all after them: something was added to or stored over them. Only what comes last: the last kernel's addresses.
static inline void print_stages(const attention *a, const reference *r)
{
    const ft_cudnn_workspace w = ft_cudnn_workspace_layout(&a->open_shape, true);
    const int64_t h = a->c->q_heads, k = a->c->kv_heads, d = a->c->head_dim, k_at = h * d, v_at = (h + k) * d;
    double *q = ft_calloc((size_t)(a->rows * a->cols), sizeof *q), *row_sum = ft_calloc((size_t)(a->rows * h), sizeof *row_sum);
    for (int64_t i = 0; i < a->rows * a->cols; i++) q[i] = (double)a->qkv[i];
    for (int64_t i = 0; i < a->rows * a->o_cols; i++) row_sum[i / d] += (double)a->d_o[i] * r->o[i];
    const stage stages[] = {
        {"packed q", w.q, h, 1, d, false, q, a->cols, 0},
        {"row sum", w.row_sum, h, 1, 1, true, row_sum, h, 0},
        {"dQ sums", w.dq_sum, h, 1, d, true, r->dqkv, a->cols, 0},
        {"dQ", w.dq, h, 1, d, false, r->dqkv, a->cols, 0},
        {"dK by head", w.dk_heads, h, h / k, d, false, r->dqkv, a->cols, k_at},
        {"dK", w.dk, k, 1, d, false, r->dqkv, a->cols, k_at},
        {"dV by head", w.dv_heads, h, h / k, d, false, r->dqkv, a->cols, v_at},
        {"dV", w.dv, k, 1, d, false, r->dqkv, a->cols, v_at},
    };
    char *workspace = ft_malloc((size_t)a->workspace_bytes);
    t_download(workspace, a->workspace, a->workspace_bytes);
    for (int doc = 0; doc < a->c->n; doc++) {
        printf("    document %d, rows %d to %d:", doc, (int)a->begin[doc], (int)a->begin[doc + 1]);
        for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
            if (stages[i].group > 1 || h > k || strstr(stages[i].name, "by head") == NULL)
                printf(" %s %.1e", stages[i].name, stage_error(&stages[i], workspace, a->begin[doc], a->begin[doc + 1]));
        printf("\n");
    }
    ft_free(workspace);
    ft_free(q);
    ft_free(row_sum);
}

static inline bool gradients_wrong(const attention *a, const uint16_t *bits, const reference *want)
{
    double wrong = 0, all = 0;
    for (int64_t r = 0; r < a->used; r++) {
        for (int64_t i = 0; i < a->cols; i++) {
            const double expected = want->dqkv[r * a->cols + i];
            const double distance = (double)ft_bf16_to_f32(bits[r * a->dqkv_view.ld + i]) - expected;
            wrong += distance * distance;
            all += expected * expected;
        }
    }
    return !(sqrt(wrong / all) <= ft_op_table[FT_OP_ATTENTION_BACKWARD].tolerance_bf16);
}

// Both passes of what make_values set up.
static inline void check_against_float64(attention *a)
{
    forward(a);
    backward(a);
    uint16_t *o = t_download_rows(a->o_view), *dqkv = t_download_rows(a->dqkv_view);
    const reference want = reference_make(a);
    if (!a->dense && gradients_wrong(a, dqkv, &want)) print_stages(a, &want);
    check_columns(a, "o", o, a->o_view.ld, want.o, a->o_cols, 0, a->o_cols, ft_op_table[FT_OP_ATTENTION_FORWARD].tolerance_bf16);
    check_lse(a, &want);
    check_gradients(a, dqkv, &want);
    check_untouched(a, "o", o, a->o_view);
    check_untouched(a, "dqkv", dqkv, a->dqkv_view);
    check_guards(a);
    t_attention_reference_free(want);
    ft_free(o);
    ft_free(dqkv);
}

#endif
