// Which products a linear group and the head are made of: the shapes of linear_forward.c, linear_backward.c and head_loss, for
// calibration. A product missing here costs speed, never a result: it takes the library's first choice.
#include "kernels/cuda/gemm_state.h"
#include "kernels/cuda/head_loss.h"

static int64_t ld_or(int64_t ld, int64_t otherwise)
{
    return ld > 0 ? ld : otherwise;
}

// Completes a key whose operands begin at aligned addresses.
static ft_cuda_gemm_key aligned(ft_cuda_gemm_key key)
{
    int64_t in = key.kind == FT_GEMM_BF16 ? 2 : 1, out = key.d_f32 ? 4 : 2;
    key.ldc = ld_or(key.ldc, key.ldd);
    key.alignment = ft_gemm_alignment(0, in * (key.lda | key.ldb) | out * (key.ldc | key.ldd));
    return key;
}

static int64_t out_of(const ft_cuda_linear_case *c)
{
    int64_t out = 0;
    for (int p = 0; p < c->n_parts; p++) out += c->out[p];
    return out;
}

static ft_cuda_gemm_key e4m3(const ft_cuda_linear_case *c, int64_t n, int64_t k, int64_t lda, int64_t ldd, bool adds, bool row_scales)
{
    int64_t rows = (c->rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    return aligned((ft_cuda_gemm_key){.kind = row_scales ? FT_GEMM_FP8_OUTER : FT_GEMM_FP8_BLOCK, .m = rows, .n = n, .k = k,
                                      .b_transposed = true, .adds = adds, .lda = lda, .ldb = k, .ldd = ldd});
}

static int forward_products(const ft_cuda_linear_case *c, ft_cuda_gemm_key *keys)
{
    int64_t out = out_of(c), x_ld = ld_or(c->x_ld, c->in + c->fold), y_ld = ld_or(c->y_ld, out);
    int n = 0;
    ft_cuda_gemm_key bf16 = {.m = c->rows, .n = out, .k = c->in + c->fold, .b_transposed = true, .adds = c->residual, .lda = x_ld,
                             .ldb = c->in + c->fold, .ldd = y_ld};
    if (c->fp8) {
        bf16.k = c->fold;
        bf16.ldb = c->fold;
    }
    if (bf16.k > 0) keys[n++] = aligned(bf16);
    for (int p = 0; c->fp8 && p < c->n_parts; p++)
        keys[n++] = e4m3(c, c->out[p], c->in, c->in, y_ld, c->residual || c->fold > 0, c->row_scales);
    return n;
}

static int backward_products(const ft_cuda_linear_case *c, ft_cuda_gemm_key *keys)
{
    int64_t out = out_of(c), fold = c->lora && !c->dropout ? c->fold : 0, dx_ld = ld_or(c->dx_ld, c->in);
    int64_t dy_ld = ld_or(c->dy_ld, out + c->fold);
    int n = 0;
    ft_cuda_gemm_key bf16 = {.m = c->rows, .n = c->in, .k = out + fold, .lda = dy_ld, .ldb = c->in + c->fold, .ldd = dx_ld};
    if (c->fp8) {
        bf16.k = fold;
        bf16.ldb = c->in;
    }
    if (bf16.k > 0) keys[n++] = aligned(bf16);
    // A dy with a twin has the whole row as its leading dimension, one quantized here the part's: the first is the usual one.
    for (int p = 0; c->fp8 && p < c->n_parts; p++)
        keys[n++] = e4m3(c, c->in, c->out[p], c->row_scales ? c->out[p] : out, dx_ld, fold > 0 || p > 0, false);
    return n;
}

int ft_cuda_linear_products(const ft_cuda_linear_case *c, ft_cuda_gemm_key keys[FT_CUDA_LINEAR_PRODUCTS])
{
    int n = forward_products(c, keys);
    return c->backward ? n + backward_products(c, keys + n) : n;
}

int ft_cuda_head_products(int64_t chunk, int64_t hidden, int64_t vocab, bool backward, ft_cuda_gemm_key keys[FT_CUDA_HEAD_PRODUCTS])
{
    int64_t ld = FT_CUDA_LOGITS_LD(vocab);
    keys[0] = aligned((ft_cuda_gemm_key){.m = chunk, .n = vocab, .k = hidden, .b_transposed = true, .lda = hidden, .ldb = hidden,
                                         .ldd = ld});
    if (!backward) return 1;
    keys[1] = aligned((ft_cuda_gemm_key){.m = chunk, .n = hidden, .k = vocab, .lda = ld, .ldb = hidden, .ldd = hidden});
    return 2;
}

int ft_cuda_gemm_products(ft_queue *queue, ft_cuda_gemm_key *keys, int capacity)
{
    const ft_gemm_plan *plan = &ft_cuda_gemm_of(queue)->plans.plan[0][0];
    int n = 0;
    for (int i = 0; i < FT_GEMM_PLAN_SETS * FT_GEMM_PLAN_WAYS && n < capacity; i++) {
        if (plan[i].used > 0) keys[n++] = plan[i].key;
    }
    return n;
}
