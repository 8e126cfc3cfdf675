// What the attention kernels share: their arguments, which tile a block works on, and tiles on their way between global memory,
// shared memory and registers.
//
// Tiles start at the document's first row, so only the causal bound masks: a query of the document sees no key past its end. Rows
// past the document's end are loaded as zeros, where they add nothing to any sum, and are never stored.
#ifndef FT_KERNELS_CUDA_ATTENTION_TILE_CUH
#define FT_KERNELS_CUDA_ATTENTION_TILE_CUH

#include <cuda_bf16.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_products.cuh"
#include "kernels/cuda/launch.h"

namespace ft_attn {

constexpr float LOG2E = 1.4426950408889634f;

struct heads {
    const __nv_bfloat16 *qkv, *d_o;
    __nv_bfloat16 *out;           // o or dqkv
    float *lse_out;
    const float *lse, *delta;     // [q_heads, rows]
    const int32_t *begin;
    int64_t ld, d_o_ld, out_ld, rows;
    int32_t documents, q_heads, kv_heads, group, head_dim;
    float scale;
};

// Rows [row, row + n) of the micro-batch: those of a document of `length` rows from its row `first` on.
struct place {
    int64_t document_row;
    int32_t first, length;
};

// Blocks that cover every tile: document d's tiles are slots begin[d]/TILE + d onwards. These never collide, since
// floor((b + L)/T) + 1 >= floor(b/T) + ceil(L/T); slots in between are empty.
static inline int64_t tile_slots(const ft_documents *documents, int tile)
{
    return documents->begin[documents->n] / tile + documents->n;
}

// The tile of a slot; false where there is none. The same for all threads of a block.
__device__ __forceinline__ bool find_place(const heads &h, int64_t slot, int tile, place *p)
{
    int low = 0, high = h.documents - 1;
    while (low < high) {
        int middle = (low + high + 1) >> 1;
        if (__ldg(h.begin + middle) / tile + middle <= slot) low = middle;
        else high = middle - 1;
    }
    int64_t begin = __ldg(h.begin + low);
    p->document_row = begin;
    p->length = (int32_t)(__ldg(h.begin + low + 1) - begin);
    p->first = (int32_t)(slot - (begin / tile + low)) * tile;
    return p->first >= 0 && p->first < p->length;
}

// Shared memory of the block, from the first multiple of 1024 on (launches ask for SMEM_SLACK more).
constexpr int SMEM_SLACK = 1024;
__device__ __forceinline__ uint32_t shared_base()
{
    extern __shared__ uint8_t ft_attention_shared[];
    return ((uint32_t)__cvta_generic_to_shared(ft_attention_shared) + 1023u) & ~1023u;
}

template <int ROWS, int D> constexpr uint32_t tile_bytes() { return ROWS * D * 2; }

// Starts the copy of rows [0, ROWS) of `source` (row stride ld, head_dim columns) into a tile [ROWS, D]; rows from `valid` on and
// columns from head_dim on become zero.
template <int ROWS, int D, int THREADS>
__device__ __forceinline__ void load_tile(uint32_t tile, const __nv_bfloat16 *source, int64_t ld, int valid, int head_dim)
{
    constexpr int PIECES = D / 8;
    static_assert(THREADS % PIECES == 0, "a thread copies the same piece of every row");
    constexpr int STEP = THREADS / PIECES;
    int piece = threadIdx.x % PIECES, row = threadIdx.x / PIECES;
    const __nv_bfloat16 *from = source + row * ld + piece * 8;
    // Of no bytes, a copy only fills with zeros: the address is not read.
    int real = piece * 8 < head_dim ? valid : 0;
#pragma unroll
    for (int i = 0; i < (ROWS + STEP - 1) / STEP; i++, row += STEP, from += STEP * ld) {
        if (ROWS % STEP != 0 && row >= ROWS) break;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                     :: "r"(piece_address<ROWS>(tile, row, piece)), "l"(from), "r"(row < real ? 16 : 0) : "memory");
    }
}

