// Our own attention kernels against float64: every tile bound, documents of many lengths in one micro-batch, grouped heads, head
// dimensions with and without padding, row tails that stay untouched, equal bits on repetition; and their speed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "gpu/attention_rows.h"
#include "gpu/gpu.h"
#include "kernels/cuda/attention.h"

enum { MAX_DOCUMENTS = 64, UNUSED_ROWS = 3, TAIL = 64 };

typedef struct {
    int64_t q_heads, kv_heads, head_dim;
    int n;
    int lengths[MAX_DOCUMENTS];
} attention_case;

static const attention_case cases[] = {
    {1, 1, 64, 1, {1}},    {1, 1, 64, 1, {2}},    {1, 1, 64, 1, {63}},    {1, 1, 64, 1, {64}},   {1, 1, 64, 1, {65}},
    {1, 1, 64, 1, {127}},  {1, 1, 64, 1, {129}},  {9, 3, 64, 1, {300}},   {4, 2, 64, 1, {450}},  {1, 1, 128, 1, {1}},
    {1, 1, 128, 1, {2}},   {1, 1, 128, 1, {63}},  {1, 1, 128, 1, {64}},   {1, 1, 128, 1, {65}},  {1, 1, 128, 1, {127}},
    {1, 1, 128, 1, {129}}, {8, 1, 128, 1, {300}}, {4, 2, 128, 1, {450}},  {1, 1, 128, 1, {256}}, {1, 1, 80, 1, {1}},
    {9, 3, 80, 1, {65}},   {4, 2, 80, 1, {300}},  {1, 1, 256, 1, {2}},    {4, 2, 256, 1, {65}},  {2, 1, 256, 1, {300}},
    {4, 2, 136, 1, {129}}, {2, 1, 8, 1, {130}},   {4, 2, 64, 3, {128, 128, 128}},
    {9, 3, 64, 14, {1, 1, 1, 5, 130, 1, 1, 64, 0, 63, 1, 128, 1, 200}},
    {8, 2, 128, 14, {200, 1, 0, 0, 1, 5, 129, 1, 64, 63, 1, 127, 1, 65}},
    {4, 1, 80, 6, {3, 131, 1, 1, 64, 257}},
    {2, 1, 256, 6, {3, 131, 1, 1, 64, 100}},
    {4, 2, 128, 40, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 300}},
};

typedef struct {
    const attention_case *c;
    ft_attention shape;
    ft_documents documents;
    int32_t begin[MAX_DOCUMENTS + 1];
    int64_t used, rows, cols, o_cols;           // rows: used and a few that belong to no document
    float *qkv, *d_o;                           // host, contiguous
    ft_view qkv_view, d_o_view, o_view, dqkv_view;
    float *lse;
    void *workspace;
    int64_t workspace_bytes;
} attention;

typedef t_attention_reference reference;  // lse [q_heads, rows]

typedef struct {
    uint16_t *o, *dqkv;
    float *lse;
} result;

static const char *name_of(ft_products products)
{
    static const char *const names[] = {"auto", "mma", "wgmma"};
    return names[products];
}

static bool can_run(ft_products products)
{
    return products == FT_PRODUCTS_MMA || ft_device_get_info(ft_queue_device(t_queue()))->compute_capability == 90;
}

static void poison_outputs(attention *a)
{
    int64_t o_ld = a->o_cols + TAIL, dqkv_ld = a->cols + 2 * TAIL;
    a->o_view = t_rows_view(t_device(a->rows * o_ld * 2), a->rows, a->o_cols, o_ld);
    a->dqkv_view = t_rows_view(t_device(a->rows * dqkv_ld * 2), a->rows, a->cols, dqkv_ld);
    a->lse = t_device(a->rows * a->c->q_heads * (int64_t)sizeof(float));
}

