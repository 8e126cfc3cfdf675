// RMSNorm (Zhang & Sennrich 2019) with the residual addition in front, its recompute and its gradient. One block a row, the row
// in registers up to 16384 columns. Sums are float32; y is rounded once. The norm is that of the rounded sum (HF's Llama adds in
// bf16 too), so that rmsnorm_apply on the stored sum repeats y's bits.
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/vec.cuh"

enum { CHUNKS = 4, THREADS = 512 };  // held columns: CHUNKS * THREADS * 8

struct norm_call {
    ft_rows y, sum, x, residual, dx, dres, dy;
    ft_twin twin;  // of y, or of dx
    float *rstd_out;
    const float *rstd, *weight;
    int64_t cols;
    float mean, eps;  // mean: 1 / cols
};

// A thread's columns: chunk i of the turn that begins at column `base`.
static __device__ __forceinline__ int64_t column(int64_t base, int i)
{
    return base + ((int64_t)i * blockDim.x + threadIdx.x) * FT_CHUNK;
}

template <bool VECTOR>
static __device__ __forceinline__ void load_turn(uint4 bits[CHUNKS], ft_rows from, int64_t base, int64_t cols)
{
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
        int64_t col = column(base, i);
        bits[i] = ft_load<VECTOR>(from.at(blockIdx.x, col), cols - col);
    }
}

// h = x + residual, rounded and kept where asked.
template <bool VECTOR> static __device__ __forceinline__ void add_turn(uint4 h[CHUNKS], const norm_call &call, int64_t base)
{
    uint4 r[CHUNKS];
    load_turn<VECTOR>(r, call.residual, base, call.cols);
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
        float a[FT_CHUNK], b[FT_CHUNK];
        ft_unpack(a, h[i]);
        ft_unpack(b, r[i]);
#pragma unroll
        for (int k = 0; k < FT_CHUNK; k++) a[k] += b[k];
        h[i] = ft_pack(a);
        int64_t col = column(base, i);
        if (call.sum.data != NULL) ft_store_stream<VECTOR>(call.sum.at(blockIdx.x, col), call.cols - col, h[i]);
    }
}

// y = h * rstd * w of a turn. All lanes take part: the twin's amax is theirs together.
template <int ACCESS>
static __device__ __forceinline__ void normalize_turn(const uint4 h[CHUNKS], const norm_call &call, float rstd, int64_t base)
{
    const bool vector = ACCESS != FT_SCALAR;
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
        int64_t col = column(base, i);
        float v[FT_CHUNK], w[FT_CHUNK];
        ft_unpack(v, h[i]);
        ft_load_shared<vector>(w, call.weight + col, call.cols - col);
#pragma unroll
        for (int k = 0; k < FT_CHUNK; k++) v[k] = v[k] * rstd * w[k];
        uint4 bits = ft_pack(v);
        ft_store<vector>(call.y.at(blockIdx.x, col), call.cols - col, bits);
        if (ACCESS == FT_TWIN) ft_twin_store_chunk(call.twin, blockIdx.x, col, bits);
    }
}

// 8 bytes a value with residual (x, residual, sum, y), 4 without; 1 more with the twin. WIDE reads the sum again: 2 more.
template <int ACCESS, bool WIDE> static __global__ void __launch_bounds__(THREADS) forward_kernel(norm_call call)
{
    const bool vector = ACCESS != FT_SCALAR;
    int64_t turn = (int64_t)CHUNKS * blockDim.x * FT_CHUNK, end = WIDE ? call.cols : 1;
    float squares = 0.0f;
    uint4 h[CHUNKS];
    for (int64_t base = 0; base < end; base += turn) {
        load_turn<vector>(h, call.x, base, call.cols);
        if (call.residual.data != NULL) add_turn<vector>(h, call, base);
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            float v[FT_CHUNK];
            ft_unpack(v, h[i]);
#pragma unroll
            for (int k = 0; k < FT_CHUNK; k++) squares = fmaf(v[k], v[k], squares);
        }
    }
    float rstd = rsqrtf(fmaf(ft_block_sum(squares), call.mean, call.eps));
    if (threadIdx.x == 0) call.rstd_out[blockIdx.x] = rstd;
    if (call.y.data == NULL) return;
    for (int64_t base = 0; base < end; base += turn) {
        if (WIDE) load_turn<vector>(h, call.residual.data != NULL ? call.sum : call.x, base, call.cols);
        normalize_turn<ACCESS>(h, call, rstd, base);
    }
}

