// Attention through cuDNN against float64: dense and ragged plans, grouped heads, documents of many lengths in one micro-batch,
// row tails that stay untouched, one set of plans for changing documents; and its speed. Where a ragged backward pass is wrong,
// the error of each of its stages is printed for each document.
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

// Equal documents of max_length slots take the dense plan, all others a ragged one.
static const attention_case cases[] = {
    {4, 2, 64, 0, 0, 1, {64}},
    {4, 2, 128, 0, 0, 1, {128}},
    {4, 2, 64, 0, 0, 1, {200}},
    {4, 2, 128, 0, 0, 3, {130, 130, 130}},
    {3, 3, 64, 0, 0, 2, {128, 128}},
    {8, 1, 128, 0, 0, 2, {192, 192}},
    {4, 2, 64, 0, 0, 1, {1}},
    {4, 2, 128, 0, 0, 3, {1, 1, 1}},
    {4, 2, 64, 256, 0, 1, {200}},
    {4, 2, 128, 256, 0, 2, {64, 64}},
    {4, 2, 64, 0, 0, 2, {200, 65}},
    {3, 3, 128, 0, 0, 2, {65, 200}},
    {4, 2, 64, 0, 0, 9, {1, 130, 1, 64, 63, 1, 128, 5, 200}},
    {4, 2, 128, 0, 0, 9, {200, 1, 5, 129, 1, 64, 63, 127, 1}},
    {8, 1, 128, 0, 0, 5, {3, 0, 131, 1, 257}},
    {9, 3, 64, 0, 0, 3, {300, 2, 100}},
    {4, 2, 128, 0, 0, 40, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                           1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 200}},
    {4, 2, 128, 0, 5, 3, {70, 129, 33}},
};

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

static void poison_outputs(attention *a)
{
    const int64_t o_ld = a->o_cols + TAIL, dqkv_ld = a->cols + 2 * TAIL;
    a->o_view = t_rows_view(t_device(a->rows * o_ld * 2), a->rows, a->o_cols, o_ld);
    a->dqkv_view = t_rows_view(t_device(a->rows * dqkv_ld * 2), a->rows, a->cols, dqkv_ld);
    a->lse = t_device(a->rows * a->c->q_heads * (int64_t)sizeof(float));
}

static void set_documents(attention *a, const attention_case *c)
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
static void open_cudnn(attention *a, int64_t rows, int64_t max_docs)
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

static void close_cudnn(attention *a)
{
    t_sync();
    ft_cudnn_attention_close(a->cudnn);
    t_free();
}

// Spare rows hold NaN: they must not reach any result.
static void make_values(attention *a, uint64_t seed)
{
    a->qkv = t_random(a->rows * a->cols, 1, seed);
    a->d_o = t_random(a->rows * a->o_cols, 1, seed + 1);
    for (int64_t i = a->used * a->cols; i < a->rows * a->cols; i++) a->qkv[i] = NAN;
    for (int64_t i = a->used * a->o_cols; i < a->rows * a->o_cols; i++) a->d_o[i] = NAN;
    a->qkv_view = t_upload_rows(a->qkv, a->rows, a->cols, a->cols + TAIL);
    a->d_o_view = t_upload_rows(a->d_o, a->rows, a->o_cols, a->o_cols + TAIL);
    poison_outputs(a);
}

static void describe(char *text, size_t size, const attention *a, const char *what)
{
    int used = snprintf(text, size, "cudnn %s %s %lld/%lld d%lld, max length %d, documents", a->dense ? "dense" : "ragged", what,
                        (long long)a->c->q_heads, (long long)a->c->kv_heads, (long long)a->c->head_dim,
                        (int)a->documents.max_length);
    for (int d = 0; d < a->c->n && used < (int)size - 8; d++)
        used += snprintf(text + used, size - (size_t)used, " %d", a->c->lengths[d]);
}

static void require(ft_status status, const attention *a, const char *call)
{
    char text[256];
    if (status == FT_OK) return;
    describe(text, sizeof text, a, call);
    fail_msg("%s: %s", text, ft_error_message());
}