// Starts the copy of n floats, zero from `valid` on.
template <int N> __device__ __forceinline__ void load_floats(uint32_t to, const float *source, int valid)
{
    int i = threadIdx.x;
    if (i < N)
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                     :: "r"(to + 4 * i), "l"(i < valid ? source + i : source), "r"(i < valid ? 4 : 0) : "memory");
}

__device__ __forceinline__ void loads_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// This thread's copies but the last PENDING groups have arrived and, for wgmma (which reads through the async proxy), are visible.
// A barrier makes it all threads' copies.
template <bool WGMMA, int PENDING> __device__ __forceinline__ void loads_wait()
{
    asm volatile("cp.async.wait_group %0;" :: "n"(PENDING) : "memory");
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    if constexpr (WGMMA) asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// 2^x to 2^-22; exp2f would also keep results below 2^-126, which no sum here sees.
__device__ __forceinline__ float fast_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float2 shared_float2(uint32_t address)
{
    float2 v;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(address) : "memory");
    return v;
}

__device__ __forceinline__ uint32_t pack(float low, float high)
{
    __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&v);
}

// An accumulator as the left operand of add_product.
template <int N> __device__ __forceinline__ void pack_tiles(uint32_t (&p)[N / 16][4], const float (&s)[N / 8][4])
{
#pragma unroll
    for (int k = 0; k < N / 16; k++) {
        p[k][0] = pack(s[2 * k][0], s[2 * k][1]);
        p[k][1] = pack(s[2 * k][2], s[2 * k][3]);
        p[k][2] = pack(s[2 * k + 1][0], s[2 * k + 1][1]);
        p[k][3] = pack(s[2 * k + 1][2], s[2 * k + 1][3]);
    }
}

// Runs what follows once, beside products under way. ptxas would move the wait for them to the start of its basic block and so
// ahead of that work; a loop whose end it cannot foresee (group <= q_heads) keeps the work in a block of its own.
#define FT_BESIDE_PRODUCTS(h) _Pragma("unroll 1") for (int ft_once_ = 0; ft_once_ < (h).group; ft_once_ += (h).q_heads)

template <int TILES> __device__ __forceinline__ void clear(float (&acc)[TILES][4])
{
#pragma unroll
    for (int j = 0; j < TILES; j++) acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0;
}

// The first of the two rows (the other is 8 further) and the first column of accumulator tile 0 that this lane holds, counted
// from the block's tile.
__device__ __forceinline__ int lane_row() { return (threadIdx.x >> 5) * 16 + ((threadIdx.x & 31) >> 2); }
__device__ __forceinline__ int lane_column() { return 2 * (threadIdx.x & 3); }

// Scores of keys past their query become -inf, with queries in rows: all but the first ahead + 1 columns of this lane's first row.
template <int KEYS> __device__ __forceinline__ void mask_future(float (&s)[KEYS / 8][4], int ahead)
{
    int column = lane_column();
#pragma unroll
    for (int j = 0; j < KEYS / 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++)
            if (8 * j + column + (e & 1) > ahead + (e >> 1) * 8) s[j][e] = -INFINITY;
    }
}

// The same with keys in rows: the first `behind` columns of this lane's first row.
template <int QUERIES> __device__ __forceinline__ void mask_past(float (&s)[QUERIES / 8][4], int behind)
{
    int column = lane_column();
#pragma unroll
    for (int j = 0; j < QUERIES / 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++)
            if (8 * j + column + (e & 1) < behind + (e >> 1) * 8) s[j][e] = -INFINITY;
    }
}

