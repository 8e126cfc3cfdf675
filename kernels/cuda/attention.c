// Attention of a CUDA queue: cuDNN or the kernels of our own, call by call.
#include "kernels/cuda/attention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "kernels/cuda/attention_cudnn.h"
#include "kernels/cuda/context.h"
#include "kernels/cuda/cuda_ops.h"

struct ft_cuda_attention {
    ft_cudnn_attention *cudnn;  // NULL: the kernels of our own
    ft_products products;
    char description[192];
};

static ft_status read_choice(const char **choice)
{
    *choice = getenv("FT_ATTENTION");
    if (*choice == NULL || **choice == 0) *choice = "";
    else if (strcmp(*choice, "own") != 0 && strcmp(*choice, "own-mma") != 0 && strcmp(*choice, "cudnn") != 0)
        return ft_error(FT_E_USAGE, "FT_ATTENTION=%s: own, own-mma or cudnn", *choice);
    return FT_OK;
}

static ft_status open_cudnn(struct ft_cuda_attention *attention, ft_queue *queue, const ft_ops_options *options, bool forced)
{
    ft_status status = ft_cudnn_attention_open(&attention->cudnn, queue, options, forced);
    if (status == FT_OK) {
        snprintf(attention->description, sizeof attention->description, "cuDNN %s%s", ft_cudnn_attention_version(),
                 forced ? "" : " (packed documents: own kernel)");
        return FT_OK;
    }
    attention->cudnn = NULL;
    if (status != FT_E_UNSUPPORTED || forced) return status;
    snprintf(attention->description, sizeof attention->description, "own kernel (cuDNN: %.160s)", ft_error_message());
    return FT_OK;
}

ft_status ft_cuda_attention_open(ft_queue *queue, const ft_ops_options *options, struct ft_cuda_attention **out)
{
    *out = NULL;
    const char *choice;
    FT_TRY(read_choice(&choice));
    struct ft_cuda_attention *attention = FT_NEW(struct ft_cuda_attention);
    if (attention == NULL) return FT_E_NOMEM;
    bool forced = strcmp(choice, "cudnn") == 0;
    if (strcmp(choice, "own-mma") == 0) attention->products = FT_PRODUCTS_MMA;
    if (forced || (choice[0] == 0 && !options->deterministic)) {
        ft_status status = open_cudnn(attention, queue, options, forced);
        if (status != FT_OK) {
            ft_free(attention);
            return status;
        }
    } else {
        snprintf(attention->description, sizeof attention->description, "own kernel (%s)",
                 choice[0] == 0 ? "deterministic" : "FT_ATTENTION");
    }
    *out = attention;
    return FT_OK;
}

void ft_cuda_attention_close(struct ft_cuda_attention *attention)
{
    if (attention == NULL) return;
    if (attention->cudnn != NULL) ft_cudnn_attention_close(attention->cudnn);
    ft_free(attention);
}

const char *ft_cuda_attention_describe(const struct ft_cuda_attention *attention)
{
    return attention == NULL ? "own kernel" : attention->description;
}

static bool by_cudnn(const struct ft_cuda_attention *attention, const ft_documents *documents)
{
    return attention != NULL && attention->cudnn != NULL && ft_cudnn_attention_takes(attention->cudnn, documents);
}

ft_status ft_cuda_attention_forward(ft_queue *queue, ft_view o, float *lse, ft_view qkv, const ft_attention *shape,
                                    const ft_documents *documents, void *workspace, int64_t workspace_bytes)
{
    const struct ft_cuda_attention *attention = ft_cuda_context_of(queue)->attention;
    if (by_cudnn(attention, documents))
        return ft_cudnn_attention_forward(attention->cudnn, queue, o, lse, qkv, shape, documents, workspace, workspace_bytes);
    ft_products products = attention == NULL ? FT_PRODUCTS_AUTO : attention->products;
    return ft_own_attention_forward(queue, products, o, lse, qkv, shape, documents);
}

ft_status ft_cuda_attention_backward(ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o, const float *lse, ft_view qkv,
                                     const ft_attention *shape, const ft_documents *documents, void *workspace,
                                     int64_t workspace_bytes)
{
    const struct ft_cuda_attention *attention = ft_cuda_context_of(queue)->attention;
    if (by_cudnn(attention, documents))
        return ft_cudnn_attention_backward(attention->cudnn, queue, dqkv, d_o, o, lse, qkv, shape, documents, workspace,
                                           workspace_bytes);
    ft_products products = attention == NULL ? FT_PRODUCTS_AUTO : attention->products;
    return ft_own_attention_backward(queue, products, dqkv, d_o, o, lse, qkv, shape, documents, workspace, workspace_bytes);
}

ft_status ft_own_attention_backward(ft_queue *queue, ft_products products, ft_view dqkv, ft_view d_o, ft_view o,
                                    const float *lse, ft_view qkv, const ft_attention *shape, const ft_documents *documents,
                                    void *workspace, int64_t workspace_bytes)
{
    int64_t needed = shape->q_heads * qkv.rows * (int64_t)sizeof(float);
    if (workspace_bytes < needed)
        return ft_error(FT_E_INTERNAL, "attention_backward: workspace of %lld bytes, %lld needed", (long long)workspace_bytes,
                        (long long)needed);
    float *delta = workspace;
    FT_TRY(ft_own_attention_delta(queue, delta, d_o, o, shape));
    FT_TRY(ft_own_attention_backward_kv(queue, products, dqkv, d_o, lse, delta, qkv, shape, documents));
    return ft_own_attention_backward_q(queue, products, dqkv, d_o, lse, delta, qkv, shape, documents);
}