static void forward(void *context)
{
    const attention *a = context;
    require(ft_cudnn_attention_forward(a->cudnn, t_queue(), a->o_view, a->lse, a->qkv_view, &a->shape, &a->documents,
                                       a->workspace, a->workspace_bytes), a, "forward");
}

static void backward(void *context)
{
    const attention *a = context;
    require(ft_cudnn_attention_backward(a->cudnn, t_queue(), a->dqkv_view, a->d_o_view, a->o_view, a->lse, a->qkv_view,
                                        &a->shape, &a->documents, a->workspace, a->workspace_bytes), a, "backward");
}

// --- float64 -------------------------------------------------------------------------------------------------------------------
// Slot i of the document at row `first`: its output and lse, and its share of all gradients. p has room for a row.
static void reference_row(const attention *a, reference *r, int64_t first, int64_t i, int64_t head, double *p)
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

static reference reference_make(const attention *a)
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
static void check_columns(const attention *a, const char *what, const uint16_t *bits, int64_t ld, const double *want,
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
static void check_untouched(const attention *a, const char *what, const uint16_t *bits, ft_view view)
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
static void check_lse(const attention *a, const reference *want)
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

static void check_gradients(const attention *a, const uint16_t *bits, const reference *want)
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
static void check_guards(const attention *a)
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

static double stage_value(const stage *s, const char *workspace, int64_t element)
{
    const char *at = workspace + s->at + element * (s->is_float ? 4 : 2);
    uint32_t word = 0;
    memcpy((char *)&word + (s->is_float ? 0 : 2), at, s->is_float ? 4 : 2);
    float value;
    memcpy(&value, &word, sizeof value);
    return (double)value;
}

static double stage_error(const stage *s, const char *workspace, int64_t begin, int64_t end)
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
static void print_stages(const attention *a, const reference *r)
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

static bool gradients_wrong(const attention *a, const uint16_t *bits, const reference *want)
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
static void check_against_float64(attention *a)
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

static void matches_float64(void **state)
{
    attention a = {0};
    set_documents(&a, *state);
    make_values(&a, 1);
    open_cudnn(&a, a.rows, a.c->n);
    check_against_float64(&a);
    close_cudnn(&a);
}

// Opened once for the largest, then micro-batches of fewer rows and documents, of both kinds and back.
static void one_opening_serves_changing_documents(void **state)
{
    (void)state;
    static const attention_case batches[] = {
        {4, 2, 128, 192, 0, 2, {192, 192}},
        {4, 2, 128, 192, 0, 5, {100, 1, 192, 90, 1}},
        {4, 2, 128, 192, 0, 2, {192, 192}},
        {4, 2, 128, 192, 0, 1, {77}},
        {4, 2, 128, 192, 0, 3, {60, 130, 2}},
    };
    attention a = {0};
    set_documents(&a, &batches[0]);
    open_cudnn(&a, 384, 5);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        set_documents(&a, &batches[i]);
        a.dense = a.dense && a.rows == 384;
        make_values(&a, 10 + 2 * i);
        check_against_float64(&a);
    }
    close_cudnn(&a);
}

static void forward_repeats_bit_for_bit(void **state)
{
    (void)state;
    static const attention_case batches[] = {{8, 2, 128, 0, 0, 2, {512, 512}}, {8, 2, 64, 0, 0, 3, {500, 20, 333}}};
    for (size_t i = 0; i < 2; i++) {
        attention a = {0};
        set_documents(&a, &batches[i]);
        make_values(&a, 5);
        open_cudnn(&a, a.rows, a.c->n);
        forward(&a);
        uint16_t *first = t_download_rows(a.o_view);
        poison_outputs(&a);
        forward(&a);
        uint16_t *second = t_download_rows(a.o_view);
        for (int64_t k = 0; k < a.rows * a.o_view.ld; k++)
            if (first[k] != second[k]) fail_msg("case %zu: element %lld: %04x and %04x", i, (long long)k, first[k], second[k]);
        ft_free(first);
        ft_free(second);
        close_cudnn(&a);
    }
}