static void make(attention *a, const attention_case *c, float magnitude)
{
    *a = (attention){.c = c, .shape = {c->q_heads, c->kv_heads, c->head_dim, 1 / sqrtf((float)c->head_dim)}};
    for (int d = 0; d < c->n; d++) {
        a->begin[d + 1] = a->begin[d] + c->lengths[d];
        if (c->lengths[d] > a->documents.max_length) a->documents.max_length = c->lengths[d];
    }
    a->used = a->begin[c->n];
    a->rows = a->used + UNUSED_ROWS;
    a->cols = (c->q_heads + 2 * c->kv_heads) * c->head_dim;
    a->o_cols = c->q_heads * c->head_dim;
    a->documents.begin = a->begin;
    a->documents.device_begin = t_upload(a->begin, (c->n + 1) * (int64_t)sizeof(int32_t));
    a->documents.n = c->n;
    a->qkv = t_random(a->rows * a->cols, magnitude, 1);
    a->d_o = t_random(a->rows * a->o_cols, 1, 2);
    // Rows of no document must not be read into any result.
    for (int64_t i = a->used * a->cols; i < a->rows * a->cols; i++) a->qkv[i] = NAN;
    for (int64_t i = a->used * a->o_cols; i < a->rows * a->o_cols; i++) a->d_o[i] = NAN;
    a->qkv_view = t_upload_rows(a->qkv, a->rows, a->cols, a->cols + TAIL);
    a->d_o_view = t_upload_rows(a->d_o, a->rows, a->o_cols, a->o_cols + TAIL);
    ft_op_shape shape = {.rows = a->rows, .q_heads = c->q_heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim,
                         .max_length = a->documents.max_length, .max_docs = c->n};
    a->workspace_bytes = ft_own_attention_backward_workspace(&shape);
    a->workspace = t_device(a->workspace_bytes);
    poison_outputs(a);
}

static void describe(char *text, size_t size, const attention *a, ft_products products, const char *what)
{
    int used = snprintf(text, size, "%s %s %lld/%lld d%lld, lengths", name_of(products), what, (long long)a->c->q_heads,
                        (long long)a->c->kv_heads, (long long)a->c->head_dim);
    for (int d = 0; d < a->c->n && used < (int)size - 8; d++)
        used += snprintf(text + used, size - (size_t)used, " %d", a->c->lengths[d]);
}

static void require(ft_status status, const attention *a, ft_products products)
{
    char text[256];
    if (status == FT_OK) return;
    describe(text, sizeof text, a, products, "call");
    fail_msg("%s: %s", text, ft_error_message());
}

