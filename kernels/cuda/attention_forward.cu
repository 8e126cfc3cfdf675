// Causal attention inside documents, forward: O = softmax(scale Q K^T) V with the softmax kept running over tiles of keys (Milakov
// & Gimelshein 2018; Dao, "FlashAttention-2", 2023), lse = log sum exp(scale q k). The products of one tile of keys overlap the
// softmax of the next (Shah et al., "FlashAttention-3", 2024, "intra-warpgroup pipelining").
//
// A block owns ROWS queries of one head, a warp 16 of them. Keys and values come in tiles of KEYS, two of each in shared memory.
#include "kernels/cuda/attention_tile.cuh"

using namespace ft_attn;

namespace {

template <int D, int ROWS, int KEYS> struct forward_layout {
    static constexpr uint32_t KEY_TILE = tile_bytes<KEYS, D>();
    static constexpr uint32_t Q = 0, K = tile_bytes<ROWS, D>(), V = K + 2 * KEY_TILE, BYTES = V + 2 * KEY_TILE;
};

// Running softmax of a lane's two rows, in units of raw scores.
struct softmax {
    float maximum[2], sum[2];  // sum: this lane's columns only
};

__device__ __forceinline__ float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 2));
}

__device__ __forceinline__ float quad_sum(float x)
{
    x += __shfl_xor_sync(0xFFFFFFFFu, x, 1);
    return x + __shfl_xor_sync(0xFFFFFFFFu, x, 2);
}

// Scores to weights relative to the new maximum; factor is what sums so far shrink by. Every row sees key 0, which is in the first
// tile: the maximum is finite from there on.
template <int KEYS>
__device__ __forceinline__ void weigh(float (&s)[KEYS / 8][4], softmax *state, float (&factor)[2], float scale_log2)
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float largest = state->maximum[r];
#pragma unroll
        for (int j = 0; j < KEYS / 8; j++) largest = fmaxf(largest, fmaxf(s[j][2 * r], s[j][2 * r + 1]));
        largest = quad_max(largest);
        factor[r] = fast_exp2((state->maximum[r] - largest) * scale_log2);
        state->maximum[r] = largest;
        float shift = largest * scale_log2, sum = 0;
#pragma unroll
        for (int j = 0; j < KEYS / 8; j++) {
            s[j][2 * r] = fast_exp2(fmaf(s[j][2 * r], scale_log2, -shift));
            s[j][2 * r + 1] = fast_exp2(fmaf(s[j][2 * r + 1], scale_log2, -shift));
            sum += s[j][2 * r] + s[j][2 * r + 1];
        }
        state->sum[r] = state->sum[r] * factor[r] + sum;
    }
}