// A column that a view's tail adds may make the difference. Where the shape alone says so, no workspace is set aside either.
static void refuses_views_of_2_31_elements(void **state)
{
    (void)state;
    ft_ops_options options = {.attention = {16, 8, 64, 0.125f}, .rows = (1 << 20) - 1, .max_length = (1 << 20) - 1, .max_docs = 1,
                              .qkv_ld = 2048, .o_ld = 1024, .d_o_ld = 1024, .dqkv_ld = 2048 + TAIL};
    ft_cudnn_attention *cudnn;
    assert_int_equal(ft_cudnn_attention_open(&cudnn, t_queue(), &options, true), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "2^31"));
    ft_op_shape shape = {.rows = 1 << 20, .q_heads = 16, .kv_heads = 8, .head_dim = 64, .max_length = 1 << 20, .max_docs = 1};
    assert_int_equal(ft_cudnn_attention_workspace(&shape, true), 0);
    shape.rows--;
    assert_true(ft_cudnn_attention_workspace(&shape, true) > 0);
}

static void refuses_other_head_dimensions(void **state)
{
    (void)state;
    const ft_ops_options options = {.attention = {4, 2, 80, 0.1f}, .rows = 128, .max_length = 128, .max_docs = 1, .train = true};
    ft_cudnn_attention *cudnn;
    assert_int_equal(ft_cudnn_attention_open(&cudnn, t_queue(), &options, true), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "head_dim 80"));
    assert_null(cudnn);
}

static void takes_only_dense_documents_unless_asked(void **state)
{
    (void)state;
    if (ft_cuda_library_open(FT_LIBRARY_CUDNN) != FT_OK) skip();
    static const int32_t even[] = {0, 128, 256}, packed[] = {0, 100, 256}, one[] = {0, 128};
    const ft_documents dense = {.begin = even, .n = 2}, uneven = {.begin = packed, .n = 2}, part = {.begin = one, .n = 1};
    ft_ops_options options = {.attention = {4, 2, 64, 0.125f}, .rows = 256, .max_length = 128, .max_docs = 2};
    for (int ragged = 0; ragged < 2; ragged++) {
        ft_cudnn_attention *cudnn;
        assert_int_equal(ft_cudnn_attention_open(&cudnn, t_queue(), &options, ragged), FT_OK);
        assert_true(ft_cudnn_attention_takes(cudnn, &dense));
        assert_int_equal(ft_cudnn_attention_takes(cudnn, &uneven), ragged);
        assert_int_equal(ft_cudnn_attention_takes(cudnn, &part), ragged);
        ft_cudnn_attention_close(cudnn);
    }
    options.rows = 250;
    ft_cudnn_attention *none;
    assert_int_equal(ft_cudnn_attention_open(&none, t_queue(), &options, false), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "250 rows"));
}

// By way of the op: packed documents have the bits of our kernels.
static void packed_documents_take_our_kernels(void **state)
{
    (void)state;
    static const attention_case packed = {4, 2, 128, 256, 0, 2, {200, 56}};
    attention a = {0};
    unsetenv("FT_ATTENTION");
    set_documents(&a, &packed);
    make_values(&a, 3);
    t_open(&(ft_ops_options){.attention = a.shape, .rows = a.rows, .max_length = 256, .max_docs = 2});
    open_cudnn(&a, a.rows, 2);  // for its workspace
    assert_int_equal(t_ops()->attention_forward(t_queue(), a.o_view, a.lse, a.qkv_view, &a.shape, &a.documents, a.workspace,
                                                a.workspace_bytes), FT_OK);
    uint16_t *got = t_download_rows(a.o_view);
    poison_outputs(&a);
    assert_int_equal(ft_own_attention_forward(t_queue(), FT_PRODUCTS_AUTO, a.o_view, a.lse, a.qkv_view, &a.shape, &a.documents),
                     FT_OK);
    uint16_t *want = t_download_rows(a.o_view);
    assert_memory_equal(got, want, (size_t)(a.rows * a.o_view.ld) * sizeof *got);
    ft_free(got);
    ft_free(want);
    close_cudnn(&a);
}

static int free_case(void **state)
{
    (void)state;
    t_free();
    return 0;
}

