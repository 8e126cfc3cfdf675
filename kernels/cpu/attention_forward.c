// Causal attention within documents, forward: tiles of queries against tiles of keys with the softmax kept running (Milakov &
// Gimelshein 2018; Dao et al. 2022), so that the scores of a document never exist in full.
#include <math.h>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/vector.h"

enum { QUERIES = 64, KEYS = 256 };

typedef struct {
    ft_heads heads;
    float *o;
    int64_t ld_o;
    float *lse;
    int64_t blocks;  // of up to QUERIES rows, over all documents
} forward_job;

// A block of queries: rows [first, first + n) of the document that starts at row `begin`.
typedef struct {
    int64_t document, begin, first, n;
} query_block;

static int64_t blocks_of(const ft_documents *documents, int64_t d)
{
    return (documents->begin[d + 1] - documents->begin[d] + QUERIES - 1) / QUERIES;
}

static query_block block_at(const ft_documents *documents, int64_t document, int64_t index)
{
    int64_t begin = documents->begin[document], first = begin + index * QUERIES;
    return (query_block){document, begin, first, ft_smaller(QUERIES, documents->begin[document + 1] - first)};
}

// Block `index` counted from the last one backward: late blocks see more keys, and long pieces of work should start first.
static query_block find_block(const ft_documents *documents, int64_t index)
{
    int64_t d = documents->n - 1;
    for (; index >= blocks_of(documents, d); d--) index -= blocks_of(documents, d);
    return block_at(documents, d, blocks_of(documents, d) - 1 - index);
}

static query_block block_before(const ft_documents *documents, query_block block)
{
    if (block.first > block.begin) return block_at(documents, block.document, (block.first - block.begin) / QUERIES - 1);
    int64_t d = block.document - 1;
    while (d > 0 && blocks_of(documents, d) == 0) d--;
    return d < 0 ? block : block_at(documents, d, blocks_of(documents, d) - 1);
}

// Turns the first `valid` scores of a row into weights relative to the new running maximum and clears the rest; updates maximum
// and sum and returns what earlier weights must be multiplied by.
FT_VECTOR static float weigh(float *scores, int64_t valid, int64_t n, float *maximum, float *sum)
{
    float largest = ft_largest(scores, valid);
    largest = largest > *maximum ? largest : *maximum;
    for (int64_t i = 0; i < valid; i++) scores[i] = ft_exp(scores[i] - largest);
    for (int64_t i = valid; i < n; i++) scores[i] = 0;
    float correction = ft_exp(*maximum - largest);
    *sum = *sum * correction + ft_sum(scores, valid);
    *maximum = largest;
    return correction;
}

FT_VECTOR static void multiply(float *row, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++) row[i] *= factor;
}

// Softmax of one tile: keys [key, key + n_k) of the document against the block's queries. `o` is rescaled where the maximum rose.
static void weigh_tile(const query_block *block, float *scores, int64_t key, int64_t n_k, float *maximum, float *sum, float *o,
                       int64_t ld_o, int64_t head_dim)
{
    for (int64_t i = 0; i < block->n; i++) {
        int64_t visible = ft_smaller(block->first + i - block->begin - key + 1, n_k);
        if (visible <= 0) {
            memset(scores + i * KEYS, 0, (size_t)n_k * sizeof *scores);
            continue;
        }
        float correction = weigh(scores + i * KEYS, visible, n_k, &maximum[i], &sum[i]);
        if (key > 0 && correction != 1.0f) multiply(o + i * ld_o, correction, head_dim);
    }
}

static void attend(const forward_job *job, const query_block *block, int64_t head)
{
    const ft_heads *h = &job->heads;
    int64_t d = h->shape->head_dim, n_keys = block->first + block->n - block->begin;
    float scores[QUERIES * KEYS], maximum[QUERIES], sum[QUERIES];
    float *o = job->o + block->first * job->ld_o + head * d;
    for (int64_t i = 0; i < block->n; i++) {
        maximum[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int64_t key = 0; key < n_keys; key += KEYS) {
        int64_t n_k = ft_smaller(KEYS, n_keys - key);
        ft_heads_scores(h, scores, KEYS, ft_heads_q(h, block->first, head), block->n,
                        ft_heads_k(h, block->begin + key, head), n_k);
        weigh_tile(block, scores, key, n_k, maximum, sum, o, job->ld_o, d);
        ft_gemm_serial(&(ft_gemm){.m = block->n, .n = d, .k = n_k, .a = scores, .lda = KEYS,
                                  .b = ft_heads_v(h, block->begin + key, head), .ldb = h->ld, .c = o, .ldc = job->ld_o,
                                  .alpha = 1, .beta = key > 0});
    }
    for (int64_t i = 0; i < block->n; i++) {
        multiply(o + i * job->ld_o, 1.0f / sum[i], d);
        job->lse[head * h->rows + block->first + i] = maximum[i] + logf(sum[i]);
    }
}

// Unit of work: (block, head), heads innermost.
static void attend_units(void *context, int64_t begin, int64_t end)
{
    const forward_job *job = context;
    const ft_documents *documents = job->heads.documents;
    int64_t q_heads = job->heads.shape->q_heads;
    query_block block = find_block(documents, begin / q_heads);
    for (int64_t unit = begin; unit < end; unit++) {
        attend(job, &block, unit % q_heads);
        if ((unit + 1) % q_heads == 0) block = block_before(documents, block);
    }
}

ft_status ft_cpu_attention_forward(ft_queue *queue, ft_view o, float *lse, ft_view qkv, const ft_attention *shape,
                                   const ft_documents *documents, void *workspace, int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    forward_job job = {.heads = {shape, documents, ft_cpu_data(qkv), qkv.ld, qkv.rows}, .lse = lse};
    job.o = ft_cpu_data(o);
    job.ld_o = o.ld;
    ft_heads_check(&job.heads, qkv);
    for (int64_t d = 0; d < documents->n; d++) job.blocks += blocks_of(documents, d);
    ft_parallel_for(job.blocks * shape->q_heads, 1, attend_units, &job);
    return FT_OK;
}