template <int D, int ROWS, int KEYS, int BLOCKS, bool WGMMA>
__global__ void __launch_bounds__(ROWS * 2, BLOCKS) forward_kernel(const heads h)
{
    constexpr int THREADS = ROWS * 2;
    using layout = forward_layout<D, ROWS, KEYS>;
    int head = blockIdx.x % h.q_heads;
    place p;
    // The last tiles of a document see most keys: they go first.
    if (!find_place(h, (gridDim.x - 1 - blockIdx.x) / h.q_heads, ROWS, &p)) return;

    uint32_t base = shared_base();
    const __nv_bfloat16 *q = h.qkv + (p.document_row + p.first) * h.ld + (int64_t)head * h.head_dim;
    const __nv_bfloat16 *k = h.qkv + p.document_row * h.ld + (int64_t)(h.q_heads + head / h.group) * h.head_dim;
    const __nv_bfloat16 *v = k + (int64_t)h.kv_heads * h.head_dim;
    int end = min(p.first + ROWS, p.length), tiles = (end + KEYS - 1) / KEYS, row = p.first + lane_row();
    float scale_log2 = h.scale * LOG2E;
    auto load_k = [&](int t) {
        if (t < tiles)
            load_tile<KEYS, D, THREADS>(base + layout::K + (t & 1) * layout::KEY_TILE, k + (int64_t)t * KEYS * h.ld, h.ld,
                                        p.length - t * KEYS, h.head_dim);
    };
    auto load_v = [&](int t) {
        if (t < tiles)
            load_tile<KEYS, D, THREADS>(base + layout::V + (t & 1) * layout::KEY_TILE, v + (int64_t)t * KEYS * h.ld, h.ld,
                                        p.length - t * KEYS, h.head_dim);
    };

    load_tile<ROWS, D, THREADS>(base + layout::Q, q, h.ld, p.length - p.first, h.head_dim);
    load_k(0);
    loads_commit();
    load_k(1);
    load_v(0);
    loads_commit();

    softmax state = {{-INFINITY, -INFINITY}, {0, 0}};
    float o[D / 8][4], s[KEYS / 8][4], factor[2];
    uint32_t weights[KEYS / 16][4];
    clear(o);
    loads_wait<WGMMA, 1>();
    __syncthreads();
    products_begin<WGMMA>();
    multiply_tiles<WGMMA, ROWS, KEYS, D>(s, base + layout::Q, base + layout::K);
    products_commit<WGMMA>();
    products_wait<WGMMA, 0>();
    pin(s);
    if (KEYS - 1 > p.first) mask_future<KEYS>(s, row);
    weigh<KEYS>(s, &state, factor, scale_log2);
    pack_tiles<KEYS>(weights, s);

    for (int t = 0; t < tiles - 1; t++) {
        loads_wait<WGMMA, 0>();  // K of t + 1, V of t
        __syncthreads();         // and nobody reads K of t or V of t - 1 any more
        pin(o);
        pin(weights);
        products_begin<WGMMA>();
        multiply_tiles<WGMMA, ROWS, KEYS, D>(s, base + layout::Q, base + layout::K + ((t + 1) & 1) * layout::KEY_TILE);
        products_commit<WGMMA>();
        add_product<WGMMA, KEYS, D>(o, weights, base + layout::V + (t & 1) * layout::KEY_TILE);
        products_commit<WGMMA>();
        load_k(t + 2);
        load_v(t + 1);
        loads_commit();
        products_wait<WGMMA, 1>();
        pin(s);
        int key = (t + 1) * KEYS;
        if (key + KEYS - 1 > p.first) mask_future<KEYS>(s, row - key);
        FT_BESIDE_PRODUCTS(h)
        {
            weigh<KEYS>(s, &state, factor, scale_log2);
            pin(s);
        }
        products_wait<WGMMA, 0>();
        pin(o);
#pragma unroll
        for (int j = 0; j < D / 8; j++) {
            o[j][0] *= factor[0];
            o[j][1] *= factor[0];
            o[j][2] *= factor[1];
            o[j][3] *= factor[1];
        }
        pack_tiles<KEYS>(weights, s);
    }

    loads_wait<WGMMA, 0>();
    __syncthreads();
    pin(o);
    pin(weights);
    products_begin<WGMMA>();
    add_product<WGMMA, KEYS, D>(o, weights, base + layout::V + ((tiles - 1) & 1) * layout::KEY_TILE);
    products_commit<WGMMA>();
    products_wait<WGMMA, 0>();
    pin(o);

    float sum0 = quad_sum(state.sum[0]), sum1 = quad_sum(state.sum[1]);
    if ((threadIdx.x & 3) == 0) {
        float *lse = h.lse_out + (int64_t)head * h.rows + p.document_row;
        if (row < p.length) lse[row] = state.maximum[0] * h.scale + logf(sum0);
        if (row + 8 < p.length) lse[row + 8] = state.maximum[1] * h.scale + logf(sum1);
    }
    // The last products read no Q, and those before them ended before the last barrier: the tile is free.
    store_tile<ROWS, D>(h.out + (p.document_row + p.first) * h.out_ld + (int64_t)head * h.head_dim, h.out_ld, p.length - p.first,
                        h.head_dim, base + layout::Q, o, 1 / sum0, 1 / sum1);
}

template <int D, int ROWS, int KEYS, int BLOCKS, bool WGMMA>
ft_status forward(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    return launch("attention_forward", forward_kernel<D, ROWS, KEYS, BLOCKS, WGMMA>, tile_slots(documents, ROWS) * h.q_heads,
                  ROWS * 2, forward_layout<D, ROWS, KEYS>::BYTES, stream, h);
}

// Tiles small enough for devices with 100 KiB of shared memory.
ft_status forward_mma(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    if (h.head_dim <= 64) return forward<64, 64, 64, 2, false>(h, documents, stream);
    if (h.head_dim <= 128) return forward<128, 64, 64, 2, false>(h, documents, stream);
    return forward<256, 64, 32, 1, false>(h, documents, stream);
}

// Measured on an H100: at head_dim 64 these tiles are 18 % faster than 192 x 128 with one block an SM, at 128 they are 14 % faster
// than 192 x 64.
ft_status forward_wgmma(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    if (h.head_dim <= 64) return forward<64, 128, 64, 2, true>(h, documents, stream);
    if (h.head_dim <= 128) return forward<128, 128, 128, 1, true>(h, documents, stream);
    return forward<256, 128, 64, 1, true>(h, documents, stream);
}

}  // namespace

extern "C" ft_status ft_own_attention_forward(ft_queue *queue, ft_products products, ft_view o, float *lse, ft_view qkv,
                                              const ft_attention *shape, const ft_documents *documents)
{
    heads h;
    FT_TRY(make_heads(&h, qkv, o, shape, documents));
    h.out = static_cast<__nv_bfloat16 *>(o.data);
    h.out_ld = o.ld;
    h.lse_out = lse;
    ft_products kind = resolve(queue, products);
    if (kind == FT_PRODUCTS_MMA) return forward_mma(h, documents, ft_stream(queue));
    return forward_wgmma(h, documents, ft_stream(queue));
}