// --- speed ---------------------------------------------------------------------------------------------------------------------
// Random values that repeat every few rows: millions of distinct ones would take the host seconds.
static ft_view repeated_view(int64_t rows, int64_t cols, uint64_t seed)
{
    enum { DISTINCT = 61 };
    ft_bf16 *block = t_bf16(t_random(DISTINCT * cols, 1, seed), DISTINCT * cols), *all = ft_malloc((size_t)(rows * cols) * 2);
    for (int64_t r = 0; r < rows; r += DISTINCT)
        memcpy(all + r * cols, block, (size_t)((rows - r < DISTINCT ? rows - r : DISTINCT) * cols) * 2);
    void *data = t_upload(all, rows * cols * 2);
    ft_free(all);
    return t_rows_view(data, rows, cols, cols);
}

static void print_speed(const char *what, const attention_case *c, const char *target)
{
    double squares = 0;
    for (int d = 0; d < c->n; d++) squares += (double)c->lengths[d] * c->lengths[d];
    const double flops = 4 * squares / 2 * (double)(c->q_heads * c->head_dim);
    attention a = {0};
    set_documents(&a, c);
    a.qkv_view = repeated_view(a.rows, a.cols, 1);
    a.d_o_view = repeated_view(a.rows, a.o_cols, 2);
    poison_outputs(&a);
    open_cudnn(&a, a.rows, c->n);
    forward(&a);
    const double seconds = t_time(forward, &a, 10), seconds_back = t_time(backward, &a, 10);
    printf("attention cuDNN %s %-30s forward %7.3f ms %6.1f TFLOP/s, backward %7.3f ms %6.1f TFLOP/s%s\n",
           ft_cudnn_attention_version(), what, seconds * 1e3, flops / seconds * 1e-12, seconds_back * 1e3,
           2.5 * flops / seconds_back * 1e-12, target);
    fflush(stdout);
    close_cudnn(&a);
}

static void speed_is_printed(void **state)
{
    (void)state;
    static const attention_case llama8 = {32, 8, 128, 0, 0, 2, {4096, 4096}}, llama70 = {64, 8, 128, 0, 0, 1, {8192}};
    static const attention_case smol = {9, 3, 64, 0, 0, 4, {2048, 2048, 2048, 2048}};
    static const attention_case same_ragged = {32, 8, 128, 4224, 0, 2, {4096, 4096}};
    static const attention_case packed = {32, 8, 128, 4096, 0, 16, {911, 37, 1450, 212, 64, 799, 5, 388, 1203, 130, 641, 98, 1017,
                                                                    256, 479, 502}};
    print_speed("32/8 d128 2 x 4096", &llama8, " (PyTorch's: 594/455)");
    print_speed("64/8 d128 1 x 8192", &llama70, " (PyTorch's: 645/508)");
    print_speed("9/3 d64 4 x 2048", &smol, " (PyTorch's: 298/230)");
    print_speed("32/8 d128 2 x 4096, ragged", &same_ragged, "");
    print_speed("32/8 d128 16 documents in 8192", &packed, "");
}

static const struct CMUnitTest other_tests[] = {
    cmocka_unit_test_teardown(one_opening_serves_changing_documents, free_case),
    cmocka_unit_test_teardown(forward_repeats_bit_for_bit, free_case),
    cmocka_unit_test_teardown(refuses_views_of_2_31_elements, free_case),
    cmocka_unit_test_teardown(refuses_other_head_dimensions, free_case),
    cmocka_unit_test_teardown(takes_only_dense_documents_unless_asked, free_case),
    cmocka_unit_test_teardown(packed_documents_take_our_kernels, free_case),
    cmocka_unit_test_teardown(speed_is_printed, free_case),
};

enum { CASES = sizeof cases / sizeof *cases, OTHERS = sizeof other_tests / sizeof *other_tests };

int main(void)
{
    static char names[CASES][96];
    static struct CMUnitTest tests[CASES + OTHERS];
    for (int i = 0; i < CASES; i++) {
        const attention_case *c = &cases[i];
        snprintf(names[i], sizeof names[i], "matches_float64_%d_%lld_%lld_d%lld_%d_documents_from_%d", i, (long long)c->q_heads,
                 (long long)c->kv_heads, (long long)c->head_dim, c->n, c->lengths[0]);
        tests[i] = (struct CMUnitTest){names[i], matches_float64, NULL, free_case, (void *)(uintptr_t)c};
    }
    memcpy(tests + CASES, other_tests, sizeof other_tests);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
