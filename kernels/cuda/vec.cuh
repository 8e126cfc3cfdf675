// What the memory-bound kernels share: chunks of eight values, their conversions, sums over a block, E4M3 twins, and the shape
// of a launch over the rows of a view.
//
// A thread works on chunks of 8 columns: one 16-byte access in bf16, one 8-byte access in E4M3. Thread t of a block takes the
// chunks t, t + blockDim, ...; blockDim is a multiple of 32, so lanes 16k..16k+15 of a warp always hold one 1x128 block of a
// row, and its amax is four shuffles. Activations are loaded with evict-first (ld.global.cs): a kernel reads each once, and L1
// stays with the float32 weights that all rows of an SM share.
#ifndef FT_KERNELS_CUDA_VEC_CUH
#define FT_KERNELS_CUDA_VEC_CUH

#include <cfloat>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "kernels/cuda/launch.h"

enum { FT_CHUNK = 8, FT_WARP = 32, FT_WARPS_MAX = 32 };

// How a kernel touches memory. SCALAR: elementwise, for any alignment and any number of columns; VECTOR: 16-byte accesses,
// columns a multiple of 8; TWIN: VECTOR, with the E4M3 twin of what is written.
enum ft_access { FT_SCALAR, FT_VECTOR, FT_TWIN, FT_ACCESS_COUNT };

// --- Conversions -------------------------------------------------------------------------------------------------------------
static __device__ __forceinline__ void ft_unpack(float v[FT_CHUNK], uint4 bits)
{
    const uint32_t word[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        v[2 * i] = __uint_as_float(word[i] << 16);
        v[2 * i + 1] = __uint_as_float(word[i] & 0xFFFF0000u);
    }
}

static __device__ __forceinline__ uint32_t ft_bf16_pair(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
}

static __device__ __forceinline__ uint4 ft_pack(const float v[FT_CHUNK])
{
    return make_uint4(ft_bf16_pair(v[0], v[1]), ft_bf16_pair(v[2], v[3]), ft_bf16_pair(v[4], v[5]), ft_bf16_pair(v[6], v[7]));
}

static __device__ __forceinline__ float ft_bf16_value(ft_bf16 bits)
{
    return __uint_as_float((uint32_t)bits << 16);
}

static __device__ __forceinline__ ft_bf16 ft_bf16_bits(float value)
{
    return (ft_bf16)ft_bf16_pair(value, 0.0f);
}

// Two E4M3 codes, the first in the low byte; exact by way of float16.
static __device__ __forceinline__ float2 ft_e4m3_pair_value(uint32_t codes)
{
    __half2 pair(__nv_cvt_fp8x2_to_halfraw2((__nv_fp8x2_storage_t)codes, __NV_E4M3));
    return __half22float2(pair);
}

// Saturating, to nearest even, as ft_f32_to_e4m3.
static __device__ __forceinline__ uint32_t ft_e4m3_pair(float low, float high)
{
    return __nv_cvt_float2_to_fp8x2(make_float2(low, high), __NV_SATFINITE, __NV_E4M3);
}

// Whole stores: the compiler may split an assignment into words.
static __device__ __forceinline__ void ft_store_16(void *p, uint4 v)
{
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" : : "l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

static __device__ __forceinline__ void ft_store_8(void *p, uint2 v)
{
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" : : "l"(p), "r"(v.x), "r"(v.y) : "memory");
}

// --- Chunks of bf16 ----------------------------------------------------------------------------------------------------------
// `left` columns of the row begin at p; none are read or written beyond them. Missing ones read as 0.
template <bool VECTOR> static __device__ __forceinline__ uint4 ft_load(const ft_bf16 *p, int64_t left)
{
    if constexpr (VECTOR) {
        return left > 0 ? __ldcs((const uint4 *)p) : make_uint4(0, 0, 0, 0);
    } else {
        uint32_t word[4] = {0, 0, 0, 0};
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) {
            if (i < left) word[i / 2] |= (uint32_t)p[i] << (i % 2 * 16);
        }
        return make_uint4(word[0], word[1], word[2], word[3]);
    }
}

template <bool VECTOR> static __device__ __forceinline__ void ft_store(ft_bf16 *p, int64_t left, uint4 bits)
{
    if constexpr (VECTOR) {
        if (left > 0) ft_store_16(p, bits);
    } else {
        const uint32_t word[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) {
            if (i < left) p[i] = (ft_bf16)(word[i / 2] >> (i % 2 * 16));
        }
    }
}

