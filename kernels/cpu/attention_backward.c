// Causal attention within documents, backward. With P = exp(scale q k^T - lse) and D = rowsum(dO * O):
//   dV = P^T dO,  dS = P * (dO V^T - D),  dQ = scale dS K,  dK = scale dS^T Q.
//
// The unit of work is (document, q head). It owns its rows of dQ; dK and dV of a q head go to the workspace, and the q heads that
// share a kv head are added afterwards in ascending order.
#include <math.h>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/vector.h"

enum { BLOCK = 128, HALF = BLOCK / 2 };  // queries and keys of a tile

typedef struct {
    ft_heads heads;
    const float *o, *d_o, *lse;
    int64_t ld_o, ld_d_o;
    float *dqkv;
    int64_t ld_dqkv;
    float *delta;     // D [q_heads, rows]
    float *dk, *dv;   // [rows, q_heads * head_dim]
} backward_job;

// One tile: queries [q, q + n_q) against keys [k, k + n_k), rows of the micro-batch.
typedef struct {
    int64_t head, q, n_q, k, n_k;
    bool first_key_block;    // of the document: dQ is written, not added to
    bool first_query_block;  // of these keys: dK and dV are written
} tile;

FT_VECTOR static float row_delta(const float *a, const float *b, int64_t n)
{
    return ft_dot(a, b, n);
}

static void find_deltas(void *context, int64_t begin, int64_t end)
{
    const backward_job *job = context;
    int64_t d = job->heads.shape->head_dim;
    for (int64_t row = begin; row < end; row++) {
        for (int64_t head = 0; head < job->heads.shape->q_heads; head++) {
            job->delta[head * job->heads.rows + row] =
                row_delta(job->o + row * job->ld_o + head * d, job->d_o + row * job->ld_d_o + head * d, d);
        }
    }
}

// Scores to weights, and weight gradients to score gradients, for the first `visible` keys; the others get 0.
FT_VECTOR static void differentiate_row(float *p, float *ds, int64_t visible, int64_t n, float lse, float delta)
{
    for (int64_t i = 0; i < visible; i++) {
        float weight = ft_exp(p[i] - lse);
        p[i] = weight;
        ds[i] = weight * (ds[i] - delta);
    }
    for (int64_t i = visible; i < n; i++) p[i] = ds[i] = 0;
}

// P and dS of a tile, [n_q, BLOCK] each.
static void differentiate_tile(const backward_job *job, const tile *t, float *p, float *ds)
{
    const ft_heads *h = &job->heads;
    int64_t d = h->shape->head_dim;
    ft_heads_scores(h, p, BLOCK, ft_heads_q(h, t->q, t->head), t->n_q, ft_heads_k(h, t->k, t->head), t->n_k);
    ft_gemm_serial(&(ft_gemm){.m = t->n_q, .n = t->n_k, .k = d, .a = job->d_o + t->q * job->ld_d_o + t->head * d,
                              .lda = job->ld_d_o, .b = ft_heads_v(h, t->k, t->head), .ldb = h->ld, .b_transposed = true,
                              .c = ds, .ldc = BLOCK, .alpha = 1});
    for (int64_t i = 0; i < t->n_q; i++) {
        int64_t at = t->head * h->rows + t->q + i, visible = ft_smaller(t->q + i - t->k + 1, t->n_k);
        differentiate_row(p + i * BLOCK, ds + i * BLOCK, visible, t->n_k, job->lse[at], job->delta[at]);
    }
}

static void add_tile(const backward_job *job, const tile *t)
{
    const ft_heads *h = &job->heads;
    int64_t d = h->shape->head_dim, ld = h->shape->q_heads * d, at = t->k * ld + t->head * d;
    float p[BLOCK * BLOCK], ds[BLOCK * BLOCK], scale = h->shape->scale;
    differentiate_tile(job, t, p, ds);
    float add = t->first_query_block ? 0 : 1;
    ft_gemm_serial(&(ft_gemm){.m = t->n_k, .n = d, .k = t->n_q, .a = p, .lda = BLOCK, .a_transposed = true,
                              .b = job->d_o + t->q * job->ld_d_o + t->head * d, .ldb = job->ld_d_o, .c = job->dv + at, .ldc = ld,
                              .alpha = 1, .beta = add});
    ft_gemm_serial(&(ft_gemm){.m = t->n_k, .n = d, .k = t->n_q, .a = ds, .lda = BLOCK, .a_transposed = true,
                              .b = ft_heads_q(h, t->q, t->head), .ldb = h->ld, .c = job->dk + at, .ldc = ld, .alpha = scale,
                              .beta = add});
    ft_gemm_serial(&(ft_gemm){.m = t->n_q, .n = d, .k = t->n_k, .a = ds, .lda = BLOCK, .b = ft_heads_k(h, t->k, t->head),
                              .ldb = h->ld, .c = job->dqkv + t->q * job->ld_dqkv + t->head * d, .ldc = job->ld_dqkv,
                              .alpha = scale, .beta = t->first_key_block ? 0 : 1});
}