// --- float64 -------------------------------------------------------------------------------------------------------------------
// Row `i` of a document that starts at row `first`: output, lse and what the row adds to all gradients. p: room for a row.
static void reference_row(const attention *a, reference *r, int64_t first, int64_t i, int64_t head, double *p)
{
    int64_t d = a->c->head_dim, kv = head / (a->c->q_heads / a->c->kv_heads), row = first + i;
    int64_t q_at = head * d, k_at = (a->c->q_heads + kv) * d, v_at = k_at + a->c->kv_heads * d;
    const float *q = a->qkv + row * a->cols + q_at, *d_o = a->d_o + row * a->o_cols + q_at;
    double maximum = -INFINITY, sum = 0, delta = 0;
    for (int64_t j = 0; j <= i; j++) {
        p[j] = t_dot(q, a->qkv + (first + j) * a->cols + k_at, d) * (double)a->shape.scale;
        maximum = fmax(maximum, p[j]);
    }
    for (int64_t j = 0; j <= i; j++) sum += exp(p[j] - maximum);
    r->lse[head * a->rows + row] = maximum + log(sum);
    for (int64_t j = 0; j <= i; j++) {
        p[j] = exp(p[j] - maximum) / sum;
        t_add_scaled(r->o + row * a->o_cols + q_at, p[j], a->qkv + (first + j) * a->cols + v_at, d);
    }
    for (int64_t c = 0; c < d; c++) delta += (double)d_o[c] * r->o[row * a->o_cols + q_at + c];
    for (int64_t j = 0; j <= i; j++) {
        const float *key = a->qkv + (first + j) * a->cols + k_at, *value = a->qkv + (first + j) * a->cols + v_at;
        double ds = p[j] * (t_dot(d_o, value, d) - delta) * (double)a->shape.scale;
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
    for (int d = 0; d < a->c->n; d++) {
        for (int64_t i = 0; i < a->c->lengths[d]; i++) {
            for (int64_t head = 0; head < a->c->q_heads; head++) reference_row(a, &r, a->begin[d], i, head, p);
        }
    }
    ft_free(p);
    return r;
}

// --- runs ----------------------------------------------------------------------------------------------------------------------
static void run_forward(const attention *a, ft_products products)
{
    require(ft_own_attention_forward(t_queue(), products, a->o_view, a->lse, a->qkv_view, &a->shape, &a->documents), a, products);
}

static void run_backward(const attention *a, ft_products products)
{
    require(ft_own_attention_backward(t_queue(), products, a->dqkv_view, a->d_o_view, a->o_view, a->lse, a->qkv_view, &a->shape,
                                      &a->documents, a->workspace, a->workspace_bytes), a, products);
}

static result download(const attention *a)
{
    result r = {t_download_rows(a->o_view), t_download_rows(a->dqkv_view), NULL};
    r.lse = ft_malloc((size_t)(a->rows * a->c->q_heads) * sizeof *r.lse);
    t_download(r.lse, a->lse, a->rows * a->c->q_heads * (int64_t)sizeof *r.lse);
    return r;
}

static void result_free(result r)
{
    ft_free(r.o);
    ft_free(r.dqkv);
    ft_free(r.lse);
}

// --- checks --------------------------------------------------------------------------------------------------------------------
// Columns [first, first + n) of the used rows, against those of `want` [rows, cols].
static void check_columns(const attention *a, ft_products products, const char *what, const uint16_t *bits, int64_t ld,
                          const double *want, int64_t cols, int64_t first, int64_t n, double tolerance)
{
    float *got = ft_calloc((size_t)(a->used * n), sizeof *got);
    double *part = ft_calloc((size_t)(a->used * n), sizeof *part);
    for (int64_t r = 0; r < a->used; r++) {
        for (int64_t i = 0; i < n; i++) {
            uint32_t word = (uint32_t)bits[r * ld + first + i] << 16;
            memcpy(got + r * n + i, &word, sizeof word);
            part[r * n + i] = want[r * cols + first + i];
        }
    }
    char text[256];
    describe(text, sizeof text, a, products, what);
    t_check(text, got, part, a->used * n, tolerance);
    ft_free(got);
    ft_free(part);
}

static void check_lse(const attention *a, ft_products products, const float *lse, const reference *r)
{
    char text[256];
    describe(text, sizeof text, a, products, "lse");
    for (int64_t head = 0; head < a->c->q_heads; head++)
        t_check(text, lse + head * a->rows, r->lse + head * a->rows, a->used, 1e-4);
}

// Nothing is written right of a row's columns or in rows of no document.
static void check_untouched(const attention *a, ft_products products, const char *what, const uint16_t *bits, ft_view view)
{
    for (int64_t r = 0; r < view.rows; r++) {
        for (int64_t i = r < a->used ? view.cols : 0; i < view.ld; i++) {
            if (bits[r * view.ld + i] == 0xFFFF) continue;
            char text[256];
            describe(text, sizeof text, a, products, what);
            fail_msg("%s: row %lld column %lld of a view of %lld columns was written: %04x", text, (long long)r, (long long)i,
                     (long long)view.cols, bits[r * view.ld + i]);
        }
    }
}

static void check_gradients(const attention *a, ft_products products, const result *got, const reference *r)
{
    double tolerance = ft_op_table[FT_OP_ATTENTION_BACKWARD].tolerance_bf16;
    int64_t d = a->c->head_dim, ld = a->dqkv_view.ld, k_at = a->c->q_heads * d, v_at = k_at + a->c->kv_heads * d;
    check_columns(a, products, "dv", got->dqkv, ld, r->dqkv, a->cols, v_at, a->cols - v_at, tolerance);
    // A query that sees one or two keys has a dS of almost nothing, whose relative error says nothing.
    if (a->documents.max_length >= 63) {
        check_columns(a, products, "dq", got->dqkv, ld, r->dqkv, a->cols, 0, k_at, tolerance);
        check_columns(a, products, "dk", got->dqkv, ld, r->dqkv, a->cols, k_at, v_at - k_at, tolerance);
    }
    check_columns(a, products, "dqkv", got->dqkv, ld, r->dqkv, a->cols, 0, a->cols, tolerance);
}

// One case and one kind of products: a test of its own, so that a failure leaves the others running.
typedef struct {
    char name[96];
    const attention_case *c;
    ft_products products;
} case_test;

static void matches_float64(void **state)
{
    const case_test *test = *state;
    attention a;
    if (!can_run(test->products)) skip();
    make(&a, test->c, 1);
    run_forward(&a, test->products);
    run_backward(&a, test->products);
    result got = download(&a);
    reference want = reference_make(&a);
    check_columns(&a, test->products, "o", got.o, a.o_view.ld, want.o, a.o_cols, 0, a.o_cols,
                  ft_op_table[FT_OP_ATTENTION_FORWARD].tolerance_bf16);
    check_lse(&a, test->products, got.lse, &want);
    check_gradients(&a, test->products, &got, &want);
    check_untouched(&a, test->products, "o", got.o, a.o_view);
    check_untouched(&a, test->products, "dqkv", got.dqkv, a.dqkv_view);
    t_attention_reference_free(want);
    result_free(got);
}

static int free_case(void **state)
{
    (void)state;
    t_free();
    return 0;
}

// Scores in the thousands: weights are 0 or 1, and nothing overflows.
static void large_scores_stay_finite(void **state)
{
    (void)state;
    static const attention_case large = {4, 2, 128, 2, {300, 129}};
    for (ft_products products = FT_PRODUCTS_MMA; products <= FT_PRODUCTS_WGMMA; products++) {
        if (!can_run(products)) continue;
        attention a;
        make(&a, &large, 60);
        run_forward(&a, products);
        run_backward(&a, products);
        result got = download(&a);
        reference want = reference_make(&a);
        check_columns(&a, products, "o of large scores", got.o, a.o_view.ld, want.o, a.o_cols, 0, a.o_cols, 1e-2);
        check_lse(&a, products, got.lse, &want);
        for (int64_t r = 0; r < a.used; r++) {
            for (int64_t i = 0; i < a.cols; i++) {
                if ((got.dqkv[r * a.dqkv_view.ld + i] & 0x7F80) == 0x7F80)
                    fail_msg("%s: gradient at row %lld column %lld is %04x", name_of(products), (long long)r, (long long)i,
                             got.dqkv[r * a.dqkv_view.ld + i]);
            }
        }
        t_attention_reference_free(want);
        result_free(got);
        t_free();
    }
}

static int64_t first_difference(const void *a, const void *b, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i++) {
        if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i]) return i;
    }
    return -1;
}