// For what is not read soon: leaves L2 to what is.
template <bool VECTOR> static __device__ __forceinline__ void ft_store_stream(ft_bf16 *p, int64_t left, uint4 bits)
{
    if constexpr (VECTOR) {
        if (left > 0) __stcs((uint4 *)p, bits);
    } else {
        ft_store<false>(p, left, bits);
    }
}

// Eight float32 values that many rows share.
template <bool VECTOR> static __device__ __forceinline__ void ft_load_shared(float v[FT_CHUNK], const float *p, int64_t left)
{
    if constexpr (VECTOR) {
        float4 zero = make_float4(0, 0, 0, 0);
        float4 low = left > 0 ? __ldg((const float4 *)p) : zero, high = left > 0 ? __ldg((const float4 *)p + 1) : zero;
        v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
        v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    } else {
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) v[i] = i < left ? p[i] : 0.0f;
    }
}

// --- Reductions, each by a fixed tree ----------------------------------------------------------------------------------------
// Over groups of `lanes` neighbouring lanes, a power of two; every lane of the warp takes part and gets the result.
static __device__ __forceinline__ float ft_lanes_sum(float value, int lanes = FT_WARP)
{
#pragma unroll
    for (int step = FT_WARP / 2; step > 0; step /= 2) {
        if (step < lanes) value += __shfl_xor_sync(0xFFFFFFFFu, value, step);
    }
    return value;
}

static __device__ __forceinline__ float ft_lanes_max(float value, int lanes = FT_WARP)
{
#pragma unroll
    for (int step = FT_WARP / 2; step > 0; step /= 2) {
        if (step < lanes) value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, step));
    }
    return value;
}

// Over the block; every thread gets the result. Once per kernel: the shared words are not fenced against a second use.
static __device__ __forceinline__ float ft_block_sum(float value)
{
    __shared__ float part[FT_WARPS_MAX];
    int warps = blockDim.x / FT_WARP, lane = threadIdx.x % FT_WARP;
    value = ft_lanes_sum(value);
    if (warps == 1) return value;
    if (lane == 0) part[threadIdx.x / FT_WARP] = value;
    __syncthreads();
    return ft_lanes_sum(lane < warps ? part[lane] : 0.0f);
}

static __device__ __forceinline__ float ft_block_max(float value)
{
    __shared__ float part[FT_WARPS_MAX];
    int warps = blockDim.x / FT_WARP, lane = threadIdx.x % FT_WARP;
    value = ft_lanes_max(value);
    if (warps == 1) return value;
    if (lane == 0) part[threadIdx.x / FT_WARP] = value;
    __syncthreads();
    return ft_lanes_max(lane < warps ? part[lane] : 0.0f);
}

// --- E4M3 --------------------------------------------------------------------------------------------------------------------
static __device__ __forceinline__ float ft_amax(const float v[FT_CHUNK])
{
    float amax = 0.0f;
#pragma unroll
    for (int i = 0; i < FT_CHUNK; i++) amax = fmaxf(amax, fabsf(v[i]));
    return amax;
}

// Quotients without the branches of an IEEE division: an approximation and one remainder step (Markstein), 3 instructions. For
// all pairs of a bf16 value and a bf16 amax the codes and scales are those of common/codec.h (a zero may lose its sign); the
// test goes through all pairs.
static __device__ __forceinline__ float ft_divide(float value, float divisor, float reciprocal)
{
    float first = value * reciprocal;
    return fmaf(fmaf(-first, divisor, value), reciprocal, first);
}

// As ft_quantize_tile's: amax/448, 1 for 0, never subnormal. Where a value is NaN or Inf its code is NaN.
static __device__ __forceinline__ float ft_scale_of(float amax)
{
    float scale = fmaxf(ft_divide(amax, FT_E4M3_MAX, 1.0f / FT_E4M3_MAX), FLT_MIN);
    return amax == 0.0f ? 1.0f : scale;
}

// codes of v / scale. scale is normal and at most FLT_MAX/448: so is its reciprocal.
static __device__ __forceinline__ uint2 ft_encode(const float v[FT_CHUNK], float scale)
{
    float near = __fdividef(1.0f, scale), inverse = fmaf(near, fmaf(-scale, near, 1.0f), near), q[FT_CHUNK];
#pragma unroll
    for (int i = 0; i < FT_CHUNK; i++) q[i] = ft_divide(v[i], scale, inverse);
    return make_uint2(ft_e4m3_pair(q[0], q[1]) | ft_e4m3_pair(q[2], q[3]) << 16,
                      ft_e4m3_pair(q[4], q[5]) | ft_e4m3_pair(q[6], q[7]) << 16);
}