// 4 bytes a value (x, y); 1 more with the twin.
template <int ACCESS> static __global__ void __launch_bounds__(THREADS) apply_kernel(norm_call call)
{
    uint4 h[CHUNKS];
    float rstd = call.rstd[blockIdx.x];
    for (int64_t base = 0; base < call.cols; base += (int64_t)CHUNKS * blockDim.x * FT_CHUNK) {
        load_turn<ACCESS != FT_SCALAR>(h, call.x, base, call.cols);
        normalize_turn<ACCESS>(h, call, rstd, base);
    }
}

// sum of dy * w * x over a thread's columns of a turn.
template <bool VECTOR>
static __device__ __forceinline__ float project_turn(const uint4 x[CHUNKS], const uint4 dy[CHUNKS], const norm_call &call,
                                                     int64_t base)
{
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
        int64_t col = column(base, i);
        float a[FT_CHUNK], m[FT_CHUNK], w[FT_CHUNK];
        ft_unpack(a, x[i]);
        ft_unpack(m, dy[i]);
        ft_load_shared<VECTOR>(w, call.weight + col, call.cols - col);
#pragma unroll
        for (int k = 0; k < FT_CHUNK; k++) sum = fmaf(m[k] * w[k], a[k], sum);
    }
    return sum;
}

// dx of a turn from values all read before.
template <int ACCESS>
static __device__ __forceinline__ void gradient_turn(const uint4 x[CHUNKS], const uint4 dy[CHUNKS], const uint4 dres[CHUNKS],
                                                     const norm_call &call, float rstd, float slope, int64_t base)
{
    const bool vector = ACCESS != FT_SCALAR;
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
        int64_t col = column(base, i);
        float a[FT_CHUNK], m[FT_CHUNK], w[FT_CHUNK], d[FT_CHUNK];
        ft_unpack(a, x[i]);
        ft_unpack(m, dy[i]);
        ft_unpack(d, dres[i]);
        ft_load_shared<vector>(w, call.weight + col, call.cols - col);
#pragma unroll
        for (int k = 0; k < FT_CHUNK; k++) d[k] = fmaf(rstd, m[k] * w[k] - a[k] * slope, d[k]);
        uint4 bits = ft_pack(d);
        ft_store<vector>(call.dx.at(blockIdx.x, col), call.cols - col, bits);
        if (ACCESS == FT_TWIN) ft_twin_store_chunk(call.twin, blockIdx.x, col, bits);
    }
}

// 8 bytes a value (dres, dy, x, dx), 6 without dres; 1 more with the twin. WIDE reads dy and x twice: 4 more. A row is read
// before any of it is written (WIDE: a turn), by the thread that writes it: dx may be dres or x.
template <int ACCESS, bool WIDE> static __global__ void __launch_bounds__(THREADS) backward_kernel(norm_call call)
{
    const bool vector = ACCESS != FT_SCALAR;
    int64_t turn = (int64_t)CHUNKS * blockDim.x * FT_CHUNK, end = WIDE ? call.cols : 1;
    float rstd = call.rstd[blockIdx.x], product = 0.0f;
    uint4 x[CHUNKS], dy[CHUNKS], dres[CHUNKS] = {};
    for (int64_t base = 0; base < end; base += turn) {
        load_turn<vector>(x, call.x, base, call.cols);
        load_turn<vector>(dy, call.dy, base, call.cols);
        if (!WIDE && call.dres.data != NULL) load_turn<vector>(dres, call.dres, base, call.cols);
        product += project_turn<vector>(x, dy, call, base);
    }
    float slope = rstd * rstd * (ft_block_sum(product) * call.mean);
    for (int64_t base = 0; base < end; base += turn) {
        if (WIDE) {
            load_turn<vector>(x, call.x, base, call.cols);
            load_turn<vector>(dy, call.dy, base, call.cols);
            if (call.dres.data != NULL) load_turn<vector>(dres, call.dres, base, call.cols);
        }
        gradient_turn<ACCESS>(x, dy, dres, call, rstd, slope, base);
    }
}

typedef void (*norm_kernel)(norm_call call);