static void repetition_has_equal_bits(void **state)
{
    (void)state;
    static const attention_case repeated = {8, 2, 128, 5, {700, 1, 333, 64, 900}};
    for (ft_products products = FT_PRODUCTS_MMA; products <= FT_PRODUCTS_WGMMA; products++) {
        if (!can_run(products)) continue;
        attention a;
        make(&a, &repeated, 1);
        run_forward(&a, products);
        run_backward(&a, products);
        result first = download(&a);
        for (int run = 0; run < 3; run++) {
            poison_outputs(&a);
            run_forward(&a, products);
            run_backward(&a, products);
            result again = download(&a);
            int64_t o = first_difference(first.o, again.o, a.rows * a.o_view.ld * 2);
            int64_t dqkv = first_difference(first.dqkv, again.dqkv, a.rows * a.dqkv_view.ld * 2);
            int64_t lse = first_difference(first.lse, again.lse, a.rows * a.c->q_heads * 4);
            if (o >= 0 || dqkv >= 0 || lse >= 0)
                fail_msg("%s: run %d differs at byte %lld of o, %lld of dqkv, %lld of lse (-1: equal)", name_of(products), run,
                         (long long)o, (long long)dqkv, (long long)lse);
            result_free(again);
        }
        result_free(first);
        t_free();
    }
}