// The tile on the diagonal, without the quarter that no query sees. The lower half comes first: it has all of the keys.
static void add_diagonal(const backward_job *job, tile t)
{
    tile upper = t;
    t.first_query_block = true;
    if (t.n_q > HALF) {
        t.q += HALF;
        t.n_q -= HALF;
        add_tile(job, &t);
        upper.n_q = upper.n_k = HALF;
    } else upper.first_query_block = true;
    add_tile(job, &upper);
}

static void differentiate_units(void *context, int64_t begin, int64_t end)
{
    const backward_job *job = context;
    int64_t q_heads = job->heads.shape->q_heads;
    for (int64_t unit = begin; unit < end; unit++) {
        const int32_t *document = job->heads.documents->begin + unit / q_heads;
        for (int64_t k = document[0]; k < document[1]; k += BLOCK) {
            tile t = {.head = unit % q_heads, .k = k, .n_k = ft_smaller(BLOCK, document[1] - k), .first_key_block = k == document[0]};
            for (t.q = k; t.q < document[1]; t.q += BLOCK) {
                t.n_q = ft_smaller(BLOCK, document[1] - t.q);
                if (t.q == k) add_diagonal(job, t);
                else add_tile(job, &t);
            }
        }
    }
}

FT_VECTOR static void add_heads(float *sum, const float *parts, int64_t heads, int64_t d)
{
    for (int64_t i = 0; i < d; i++) sum[i] = parts[i];
    for (int64_t head = 1; head < heads; head++) {
        for (int64_t i = 0; i < d; i++) sum[i] += parts[head * d + i];
    }
}

static void add_groups(void *context, int64_t begin, int64_t end)
{
    const backward_job *job = context;
    const ft_attention *shape = job->heads.shape;
    int64_t d = shape->head_dim, group = shape->q_heads / shape->kv_heads, ld = shape->q_heads * d;
    for (int64_t row = begin; row < end; row++) {
        float *dk = job->dqkv + row * job->ld_dqkv + shape->q_heads * d, *dv = dk + shape->kv_heads * d;
        for (int64_t head = 0; head < shape->kv_heads; head++) {
            add_heads(dk + head * d, job->dk + row * ld + head * group * d, group, d);
            add_heads(dv + head * d, job->dv + row * ld + head * group * d, group, d);
        }
    }
}

int64_t ft_cpu_attention_backward_workspace(const ft_op_shape *shape)
{
    size_t delta = ft_arena_round((size_t)(shape->q_heads * shape->rows) * sizeof(float));
    size_t gradient = ft_arena_round((size_t)(shape->q_heads * shape->head_dim * shape->rows) * sizeof(float));
    return (int64_t)(delta + 2 * gradient);
}

ft_status ft_cpu_attention_backward(ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o, const float *lse, ft_view qkv,
                                    const ft_attention *shape, const ft_documents *documents, void *workspace,
                                    int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    size_t q_values = (size_t)(shape->q_heads * qkv.rows);
    ft_arena arena;
    ft_arena_init(&arena, "attention_backward", workspace, (size_t)workspace_bytes);
    backward_job job = {
        .heads = {shape, documents, ft_cpu_data(qkv), qkv.ld, qkv.rows},
        .o = ft_cpu_data(o), .ld_o = o.ld,
        .d_o = ft_cpu_data(d_o), .ld_d_o = d_o.ld,
        .lse = lse,
        .dqkv = ft_cpu_data(dqkv), .ld_dqkv = dqkv.ld,
        .delta = ft_arena_take(&arena, q_values * sizeof(float)),
        .dk = ft_arena_take(&arena, q_values * (size_t)shape->head_dim * sizeof(float)),
        .dv = ft_arena_take(&arena, q_values * (size_t)shape->head_dim * sizeof(float)),
    };
    ft_heads_check(&job.heads, qkv);
    int64_t rows = documents->n > 0 ? documents->begin[documents->n] : 0;
    ft_parallel_for(rows, ft_cpu_grain(o.cols), find_deltas, &job);
    ft_parallel_for(documents->n * shape->q_heads, 1, differentiate_units, &job);
    ft_parallel_for(rows, ft_cpu_grain(o.cols), add_groups, &job);
    return FT_OK;
}