template <bool VECTOR> static __device__ __forceinline__ void ft_store_codes(uint8_t *p, int64_t left, uint2 codes)
{
    if constexpr (VECTOR) {
        if (left > 0) ft_store_8(p, codes);
    } else {
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) {
            if (i < left) p[i] = (uint8_t)((i < 4 ? codes.x : codes.y) >> (i % 4 * 8));
        }
    }
}

// Codes and 1x128 scales of a [rows, cols] matrix (ft_view's twin). stride: rows rounded up to FT_ROW_ALIGN.
struct ft_twin {
    uint8_t *codes;
    float *scales;
    int64_t cols, stride;
};

static inline ft_twin ft_make_twin(uint8_t *codes, float *scales, int64_t rows, int64_t cols)
{
    return {codes, scales, cols, (rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN};
}

static inline ft_twin ft_twin_of(ft_view view)
{
    return ft_make_twin(view.codes, view.scales, view.rows, view.cols);
}

// Eight columns from `col` on. Every lane of the warp calls it; lanes 16k..16k+15 hold one block of 128 columns, those past the
// end of the row zeros.
template <bool VECTOR>
static __device__ __forceinline__ void ft_twin_store(const ft_twin &twin, int64_t row, int64_t col, const float v[FT_CHUNK])
{
    float scale = ft_scale_of(ft_lanes_max(ft_amax(v), FT_TILE / FT_CHUNK));
    uint2 codes = ft_encode(v, scale);
    if (col >= twin.cols) return;
    ft_store_codes<VECTOR>(twin.codes + row * twin.cols + col, twin.cols - col, codes);
    if (col % FT_TILE == 0) twin.scales[col / FT_TILE * twin.stride + row] = scale;
}

// The twin of a bf16 chunk: of the rounded values.
static __device__ __forceinline__ void ft_twin_store_chunk(const ft_twin &twin, int64_t row, int64_t col, uint4 bits)
{
    float v[FT_CHUNK];
    ft_unpack(v, bits);
    ft_twin_store<true>(twin, row, col, v);
}

// --- Views on the device ------------------------------------------------------------------------------------------------------
// A view's bf16 rows; data NULL: a part that was not asked for.
struct ft_rows {
    ft_bf16 *data;
    int64_t ld;
    __device__ __forceinline__ ft_bf16 *at(int64_t row, int64_t col) const { return data + row * ld + col; }
};

static inline ft_rows ft_rows_of(ft_view view)
{
    FT_ASSERT(view.data == NULL || view.repr == FT_REPR_BF16, "CUDA's activations are bf16");
    return {(ft_bf16 *)view.data, view.ld};
}

// --- Launches over rows ------------------------------------------------------------------------------------------------------
static inline int64_t ft_chunks(int64_t cols) { return (cols + FT_CHUNK - 1) / FT_CHUNK; }

static inline bool ft_aligned(const void *pointer, uintptr_t bytes) { return (uintptr_t)pointer % bytes == 0; }

// Whether 16-byte accesses fit the view; one without data asks for none.
static inline bool ft_vector_view(ft_view view)
{
    return view.data == NULL || (ft_aligned(view.data, 16) && view.ld % FT_CHUNK == 0 && view.cols % FT_CHUNK == 0);
}

static inline ft_access ft_access_of(bool vector, ft_view written)
{
    if (!vector) return FT_SCALAR;
    return written.codes != NULL && ft_aligned(written.codes, FT_CHUNK) ? FT_TWIN : FT_VECTOR;
}

// Threads of a block that covers n chunks at `per_thread` each in `*passes` blocks or turns of at most `most` threads, as evenly
// as whole warps allow.
static inline unsigned ft_row_threads(int64_t n, int per_thread, int most, int64_t *passes)
{
    *passes = n > 0 ? (n + (int64_t)per_thread * most - 1) / ((int64_t)per_thread * most) : 1;
    int64_t threads = (n + *passes * per_thread - 1) / (*passes * per_thread);
    return (unsigned)((threads + FT_WARP - 1) / FT_WARP * FT_WARP + (threads == 0 ? FT_WARP : 0));
}

// blockIdx.x: piece of a row; blockIdx.y: row, further rows at a stride of gridDim.y (which hardware limits to 65535).
struct ft_row_launch {
    dim3 grid;
    unsigned threads;
};

static inline ft_row_launch ft_row_launch_of(int64_t rows, int64_t cols, int per_thread)
{
    int64_t passes;
    unsigned threads = ft_row_threads(ft_chunks(cols), per_thread, 256, &passes);
    return {dim3((unsigned)passes, (unsigned)(rows < 65535 ? rows : 65535)), threads};
}

#endif