// Through the op table, opened as a deterministic run opens it.
static void deterministic_runs_take_our_kernels(void **state)
{
    (void)state;
    static const attention_case opened = {4, 2, 128, 3, {65, 1, 200}};
    attention a;
    make(&a, &opened, 1);
    ft_ops_options options = {.attention = a.shape, .rows = a.rows, .max_length = 200, .max_docs = 3, .train = true,
                              .deterministic = true};
    t_open(&options);
    const char *text = t_ops()->describe(t_queue());
    if (strstr(text, "own kernel (deterministic)") == NULL) fail_msg("describe says: %s", text);
    ft_op_shape shape = {.rows = a.rows, .q_heads = 4, .kv_heads = 2, .head_dim = 128, .max_length = 200, .max_docs = 3};
    int64_t bytes = ft_op_workspace(FT_OP_ATTENTION_BACKWARD, &shape, FT_DEVICE_CUDA);
    void *workspace = t_device(bytes);
    require(t_ops()->attention_forward(t_queue(), a.o_view, a.lse, a.qkv_view, &a.shape, &a.documents, workspace, bytes), &a,
            FT_PRODUCTS_AUTO);
    require(t_ops()->attention_backward(t_queue(), a.dqkv_view, a.d_o_view, a.o_view, a.lse, a.qkv_view, &a.shape, &a.documents,
                                        workspace, bytes), &a, FT_PRODUCTS_AUTO);
    result got = download(&a);
    reference want = reference_make(&a);
    check_columns(&a, FT_PRODUCTS_AUTO, "o", got.o, a.o_view.ld, want.o, a.o_cols, 0, a.o_cols, 1e-2);
    check_gradients(&a, FT_PRODUCTS_AUTO, &got, &want);
    t_attention_reference_free(want);
    result_free(got);
    t_free();
}

// --- speed ---------------------------------------------------------------------------------------------------------------------
typedef struct {
    attention a;
    ft_products products;
} timed;

static void time_forward(void *context)
{
    timed *t = context;
    run_forward(&t->a, t->products);
}

static void time_backward(void *context)
{
    timed *t = context;
    run_backward(&t->a, t->products);
}

static void time_delta(void *context)
{
    timed *t = context;
    require(ft_own_attention_delta(t_queue(), t->a.workspace, t->a.d_o_view, t->a.o_view, &t->a.shape), &t->a, t->products);
}

static void time_kv(void *context)
{
    timed *t = context;
    const attention *a = &t->a;
    require(ft_own_attention_backward_kv(t_queue(), t->products, a->dqkv_view, a->d_o_view, a->lse, a->workspace, a->qkv_view,
                                         &a->shape, &a->documents), a, t->products);
}

static void time_q(void *context)
{
    timed *t = context;
    const attention *a = &t->a;
    require(ft_own_attention_backward_q(t_queue(), t->products, a->dqkv_view, a->d_o_view, a->lse, a->workspace, a->qkv_view,
                                        &a->shape, &a->documents), a, t->products);
}

// [rows, cols] of random values that repeat every few rows: millions of distinct ones would take the host seconds.
static ft_view repeated_view(int64_t rows, int64_t cols, uint64_t seed)
{
    enum { DISTINCT = 61 };
    ft_bf16 *block = t_bf16(t_random(DISTINCT * cols, 1, seed), DISTINCT * cols), *all = ft_malloc((size_t)(rows * cols) * 2);
    for (int64_t r = 0; r < rows; r += DISTINCT) {
        int64_t n = rows - r < DISTINCT ? rows - r : DISTINCT;
        memcpy(all + r * cols, block, (size_t)(n * cols) * 2);
    }
    void *data = t_upload(all, rows * cols * 2);
    ft_free(all);
    return t_rows_view(data, rows, cols, cols);
}

