// AdamW (Loshchilov & Hutter 2019) in the order of torch.optim.AdamW: decay, moments, step.
//
// The arithmetic of kernels/cpu/adamw.c, operation by operation and rounding by rounding: the intrinsics below are IEEE single
// operations that the compiler never contracts to fused ones, so both devices give the same bits.
#include <math.h>

#include "kernels/cuda/launch.h"

enum { THREADS = 256 };

struct constants {
    float decay, step, root_bias2, eps, beta1, beta2, rest1, rest2;
};

static __device__ __forceinline__ void update(float &p, float &m, float &v, float gradient, float factor, const constants &c)
{
    gradient = __fmul_rn(gradient, factor);
    m = __fadd_rn(__fmul_rn(m, c.beta1), __fmul_rn(gradient, c.rest1));
    v = __fadd_rn(__fmul_rn(v, c.beta2), __fmul_rn(__fmul_rn(gradient, gradient), c.rest2));
    float divisor = __fadd_rn(__fdiv_rn(__fsqrt_rn(v), c.root_bias2), c.eps);
    p = __fsub_rn(__fmul_rn(p, c.decay), __fdiv_rn(__fmul_rn(c.step, m), divisor));
}

// Threads [0, quads) take four values each, the next ones what remains after 4 * quads.
static __global__ void __launch_bounds__(THREADS) adamw(float *parameter, const float *gradient, float *moment1, float *moment2,
                                                        int64_t n, int64_t quads, const constants c, const ft_clip *clip)
{
    if (!clip->finite) return;
    const float factor = clip->factor;
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, single = i + 3 * quads;
    if (i < quads) {
        float4 g = ((const float4 *)gradient)[i], p = ((float4 *)parameter)[i];
        float4 m = ((float4 *)moment1)[i], v = ((float4 *)moment2)[i];
        update(p.x, m.x, v.x, g.x, factor, c);
        update(p.y, m.y, v.y, g.y, factor, c);
        update(p.z, m.z, v.z, g.z, factor, c);
        update(p.w, m.w, v.w, g.w, factor, c);
        ((float4 *)parameter)[i] = p;
        ((float4 *)moment1)[i] = m;
        ((float4 *)moment2)[i] = v;
    } else if (single < n) {
        update(parameter[single], moment1[single], moment2[single], gradient[single], factor, c);
    }
}

static bool aligned16(const void *pointer)
{
    return (uintptr_t)pointer % 16 == 0;
}

extern "C" ft_status ft_cuda_adamw(ft_queue *queue, float *parameter, const float *gradient, float *moment1, float *moment2,
                                   int64_t n, const ft_adamw *options, const ft_clip *clip)
{
    FT_ASSERT(n >= 0, "adamw: %lld values", (long long)n);
    if (n == 0) return FT_OK;
    constants c = {};
    c.decay = (float)(1.0 - options->lr * options->weight_decay);
    c.step = (float)(options->lr / options->bias1);
    c.root_bias2 = (float)sqrt(options->bias2);
    c.eps = (float)options->eps;
    c.beta1 = (float)options->beta1;
    c.beta2 = (float)options->beta2;
    c.rest1 = (float)(1.0 - options->beta1);
    c.rest2 = (float)(1.0 - options->beta2);
    bool vector = aligned16(parameter) && aligned16(gradient) && aligned16(moment1) && aligned16(moment2);
    int64_t quads = vector ? n / 4 : 0, threads = quads + (n - 4 * quads);
    int64_t blocks = (threads + THREADS - 1) / THREADS;
    FT_ASSERT(blocks <= INT32_MAX, "adamw: %lld values", (long long)n);
    adamw<<<(unsigned)blocks, THREADS, 0, ft_stream(queue)>>>(parameter, gradient, moment1, moment2, n, quads, c, clip);
    return ft_launched("adamw");
}
