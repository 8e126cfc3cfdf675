// Attention of one new token against the keys and values so far (generation).
#include "kernels/cpu/attention.h"
#include "kernels/cpu/vector.h"

typedef struct {
    float *o;
    const float *q, *k, *v;
    int64_t length;
    const ft_attention *shape;
    float *scores;  // [q_heads, length]
} decode_job;

FT_VECTOR static void score(float *scores, const float *q, const float *k, int64_t ld, int64_t length, int64_t d, float scale)
{
    for (int64_t i = 0; i < length; i++) scores[i] = ft_dot(q, k + i * ld, d) * scale;
}

// Scores to weights; returns their sum.
FT_VECTOR static float weigh(float *scores, int64_t n)
{
    float largest = ft_largest(scores, n);
    for (int64_t i = 0; i < n; i++) scores[i] = ft_exp(scores[i] - largest);
    return ft_sum(scores, n);
}

FT_VECTOR static void mix(float *o, const float *weights, const float *v, int64_t ld, int64_t length, int64_t d, float factor)
{
    for (int64_t c = 0; c < d; c++) o[c] = 0;
    for (int64_t i = 0; i < length; i++) {
#pragma GCC ivdep
        for (int64_t c = 0; c < d; c++) o[c] += weights[i] * v[i * ld + c];
    }
    for (int64_t c = 0; c < d; c++) o[c] *= factor;
}

static void decode_heads(void *context, int64_t begin, int64_t end)
{
    const decode_job *job = context;
    const ft_attention *shape = job->shape;
    int64_t d = shape->head_dim, ld = shape->kv_heads * d;
    for (int64_t head = begin; head < end; head++) {
        int64_t kv = head / (shape->q_heads / shape->kv_heads) * d;
        float *scores = job->scores + head * job->length;
        score(scores, job->q + head * d, job->k + kv, ld, job->length, d, shape->scale);
        float sum = weigh(scores, job->length);
        mix(job->o + head * d, scores, job->v + kv, ld, job->length, d, 1.0f / sum);
    }
}

int64_t ft_cpu_attention_decode_workspace(const ft_op_shape *shape)
{
    return (int64_t)ft_arena_round((size_t)(shape->q_heads * shape->max_length) * sizeof(float));
}

ft_status ft_cpu_attention_decode(ft_queue *queue, ft_view o, ft_view q, const void *k_cache, const void *v_cache, int64_t length,
                                  const ft_attention *shape, void *workspace, int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    FT_ASSERT(length > 0 && q.rows == 1 && shape->q_heads % shape->kv_heads == 0);
    ft_arena arena;
    ft_arena_init(&arena, "attention_decode", workspace, (size_t)workspace_bytes);
    float *scores = ft_arena_take(&arena, (size_t)(shape->q_heads * length) * sizeof(float));
    decode_job job = {ft_cpu_data(o), ft_cpu_data(q), k_cache, v_cache, length, shape, scores};
    ft_parallel_for(shape->q_heads, 1, decode_heads, &job);
    return FT_OK;
}
