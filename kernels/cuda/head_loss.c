// Final norm output -> logits -> loss and its gradient, a chunk of rows at a time: a product for the logits, one kernel for
// losses and gradients in their place, a product for dX. All rows are computed: which have labels only the device knows.
#include "common/memory.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/head_loss.h"
#include "kernels/cuda/workspace.h"

typedef struct {
    ft_queue *queue;
    const ft_matrix *head;
    const ft_head_options *options;
    const int32_t *labels;
    ft_view x, dx;
    void *products;          // the GEMMs' workspace
    void *logits;            // [chunk, vocab] bf16, then their gradient
    ft_cuda_row_loss *loss;  // [rows]
} head_job;

static char *view_row(ft_view view, int64_t row)
{
    return (char *)view.data + row * view.ld * ft_repr_bytes(view.repr);
}

// Logits of rows [begin, begin + n), in the workspace or where the caller wants them.
static ft_status multiply_logits(const head_job *job, ft_cuda_loss_chunk *chunk)
{
    ft_cuda_product product = {
        .m = chunk->rows, .n = chunk->vocab, .k = chunk->hidden,
        .a = chunk->x, .lda = chunk->x_ld,
        .b = chunk->head, .ldb = chunk->hidden, .b_transposed = true,
        .d = (void *)chunk->logits, .ldd = chunk->logits_ld, .d_f32 = chunk->logits_f32,
    };
    return ft_cuda_gemm(job->queue, &product, job->products, FT_CUBLASLT_WORKSPACE);
}

static ft_status multiply_gradient(const head_job *job, const ft_cuda_loss_chunk *chunk, void *dx)
{
    ft_cuda_product product = {
        .m = chunk->rows, .n = chunk->hidden, .k = chunk->vocab,
        .a = chunk->gradient, .lda = chunk->gradient_ld,
        .b = chunk->head, .ldb = chunk->hidden,
        .d = dx, .ldd = job->dx.ld,
    };
    return ft_cuda_gemm(job->queue, &product, job->products, FT_CUBLASLT_WORKSPACE);
}

// x is read for the last time before dx is written, so dx may be x.
static ft_status run_chunk(const head_job *job, int64_t begin, int64_t rows)
{
    int64_t vocab = job->head->rows, ld = FT_CUDA_LOGITS_LD(vocab);
    float *wanted = job->options->logits;
    ft_cuda_loss_chunk chunk = {
        .rows = rows, .hidden = job->head->cols, .vocab = vocab,
        .logits = wanted != NULL ? (void *)(wanted + begin * vocab) : job->logits,
        .logits_ld = wanted != NULL ? vocab : ld, .logits_f32 = wanted != NULL,
        .gradient = job->options->want_gradient ? job->logits : NULL, .gradient_ld = ld,
        .loss = job->loss + begin, .labels = job->labels + begin,
        .x = view_row(job->x, begin), .x_ld = job->x.ld,
        .head = job->head->codes, .loss_scale = job->options->loss_scale,
    };
    FT_TRY(multiply_logits(job, &chunk));
    FT_TRY(ft_cuda_cross_entropy(job->queue, &chunk));
    return job->options->want_gradient ? multiply_gradient(job, &chunk, view_row(job->dx, begin)) : FT_OK;
}

static ft_status check(ft_view dx, ft_view x, const ft_matrix *head, const ft_head_options *options)
{
    if (head->kind != FT_SCALE_NONE || head->dtype != FT_DTYPE_BF16) {
        return ft_error(FT_E_UNSUPPORTED, "head_loss: the head is %s with %s scales; on CUDA it must be BF16",
                        ft_dtype_name(head->dtype), ft_scale_kind_name(head->kind));
    }
    FT_ASSERT(x.repr == FT_REPR_BF16 && x.cols == head->cols && x.ld >= x.cols && x.rows > 0, "head_loss: x [%lld, %lld]",
              (long long)x.rows, (long long)x.cols);
    FT_ASSERT(head->rows > 0 && head->rows <= INT32_MAX - 64, "head_loss: vocabulary %lld", (long long)head->rows);
    FT_ASSERT(options->chunk > 0, "head_loss: chunk %lld", (long long)options->chunk);
    FT_ASSERT(!options->want_gradient || (dx.data != NULL && dx.repr == FT_REPR_BF16 && dx.codes == NULL && dx.rows == x.rows &&
                                          dx.cols == x.cols && dx.ld >= dx.cols), "head_loss: dx [%lld, %lld]",
              (long long)dx.rows, (long long)dx.cols);
    return FT_OK;
}

ft_status ft_cuda_head_loss(ft_queue *queue, double *nll_sum, ft_view dx, ft_view x, const ft_matrix *head, const int32_t *labels,
                            const ft_head_options *options, void *workspace, int64_t workspace_bytes)
{
    FT_TRY(check(dx, x, head, options));
    int64_t chunk = x.rows < options->chunk ? x.rows : options->chunk;
    ft_arena arena;
    ft_arena_init(&arena, "head_loss", workspace, (size_t)workspace_bytes);
    head_job job = {.queue = queue, .head = head, .options = options, .labels = labels, .x = x, .dx = dx};
    job.products = ft_arena_take(&arena, FT_CUBLASLT_WORKSPACE);
    job.logits = ft_arena_take(&arena, (size_t)(chunk * FT_CUDA_LOGITS_LD(head->rows) * 2));
    job.loss = ft_arena_take(&arena, (size_t)x.rows * sizeof *job.loss);
    for (int64_t begin = 0; begin < x.rows; begin += chunk) {
        FT_TRY(run_chunk(&job, begin, x.rows - begin < chunk ? x.rows - begin : chunk));
    }
    return ft_cuda_loss_sum(queue, nll_sum, job.loss, x.rows);
}
