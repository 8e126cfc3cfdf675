// Final norm output -> logits -> loss and its gradient, a chunk of rows at a time. The head is frozen, so a chunk's gradient
// needs no second pass: once its softmax is known, dX = (softmax - onehot) W.
//
// Only trainable rows are computed: a chunk gathers them, so its cost follows the number of labels. The head is converted to
// float32 a panel of vocabulary rows at a time, once for the logits and once for dX.
#include <math.h>

#include "kernels/cpu/compute.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/vector.h"

enum { PANEL = 512, SUM_BLOCK = 1024 };

typedef struct {
    const ft_matrix *head;
    const ft_head_options *options;
    const int32_t *labels;
    ft_view x, dx;
    float *logits;   // [chunk, vocab]
    float *dense;    // [chunk, hidden]: gathered x, then dX
    float *panel;    // [PANEL, hidden]
    double *nll;     // [chunk]
    float *factor;   // [chunk] what a row of dX is still to be multiplied by
    int32_t *row;    // [chunk] row in x of a gathered row
    int64_t n;       // gathered rows
    bool bf16;       // products of bf16 factors
} head_job;

// Rows [begin, end) that matter: the trainable ones, or all if their logits are wanted.
static void select_rows(head_job *job, int64_t begin, int64_t end)
{
    job->n = 0;
    for (int64_t row = begin; row < end; row++) {
        FT_ASSERT(job->labels[row] < job->head->rows, "label %d of row %lld", job->labels[row], (long long)row);
        if (job->labels[row] >= 0 || job->options->logits != NULL) job->row[job->n++] = (int32_t)row;
    }
}

static void gather(void *context, int64_t begin, int64_t end)
{
    const head_job *job = context;
    const float *x = job->x.data;
    for (int64_t i = begin; i < end; i++) {
        memcpy(job->dense + i * job->x.cols, x + job->row[i] * job->x.ld, (size_t)job->x.cols * sizeof(float));
    }
}

FT_VECTOR static void scale_row(float *to, const float *from, float factor, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) to[i] = from[i] * factor;
}

static void scatter(void *context, int64_t begin, int64_t end)
{
    const head_job *job = context;
    float *dx = job->dx.data;
    for (int64_t i = begin; i < end; i++) {
        scale_row(dx + job->row[i] * job->dx.ld, job->dense + i * job->x.cols, job->factor[i], job->x.cols);
    }
}

static void clear_rows(ft_view view, int64_t begin, int64_t end)
{
    for (int64_t row = begin; row < end; row++) {
        memset((float *)view.data + row * view.ld, 0, (size_t)view.cols * sizeof(float));
    }
}

// Rows [first, first + n) of the head in float32: in place if it is float32 already.
static ft_status read_panel(const head_job *job, int64_t first, int64_t n, const float **panel)
{
    const ft_matrix *head = job->head;
    *panel = job->panel;
    if (head->dtype == FT_DTYPE_F32) *panel = (const float *)head->codes + first * head->cols;
    else FT_TRY(ft_cpu_convert_rows(job->panel, head->cols, head, first, n));
    return FT_OK;
}

static ft_status multiply_logits(const head_job *job)
{
    int64_t vocab = job->head->rows, hidden = job->head->cols;
    for (int64_t first = 0; first < vocab; first += PANEL) {
        int64_t n = vocab - first < PANEL ? vocab - first : PANEL;
        const float *panel;
        FT_TRY(read_panel(job, first, n, &panel));
        ft_gemm_parallel(&(ft_gemm){.m = job->n, .n = n, .k = hidden, .a = job->dense, .lda = hidden, .b = panel, .ldb = hidden,
                                    .b_transposed = true, .c = job->logits + first, .ldc = vocab, .alpha = 1, .bf16 = job->bf16});
    }
    return FT_OK;
}

static ft_status multiply_gradient(const head_job *job)
{
    int64_t vocab = job->head->rows, hidden = job->head->cols;
    for (int64_t first = 0; first < vocab; first += PANEL) {
        int64_t n = vocab - first < PANEL ? vocab - first : PANEL;
        const float *panel;
        FT_TRY(read_panel(job, first, n, &panel));
        ft_gemm_parallel(&(ft_gemm){.m = job->n, .n = hidden, .k = n, .a = job->logits + first, .lda = vocab, .b = panel,
                                    .ldb = hidden, .c = job->dense, .ldc = hidden, .alpha = 1, .beta = first > 0,
                                    .bf16 = job->bf16});
    }
    return FT_OK;
}

FT_VECTOR static float row_maximum(const float *z, int64_t n)
{
    return ft_largest(z, n);
}

// z becomes exp(z - maximum); returns the sum, blocks of it added in double.
FT_VECTOR static double exponentials(float *z, float maximum, int64_t n)
{
    double sum = 0;
    for (int64_t first = 0; first < n; first += SUM_BLOCK) {
        int64_t count = n - first < SUM_BLOCK ? n - first : SUM_BLOCK;
        for (int64_t i = first; i < first + count; i++) z[i] = ft_exp(z[i] - maximum);
        sum += (double)ft_sum(z + first, count);
    }
    return sum;
}

