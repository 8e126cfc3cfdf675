// SwiGLU (Shazeer 2020): y = silu(gate) * up, silu(a) = a * sigmoid(a), and its gradient, which makes y again on the way.
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/vec.cuh"

enum { CHUNKS = 2 };

struct swiglu_call {
    ft_rows y, gate_up, dgate_up, dy;
    ft_twin twin;    // of y, or of dgate_up
    int64_t n, ffn;  // rows, columns of a half
};

// __expf is off by 2 + |a| ulp at most (CUDA C++ Programming Guide, intrinsics), 1e-5 where sigmoid underflows and 5e-7 where it
// matters, the quotient by 2 ulp: far below bf16's 2^-9. Saturates rightly: __expf gives inf, and 1/inf is 0.
static __device__ __forceinline__ float sigmoid(float a)
{
    return __fdividef(1.0f, 1.0f + __expf(-a));
}

// 6 bytes a value of y (gate, up, y); 1 more with the twin.
template <int ACCESS> static __global__ void __launch_bounds__(256) forward_kernel(swiglu_call call)
{
    const bool vector = ACCESS != FT_SCALAR;
    int64_t first = ((int64_t)blockIdx.x * CHUNKS * blockDim.x + threadIdx.x) * FT_CHUNK, step = blockDim.x * FT_CHUNK;
    for (int64_t row = blockIdx.y; row < call.n; row += gridDim.y) {
        uint4 gate[CHUNKS], up[CHUNKS];
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = first + i * step;
            gate[i] = ft_load<vector>(call.gate_up.at(row, col), call.ffn - col);
            up[i] = ft_load<vector>(call.gate_up.at(row, call.ffn + col), call.ffn - col);
        }
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = first + i * step;
            float a[FT_CHUNK], b[FT_CHUNK];
            ft_unpack(a, gate[i]);
            ft_unpack(b, up[i]);
#pragma unroll
            for (int k = 0; k < FT_CHUNK; k++) a[k] = a[k] * sigmoid(a[k]) * b[k];
            uint4 bits = ft_pack(a);
            ft_store<vector>(call.y.at(row, col), call.ffn - col, bits);
            if (ACCESS == FT_TWIN) ft_twin_store_chunk(call.twin, row, col, bits);
        }
    }
}

// One chunk: a, b, g hold gate, up and dy and become dgate, dup and y.
// d silu(a)/da = s + a s (1 - s) with s = sigmoid(a).
static __device__ __forceinline__ void gradient(float a[FT_CHUNK], float b[FT_CHUNK], float g[FT_CHUNK])
{
#pragma unroll
    for (int k = 0; k < FT_CHUNK; k++) {
        float s = sigmoid(a[k]), silu = a[k] * s, y = silu * b[k];
        a[k] = g[k] * b[k] * fmaf(silu, 1.0f - s, s);
        b[k] = g[k] * silu;
        g[k] = y;
    }
}

// 10 bytes a value of y (gate, up, dy, dgate, dup), 12 with y; 2 more with the twin. A thread reads its columns before it
// writes them: dgate_up may be gate_up, y may be dy.
template <int ACCESS> static __global__ void __launch_bounds__(256) backward_kernel(swiglu_call call)
{
    const bool vector = ACCESS != FT_SCALAR;
    int64_t first = ((int64_t)blockIdx.x * CHUNKS * blockDim.x + threadIdx.x) * FT_CHUNK, step = blockDim.x * FT_CHUNK;
    for (int64_t row = blockIdx.y; row < call.n; row += gridDim.y) {
        uint4 gate[CHUNKS], up[CHUNKS], dy[CHUNKS];
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = first + i * step, left = call.ffn - col;
            gate[i] = ft_load<vector>(call.gate_up.at(row, col), left);
            up[i] = ft_load<vector>(call.gate_up.at(row, call.ffn + col), left);
            dy[i] = ft_load<vector>(call.dy.at(row, col), left);
        }
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = first + i * step, left = call.ffn - col;
            float a[FT_CHUNK], b[FT_CHUNK], g[FT_CHUNK];
            ft_unpack(a, gate[i]);
            ft_unpack(b, up[i]);
            ft_unpack(g, dy[i]);
            gradient(a, b, g);
            gate[i] = ft_pack(a);
            up[i] = ft_pack(b);
            ft_store<vector>(call.dgate_up.at(row, col), left, gate[i]);
            ft_store<vector>(call.dgate_up.at(row, call.ffn + col), left, up[i]);
            if (call.y.data != NULL) ft_store<vector>(call.y.at(row, col), left, ft_pack(g));
            if (ACCESS == FT_TWIN) {
                // Past gate's end lies up.
                ft_twin_store_chunk(call.twin, row, left > 0 ? col : call.twin.cols, gate[i]);
                ft_twin_store_chunk(call.twin, row, call.ffn + col, up[i]);
            }
        }
    }
}

typedef void (*swiglu_kernel)(swiglu_call call);

static ft_status launch(ft_queue *queue, const swiglu_kernel kernels[FT_ACCESS_COUNT], ft_access access, swiglu_call call,
                        ft_view written, const char *name)
{
    ft_row_launch shape = ft_row_launch_of(call.n, call.ffn, CHUNKS);
    call.twin = ft_twin_of(written);
    swiglu_kernel kernel = kernels[access];
    kernel<<<shape.grid, shape.threads, 0, ft_stream(queue)>>>(call);
    FT_TRY(ft_launched(name));
    if (written.codes == NULL || access == FT_TWIN) return FT_OK;
    return ft_cuda_quantize(queue, written.codes, written.scales, written, NULL);
}

extern "C" ft_status ft_cuda_swiglu_forward(ft_queue *queue, ft_view y, ft_view gate_up)
{
    static const swiglu_kernel kernels[FT_ACCESS_COUNT] = {forward_kernel<FT_SCALAR>, forward_kernel<FT_VECTOR>,
                                                           forward_kernel<FT_TWIN>};
    FT_ASSERT(gate_up.cols == 2 * y.cols);
    swiglu_call call = {};
    call.y = ft_rows_of(y);
    call.gate_up = ft_rows_of(gate_up);
    call.n = y.rows;
    call.ffn = y.cols;
    return launch(queue, kernels, ft_access_of(ft_vector_view(y) && ft_vector_view(gate_up), y), call, y, "swiglu_forward");
}

extern "C" ft_status ft_cuda_swiglu_backward(ft_queue *queue, ft_view dgate_up, ft_view y, ft_view dy, ft_view gate_up)
{
    static const swiglu_kernel kernels[FT_ACCESS_COUNT] = {backward_kernel<FT_SCALAR>, backward_kernel<FT_VECTOR>,
                                                           backward_kernel<FT_TWIN>};
    FT_ASSERT(gate_up.cols == 2 * dy.cols && dgate_up.cols == gate_up.cols);
    swiglu_call call = {};
    call.y = ft_rows_of(y);
    call.dy = ft_rows_of(dy);
    call.gate_up = ft_rows_of(gate_up);
    call.dgate_up = ft_rows_of(dgate_up);
    call.n = dy.rows;
    call.ffn = dy.cols;
    bool vector = ft_vector_view(dgate_up) && ft_vector_view(y) && ft_vector_view(dy) && ft_vector_view(gate_up);
    ft_access access = ft_access_of(vector, dgate_up);
    // Where a 1x128 block holds both gate and up columns, no thread group has it whole.
    if (access == FT_TWIN && call.ffn % FT_TILE != 0) access = FT_VECTOR;
    return launch(queue, kernels, access, call, dgate_up, "swiglu_backward");
}
