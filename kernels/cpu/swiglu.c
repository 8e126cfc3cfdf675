// SwiGLU (Shazeer 2020): y = silu(gate) * up, silu(a) = a * sigmoid(a).
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vector.h"

typedef struct {
    float *out, *y;
    const float *gate_up, *dy;
    int64_t ld_out, ld_y, ld_in, ld_dy, n;  // n = ffn
} swiglu_job;

FT_VECTOR static void forward(float *y, const float *gate, const float *up, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) y[i] = gate[i] * ft_sigmoid(gate[i]) * up[i];
}

// d silu(a)/da = s + a s (1 - s) with s = sigmoid(a). dgate and dup may be gate and up, y may be dy and NULL.
FT_VECTOR static void backward(float *dgate, float *dup, float *y, const float *dy, const float *gate, const float *up, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) {
        float a = gate[i], b = up[i], d = dy[i], s = ft_sigmoid(a), silu = a * s;
        dgate[i] = d * b * (s + silu * (1.0f - s));
        dup[i] = d * silu;
        if (y != NULL) y[i] = silu * b;
    }
}

static void forward_rows(void *context, int64_t begin, int64_t end)
{
    const swiglu_job *job = context;
    for (int64_t row = begin; row < end; row++) {
        const float *gate = job->gate_up + row * job->ld_in;
        forward(job->out + row * job->ld_out, gate, gate + job->n, job->n);
    }
}

static void backward_rows(void *context, int64_t begin, int64_t end)
{
    const swiglu_job *job = context;
    for (int64_t row = begin; row < end; row++) {
        const float *gate = job->gate_up + row * job->ld_in;
        float *dgate = job->out + row * job->ld_out;
        backward(dgate, dgate + job->n, job->y ? job->y + row * job->ld_y : NULL, job->dy + row * job->ld_dy, gate, gate + job->n, job->n);
    }
}

ft_status ft_cpu_swiglu_forward(ft_queue *queue, ft_view y, ft_view gate_up)
{
    ft_cpu_check(queue);
    FT_ASSERT(gate_up.cols == 2 * y.cols);
    swiglu_job job = {.out = ft_cpu_data(y), .ld_out = y.ld, .gate_up = ft_cpu_data(gate_up), .ld_in = gate_up.ld, .n = y.cols};
    ft_parallel_for(y.rows, ft_cpu_grain(gate_up.cols), forward_rows, &job);
    return FT_OK;
}

ft_status ft_cpu_swiglu_backward(ft_queue *queue, ft_view dgate_up, ft_view y, ft_view dy, ft_view gate_up)
{
    ft_cpu_check(queue);
    FT_ASSERT(gate_up.cols == 2 * dy.cols && dgate_up.cols == gate_up.cols && (y.data == NULL || y.cols == dy.cols));
    swiglu_job job = {.out = ft_cpu_data(dgate_up), .ld_out = dgate_up.ld, .gate_up = ft_cpu_data(gate_up), .ld_in = gate_up.ld,
                      .y = y.data ? ft_cpu_data(y) : NULL, .ld_y = y.ld, .dy = ft_cpu_data(dy), .ld_dy = dy.ld, .n = dy.cols};
    ft_parallel_for(dy.rows, ft_cpu_grain(gate_up.cols), backward_rows, &job);
    return FT_OK;
}