// Stores a warp's 16 rows, rounded to bf16 after a factor per row, by way of its rows of `tile` (nobody else may be using them):
// whole 16-byte pieces go out.
template <int ROWS, int D>
__device__ __forceinline__ void store_tile(__nv_bfloat16 *target, int64_t ld, int valid, int head_dim, uint32_t tile,
                                           const float (&acc)[D / 8][4], float factor0, float factor1)
{
    int lane = threadIdx.x & 31, warp_row = (threadIdx.x >> 5) * 16, row = lane_row();
#pragma unroll
    for (int j = 0; j < D / 8; j++) {
        uint32_t at = piece_address<ROWS>(tile, row, j) + 2 * lane_column();
        uint32_t low = pack(acc[j][0] * factor0, acc[j][1] * factor0), high = pack(acc[j][2] * factor1, acc[j][3] * factor1);
        asm volatile("st.shared.b32 [%0], %1;" :: "r"(at), "r"(low) : "memory");
        asm volatile("st.shared.b32 [%0], %1;" :: "r"(at + 8 * ROW_BYTES), "r"(high) : "memory");
    }
    __syncwarp();
    constexpr int PIECES = D / 8;
#pragma unroll
    for (int i = lane; i < 16 * PIECES; i += 32) {
        int r = warp_row + i / PIECES, piece = i % PIECES;
        if (r >= valid || piece * 8 >= head_dim) continue;
        uint4 v;
        asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                     : "r"(piece_address<ROWS>(tile, r, piece)) : "memory");
        *reinterpret_cast<uint4 *>(target + r * ld + piece * 8) = v;
    }
    __syncwarp();
}

static inline bool aligned(ft_view view) { return (uintptr_t)view.data % 16 == 0 && view.ld % 8 == 0; }

// FT_E_UNSUPPORTED for shapes the kernels have no tile for; `other` is the second view that is read or written 16 bytes at a time.
static inline ft_status make_heads(heads *h, ft_view qkv, ft_view other, const ft_attention *shape, const ft_documents *documents)
{
    if (shape->head_dim % 8 != 0 || shape->head_dim > 256 || shape->q_heads % shape->kv_heads != 0)
        return ft_error(FT_E_UNSUPPORTED, "attention: %lld/%lld heads of %lld: head_dim must be a multiple of 8 up to 256",
                        (long long)shape->q_heads, (long long)shape->kv_heads, (long long)shape->head_dim);
    if (!aligned(qkv) || !aligned(other)) return ft_error(FT_E_INTERNAL, "attention: rows must start at multiples of 16 bytes");
    *h = heads{};
    h->qkv = static_cast<const __nv_bfloat16 *>(qkv.data);
    h->ld = qkv.ld;
    h->rows = qkv.rows;
    h->begin = documents->device_begin;
    h->documents = documents->n;
    h->q_heads = (int32_t)shape->q_heads;
    h->kv_heads = (int32_t)shape->kv_heads;
    h->group = (int32_t)(shape->q_heads / shape->kv_heads);
    h->head_dim = (int32_t)shape->head_dim;
    h->scale = shape->scale;
    return FT_OK;
}

// The arguments of both backward kernels.
static inline ft_status make_backward_heads(heads *h, ft_view dqkv, ft_view d_o, const float *lse, const float *delta, ft_view qkv,
                                            const ft_attention *shape, const ft_documents *documents)
{
    FT_TRY(make_heads(h, qkv, d_o, shape, documents));
    if (!aligned(dqkv)) return ft_error(FT_E_INTERNAL, "attention: rows must start at multiples of 16 bytes");
    h->d_o = static_cast<const __nv_bfloat16 *>(d_o.data);
    h->d_o_ld = d_o.ld;
    h->out = static_cast<__nv_bfloat16 *>(dqkv.data);
    h->out_ld = dqkv.ld;
    h->lse = lse;
    h->delta = delta;
    return FT_OK;
}

// Launches `kernel` on a one-dimensional grid with that much shared memory.
template <typename Kernel>
static inline ft_status launch(const char *op, Kernel *kernel, int64_t blocks, int threads, uint32_t shared, cudaStream_t stream,
                               const heads &h)
{
    if (blocks == 0) return FT_OK;
    FT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(shared + SMEM_SLACK)));
    kernel<<<(unsigned)blocks, threads, shared + SMEM_SLACK, stream>>>(h);
    return ft_launched(op);
}

// FT_PRODUCTS_AUTO resolved for the queue's device.
static inline ft_products resolve(ft_queue *queue, ft_products products)
{
    if (products != FT_PRODUCTS_AUTO) return products;
    return ft_device_get_info(ft_queue_device(queue))->compute_capability == 90 ? FT_PRODUCTS_WGMMA : FT_PRODUCTS_MMA;
}

}  // namespace ft_attn

#endif
