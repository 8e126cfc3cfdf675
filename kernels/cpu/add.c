// y = a + b over views.
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vector.h"

typedef struct {
    float *y;
    const float *a, *b;
    int64_t ld_y, ld_a, ld_b, cols;
} add_job;

FT_VECTOR static void add(float *y, const float *a, const float *b, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void add_rows(void *context, int64_t begin, int64_t end)
{
    const add_job *job = context;
    for (int64_t row = begin; row < end; row++) {
        add(job->y + row * job->ld_y, job->a + row * job->ld_a, job->b + row * job->ld_b, job->cols);
    }
}

ft_status ft_cpu_add(ft_queue *queue, ft_view y, ft_view a, ft_view b)
{
    ft_cpu_check(queue);
    FT_ASSERT(y.rows == a.rows && y.rows == b.rows && y.cols == a.cols && y.cols == b.cols);
    add_job job = {ft_cpu_data(y), ft_cpu_data(a), ft_cpu_data(b), y.ld, a.ld, b.ld, y.cols};
    ft_parallel_for(y.rows, ft_cpu_grain(y.cols), add_rows, &job);
    return FT_OK;
}
