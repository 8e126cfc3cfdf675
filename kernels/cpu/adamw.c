// AdamW (Loshchilov & Hutter 2019) in the order of torch.optim.AdamW: decay, moments, step.
#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vector.h"

typedef struct {
    float *parameter, *moment1, *moment2;
    const float *gradient;
    float gradient_factor, decay, step, root_bias2, eps, beta1, beta2, rest1, rest2;
} adamw_job;

FT_VECTOR static void update(const adamw_job *job, int64_t begin, int64_t end)
{
    const adamw_job j = *job;
#pragma GCC ivdep
    for (int64_t i = begin; i < end; i++) {
        float gradient = j.gradient[i] * j.gradient_factor;
        float m = j.moment1[i] * j.beta1 + gradient * j.rest1;
        float v = j.moment2[i] * j.beta2 + gradient * gradient * j.rest2;
        j.moment1[i] = m;
        j.moment2[i] = v;
        j.parameter[i] = j.parameter[i] * j.decay - j.step * m / (sqrtf(v) / j.root_bias2 + j.eps);
    }
}

static void run(void *context, int64_t begin, int64_t end)
{
    update(context, begin, end);
}

ft_status ft_cpu_adamw(ft_queue *queue, float *parameter, const float *gradient, float *moment1, float *moment2, int64_t n,
                       const ft_adamw *options, const ft_clip *clip)
{
    ft_cpu_check(queue);
    if (!clip->finite) return FT_OK;
    adamw_job job = {
        .parameter = parameter,
        .moment1 = moment1,
        .moment2 = moment2,
        .gradient = gradient,
        .gradient_factor = clip->factor,
        .decay = (float)(1.0 - options->lr * options->weight_decay),
        .step = (float)(options->lr / options->bias1),
        .root_bias2 = (float)sqrt(options->bias2),
        .eps = (float)options->eps,
        .beta1 = (float)options->beta1,
        .beta2 = (float)options->beta2,
        .rest1 = (float)(1.0 - options->beta1),
        .rest2 = (float)(1.0 - options->beta2),
    };
    ft_parallel_for(n, 4096, run, &job);
    return FT_OK;
}