// One gathered row: its logits become (softmax - onehot) times the sum of exponentials, which dX, being so much narrower, is
// divided by instead. The label's term is kept apart from the sum of the others in double, so that p - 1 = -others/sum does not
// cancel when the prediction is certain.
static void finish_row(head_job *job, int64_t i, float *z, int32_t label)
{
    double true_logit = z[label];
    float maximum = row_maximum(z, job->head->rows);
    z[label] = -INFINITY;
    double others = exponentials(z, maximum, job->head->rows);
    double sum = others + exp(true_logit - (double)maximum);
    z[label] = (float)-others;
    job->factor[i] = (float)((double)job->options->loss_scale / sum);
    job->nll[i] = log(sum) + (double)maximum - true_logit;
}

static void finish_rows(void *context, int64_t begin, int64_t end)
{
    head_job *job = context;
    int64_t vocab = job->head->rows;
    for (int64_t i = begin; i < end; i++) {
        float *z = job->logits + i * vocab;
        int32_t label = job->labels[job->row[i]];
        if (job->options->logits != NULL) memcpy(job->options->logits + job->row[i] * vocab, z, (size_t)vocab * sizeof *z);
        job->factor[i] = 0;
        if (label >= 0) finish_row(job, i, z, label);
        else memset(z, 0, (size_t)vocab * sizeof *z);
    }
}

static ft_status run_chunk(head_job *job, double *nll_sum, int64_t begin, int64_t end)
{
    bool gradient = job->options->want_gradient;
    select_rows(job, begin, end);
    ft_parallel_for(job->n, ft_cpu_grain(job->x.cols), gather, job);
    if (gradient) clear_rows(job->dx, begin, end);  // after x is read: dx may be x
    if (job->n == 0) return FT_OK;
    FT_TRY(multiply_logits(job));
    ft_parallel_for(job->n, 1, finish_rows, job);
    for (int64_t i = 0; i < job->n; i++) {
        if (job->labels[job->row[i]] >= 0) *nll_sum += job->nll[i];
    }
    if (!gradient) return FT_OK;
    FT_TRY(multiply_gradient(job));
    ft_parallel_for(job->n, ft_cpu_grain(job->x.cols), scatter, job);
    return FT_OK;
}

// Pieces in the order run takes them.
typedef struct {
    size_t logits, dense, panel, nll, factor, row;
} layout;

static layout make_layout(int64_t chunk, int64_t vocab, int64_t hidden)
{
    return (layout){
        .logits = (size_t)(chunk * vocab) * sizeof(float),
        .dense = (size_t)(chunk * hidden) * sizeof(float),
        .panel = (size_t)(PANEL * hidden) * sizeof(float),
        .nll = (size_t)chunk * sizeof(double),
        .factor = (size_t)chunk * sizeof(float),
        .row = (size_t)chunk * sizeof(int32_t),
    };
}

int64_t ft_cpu_head_loss_workspace(const ft_op_shape *shape)
{
    layout l = make_layout(shape->rows < shape->chunk ? shape->rows : shape->chunk, shape->vocab, shape->in);
    return (int64_t)(ft_arena_round(l.logits) + ft_arena_round(l.dense) + ft_arena_round(l.panel) + ft_arena_round(l.nll) +
                     ft_arena_round(l.factor) + ft_arena_round(l.row));
}

ft_status ft_cpu_head_loss(ft_queue *queue, double *nll_sum, ft_view dx, ft_view x, const ft_matrix *head, const int32_t *labels,
                           const ft_head_options *options, void *workspace, int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    ft_cpu_data(x);
    FT_ASSERT(options->chunk > 0 && head->cols == x.cols && (!options->want_gradient || ft_cpu_data(dx) != NULL));
    int64_t chunk = x.rows < options->chunk ? x.rows : options->chunk;
    layout l = make_layout(chunk, head->rows, head->cols);
    ft_arena arena;
    ft_arena_init(&arena, "head_loss", workspace, (size_t)workspace_bytes);
    head_job job = {.head = head, .options = options, .labels = labels, .x = x, .dx = dx, .bf16 = ft_cpu_computes_bf16(queue)};
    job.logits = ft_arena_take(&arena, l.logits);
    job.dense = ft_arena_take(&arena, l.dense);
    job.panel = ft_arena_take(&arena, l.panel);
    job.nll = ft_arena_take(&arena, l.nll);
    job.factor = ft_arena_take(&arena, l.factor);
    job.row = ft_arena_take(&arena, l.row);
    for (int64_t begin = 0; begin < x.rows; begin += chunk) {
        FT_TRY(run_chunk(&job, nll_sum, begin, begin + chunk < x.rows ? begin + chunk : x.rows));
    }
    return FT_OK;
}
