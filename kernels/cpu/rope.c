// Rotary position embedding (Su et al. 2021), half-split as in HF's Llama: within a head, value i and value i + d/2 turn by the
// angle of frequency i. Backward is the rotation by the opposite angle.
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vector.h"

typedef struct {
    float *qkv;
    int64_t ld, heads;  // q and k heads: the leading columns of a row
    const ft_rope *table;
    const int32_t *positions;
    float sign;
} rope_job;

FT_VECTOR static void rotate(float *head, const float *cosine, const float *sine, int64_t half, float sign)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < half; i++) {
        float first = head[i], second = head[i + half], s = sine[i] * sign;
        head[i] = first * cosine[i] - second * s;
        head[i + half] = second * cosine[i] + first * s;
    }
}

static void rotate_rows(void *context, int64_t begin, int64_t end)
{
    const rope_job *job = context;
    const ft_rope *table = job->table;
    for (int64_t row = begin; row < end; row++) {
        int64_t position = job->positions[row];
        FT_ASSERT(position >= 0 && position < table->positions, "position %lld of row %lld", (long long)position, (long long)row);
        for (int64_t h = 0; h < job->heads; h++) {
            rotate(job->qkv + row * job->ld + h * 2 * table->half, table->cosine + position * table->half,
                   table->sine + position * table->half, table->half, job->sign);
        }
    }
}

ft_status ft_cpu_rope(ft_queue *queue, ft_view qkv, const ft_attention *shape, const ft_rope *table, const int32_t *positions,
                      int direction)
{
    ft_cpu_check(queue);
    FT_ASSERT(table->half * 2 == shape->head_dim && (direction == 1 || direction == -1));
    rope_job job = {ft_cpu_data(qkv), qkv.ld, shape->q_heads + shape->kv_heads, table, positions, (float)direction};
    ft_parallel_for(qkv.rows, ft_cpu_grain(qkv.cols), rotate_rows, &job);
    return FT_OK;
}