// Launches kernels[access][wide] on the rows of `written`; where the kernel could not write the twin along the way, it follows.
static ft_status launch(ft_queue *queue, const norm_kernel kernels[FT_ACCESS_COUNT][2], bool vector, norm_call call,
                        ft_view written, const char *name)
{
    int64_t turns;
    unsigned threads = ft_row_threads(ft_chunks(written.cols), CHUNKS, THREADS, &turns);
    ft_access access = ft_access_of(vector && ft_aligned(call.weight, 16), written);
    call.cols = written.cols;
    call.mean = 1.0f / (float)written.cols;
    call.twin = ft_twin_of(written);
    norm_kernel kernel = kernels[access][turns > 1];
    kernel<<<(unsigned)written.rows, threads, 0, ft_stream(queue)>>>(call);
    FT_TRY(ft_launched(name));
    if (written.codes == NULL || access == FT_TWIN) return FT_OK;
    return ft_cuda_quantize(queue, written.codes, written.scales, written, NULL);
}

extern "C" ft_status ft_cuda_rmsnorm_forward(ft_queue *queue, ft_view y, ft_view sum_out, float *rstd, ft_view x,
                                             ft_view residual, const float *weight, float eps)
{
    static const norm_kernel kernels[FT_ACCESS_COUNT][2] = {{forward_kernel<FT_SCALAR, false>, forward_kernel<FT_SCALAR, true>},
                                                            {forward_kernel<FT_VECTOR, false>, forward_kernel<FT_VECTOR, true>},
                                                            {forward_kernel<FT_TWIN, false>, forward_kernel<FT_TWIN, true>}};
    FT_ASSERT(residual.data == NULL || sum_out.data != NULL, "a residual needs a place for the sum");
    norm_call call = {};
    call.y = ft_rows_of(y);
    call.x = ft_rows_of(x);
    call.residual = ft_rows_of(residual);
    if (residual.data != NULL) call.sum = ft_rows_of(sum_out);
    call.rstd_out = rstd;
    call.weight = weight;
    call.eps = eps;
    bool vector = ft_vector_view(y) && ft_vector_view(x) && ft_vector_view(residual) &&
                  (residual.data == NULL || ft_vector_view(sum_out));
    ft_view written = y;
    if (y.data == NULL) {  // only the sum and rstd: x gives the shape
        written = x;
        written.codes = NULL;
    }
    return launch(queue, kernels, vector, call, written, "rmsnorm_forward");
}

extern "C" ft_status ft_cuda_rmsnorm_apply(ft_queue *queue, ft_view y, ft_view x, const float *rstd, const float *weight)
{
    static const norm_kernel kernels[FT_ACCESS_COUNT][2] = {{apply_kernel<FT_SCALAR>, apply_kernel<FT_SCALAR>},
                                                            {apply_kernel<FT_VECTOR>, apply_kernel<FT_VECTOR>},
                                                            {apply_kernel<FT_TWIN>, apply_kernel<FT_TWIN>}};
    norm_call call = {};
    call.y = ft_rows_of(y);
    call.x = ft_rows_of(x);
    call.rstd = rstd;
    call.weight = weight;
    return launch(queue, kernels, ft_vector_view(y) && ft_vector_view(x), call, y, "rmsnorm_apply");
}

extern "C" ft_status ft_cuda_rmsnorm_backward(ft_queue *queue, ft_view dx, ft_view dres, ft_view dy, ft_view x,
                                              const float *rstd, const float *weight)
{
    static const norm_kernel kernels[FT_ACCESS_COUNT][2] = {
        {backward_kernel<FT_SCALAR, false>, backward_kernel<FT_SCALAR, true>},
        {backward_kernel<FT_VECTOR, false>, backward_kernel<FT_VECTOR, true>},
        {backward_kernel<FT_TWIN, false>, backward_kernel<FT_TWIN, true>}};
    norm_call call = {};
    call.dx = ft_rows_of(dx);
    call.dres = ft_rows_of(dres);
    call.dy = ft_rows_of(dy);
    call.x = ft_rows_of(x);
    call.rstd = rstd;
    call.weight = weight;
    bool vector = ft_vector_view(dx) && ft_vector_view(dres) && ft_vector_view(dy) && ft_vector_view(x);
    return launch(queue, kernels, vector, call, dx, "rmsnorm_backward");
}