static void make_timed(attention *a, const attention_case *c)
{
    *a = (attention){.c = c, .shape = {c->q_heads, c->kv_heads, c->head_dim, 1 / sqrtf((float)c->head_dim)}};
    for (int d = 0; d < c->n; d++) a->begin[d + 1] = a->begin[d] + c->lengths[d];
    a->rows = a->used = a->begin[c->n];
    a->cols = (c->q_heads + 2 * c->kv_heads) * c->head_dim;
    a->o_cols = c->q_heads * c->head_dim;
    a->documents = (ft_documents){a->begin, t_upload(a->begin, (c->n + 1) * 4), c->n, 0};
    a->qkv_view = repeated_view(a->rows, a->cols, 1);
    a->d_o_view = repeated_view(a->rows, a->o_cols, 2);
    a->workspace_bytes = a->rows * c->q_heads * 4;
    a->workspace = t_device(a->workspace_bytes);
    poison_outputs(a);
}

static void print_speed(const char *what, const attention_case *c)
{
    double squares = 0;
    for (int d = 0; d < c->n; d++) squares += (double)c->lengths[d] * c->lengths[d];
    double flops = 4 * squares / 2 * (double)(c->q_heads * c->head_dim);
    for (ft_products products = FT_PRODUCTS_MMA; products <= FT_PRODUCTS_WGMMA; products++) {
        if (!can_run(products)) continue;
        timed t = {.products = products};
        make_timed(&t.a, c);
        double forward = t_time(time_forward, &t, 5), backward = t_time(time_backward, &t, 5);
        printf("attention %-32s %-6s forward %7.3f ms %6.1f TFLOP/s, backward %7.3f ms %6.1f TFLOP/s", what, name_of(products),
               forward * 1e3, flops / forward * 1e-12, backward * 1e3, 2.5 * flops / backward * 1e-12);
        printf(" (delta %.3f, kv %.3f, q %.3f ms)\n", t_time(time_delta, &t, 5) * 1e3, t_time(time_kv, &t, 5) * 1e3,
               t_time(time_q, &t, 5) * 1e3);
        fflush(stdout);
        t_free();
    }
}

static void speed_is_printed(void **state)
{
    (void)state;
    static const attention_case llama8 = {32, 8, 128, 2, {4096, 4096}}, llama70 = {64, 8, 128, 1, {8192}};
    static const attention_case smol = {9, 3, 64, 4, {2048, 2048, 2048, 2048}};
    static const attention_case packed = {32, 8, 128, 16, {911, 37, 1450, 212, 64, 799, 5, 388, 1203, 130, 641, 98, 1017, 256,
                                                           479, 502}};
    print_speed("32/8 d128 2 x 4096", &llama8);
    print_speed("64/8 d128 1 x 8192", &llama70);
    print_speed("9/3 d64 4 x 2048", &smol);
    print_speed("32/8 d128 16 documents in 8192", &packed);
}

static const struct CMUnitTest other_tests[] = {
    cmocka_unit_test_teardown(large_scores_stay_finite, free_case),
    cmocka_unit_test_teardown(repetition_has_equal_bits, free_case),
    cmocka_unit_test_teardown(deterministic_runs_take_our_kernels, free_case),
    cmocka_unit_test_teardown(speed_is_printed, free_case),
};

enum {
    KINDS = FT_PRODUCTS_WGMMA - FT_PRODUCTS_AUTO,
    CASES = sizeof cases / sizeof *cases,
    OTHERS = sizeof other_tests / sizeof *other_tests,
};

int main(void)
{
    static case_test case_tests[KINDS * CASES];
    static struct CMUnitTest tests[KINDS * CASES + OTHERS];
    unsetenv("FT_ATTENTION");
    for (int i = 0; i < KINDS * CASES; i++) {
        case_test *test = &case_tests[i];
        test->c = &cases[i % CASES];
        test->products = (ft_products)(FT_PRODUCTS_MMA + i / CASES);
        snprintf(test->name, sizeof test->name, "%s_matches_float64_%lld_%lld_d%lld_%d_documents_from_%d", name_of(test->products),
                 (long long)test->c->q_heads, (long long)test->c->kv_heads, (long long)test->c->head_dim, test->c->n,
                 test->c->lengths[0]);
        tests[i] = (struct CMUnitTest){test->name, matches_float64, NULL, free_case, test};
    }
    memcpy(tests + KINDS * CASES, other_tests, sizeof other_tests);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
