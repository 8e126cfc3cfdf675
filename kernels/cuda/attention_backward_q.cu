// Attention backward, dQ: with P = exp(scale Q K^T - lse) and dS = P * (dO V^T - delta), dQ = scale dS K (Dao, "FlashAttention-2",
// 2023, algorithm 2).
//
// dQ has a kernel of its own, which computes P and dP again, because the sum over key tiles then stays in the registers of one
// block: two products more than the scheme that adds to dQ in memory, but a fixed order and no atomics.
// A block owns ROWS queries of one head, a warp 16 of them. dS K of one tile overlaps dS of the next, so K comes in three buffers.
#include "kernels/cuda/attention_tile.cuh"

using namespace ft_attn;

namespace {

template <int D, int ROWS, int KEYS> struct backward_q_layout {
    static constexpr uint32_t KEY_TILE = tile_bytes<KEYS, D>();
    static constexpr uint32_t Q = 0, D_O = tile_bytes<ROWS, D>(), K = 2 * D_O, V = K + 3 * KEY_TILE, BYTES = V + 2 * KEY_TILE;
};

// Scores s and dP to dS, in dp.
template <int KEYS>
__device__ __forceinline__ void differentiate(const float (&s)[KEYS / 8][4], float (&dp)[KEYS / 8][4],
                                              const float (&lse_log2)[2], const float (&delta)[2], float scale_log2)
{
#pragma unroll
    for (int j = 0; j < KEYS / 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float p = fast_exp2(fmaf(s[j][e], scale_log2, -lse_log2[e >> 1]));
            dp[j][e] = p * (dp[j][e] - delta[e >> 1]);
        }
    }
}

template <int D, int ROWS, int KEYS, int BLOCKS, bool WGMMA>
__global__ void __launch_bounds__(ROWS * 2, BLOCKS) backward_q_kernel(const heads h)
{
    constexpr int THREADS = ROWS * 2;
    using layout = backward_q_layout<D, ROWS, KEYS>;
    int head = blockIdx.x % h.q_heads;
    place p;
    if (!find_place(h, (gridDim.x - 1 - blockIdx.x) / h.q_heads, ROWS, &p)) return;

    uint32_t base = shared_base();
    int64_t first_row = p.document_row + p.first;
    const __nv_bfloat16 *k = h.qkv + p.document_row * h.ld + (int64_t)(h.q_heads + head / h.group) * h.head_dim;
    const __nv_bfloat16 *v = k + (int64_t)h.kv_heads * h.head_dim;
    int end = min(p.first + ROWS, p.length), tiles = (end + KEYS - 1) / KEYS, row = p.first + lane_row();
    float scale_log2 = h.scale * LOG2E;
    auto k_tile = [&](int t) { return base + layout::K + t % 3 * layout::KEY_TILE; };
    auto v_tile = [&](int t) { return base + layout::V + (t & 1) * layout::KEY_TILE; };
    auto load = [&](int t) {
        if (t >= tiles) return;
        int64_t at = (int64_t)t * KEYS * h.ld;
        load_tile<KEYS, D, THREADS>(k_tile(t), k + at, h.ld, p.length - t * KEYS, h.head_dim);
        load_tile<KEYS, D, THREADS>(v_tile(t), v + at, h.ld, p.length - t * KEYS, h.head_dim);
    };

    load_tile<ROWS, D, THREADS>(base + layout::Q, h.qkv + first_row * h.ld + (int64_t)head * h.head_dim, h.ld,
                                p.length - p.first, h.head_dim);
    load_tile<ROWS, D, THREADS>(base + layout::D_O, h.d_o + first_row * h.d_o_ld + (int64_t)head * h.head_dim, h.d_o_ld,
                                p.length - p.first, h.head_dim);
    load(0);
    loads_commit();
    load(1);
    loads_commit();

    // Rows past the end have zero Q and dO: whatever finite lse gives them a dS of 0.
    float lse_log2[2], delta[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        bool real = row + 8 * r < p.length;
        int64_t at = (int64_t)head * h.rows + p.document_row + row + 8 * r;
        lse_log2[r] = real ? h.lse[at] * LOG2E : 0;
        delta[r] = real ? h.delta[at] : 0;
    }

    float dq[D / 8][4], s[KEYS / 8][4], dp[KEYS / 8][4];
    uint32_t ds[KEYS / 16][4];
    clear(dq);
    loads_wait<WGMMA, 1>();
    __syncthreads();
    products_begin<WGMMA>();
    multiply_tiles<WGMMA, ROWS, KEYS, D>(s, base + layout::Q, k_tile(0));
    multiply_tiles<WGMMA, ROWS, KEYS, D>(dp, base + layout::D_O, v_tile(0));
    products_commit<WGMMA>();
    products_wait<WGMMA, 0>();
    pin(s);
    pin(dp);
    if (KEYS - 1 > p.first) mask_future<KEYS>(s, row);
    differentiate<KEYS>(s, dp, lse_log2, delta, scale_log2);
    pack_tiles<KEYS>(ds, dp);

    for (int t = 0; t < tiles - 1; t++) {
        loads_wait<WGMMA, 0>();  // K and V of t + 1
        __syncthreads();         // and nobody reads K of t - 1 or V of t any more
        pin(dq);
        pin(ds);
        products_begin<WGMMA>();
        multiply_tiles<WGMMA, ROWS, KEYS, D>(s, base + layout::Q, k_tile(t + 1));
        multiply_tiles<WGMMA, ROWS, KEYS, D>(dp, base + layout::D_O, v_tile(t + 1));
        products_commit<WGMMA>();
        add_product<WGMMA, KEYS, D>(dq, ds, k_tile(t));
        products_commit<WGMMA>();
        load(t + 2);
        loads_commit();
        products_wait<WGMMA, 1>();
        pin(s);
        pin(dp);
        int key = (t + 1) * KEYS;
        if (key + KEYS - 1 > p.first) mask_future<KEYS>(s, row - key);
        FT_BESIDE_PRODUCTS(h)
        {
            differentiate<KEYS>(s, dp, lse_log2, delta, scale_log2);
            pin(dp);
        }
        products_wait<WGMMA, 0>();
        pin(dq);
        pack_tiles<KEYS>(ds, dp);
    }

    pin(dq);
    pin(ds);
    products_begin<WGMMA>();
    add_product<WGMMA, KEYS, D>(dq, ds, k_tile(tiles - 1));
    products_commit<WGMMA>();
    products_wait<WGMMA, 0>();
    pin(dq);
    __syncthreads();  // Q is free
    store_tile<ROWS, D>(h.out + first_row * h.out_ld + (int64_t)head * h.head_dim, h.out_ld, p.length - p.first, h.head_dim,
                        base + layout::Q, dq, h.scale, h.scale);
}

template <int D, int ROWS, int KEYS, int BLOCKS, bool WGMMA>
ft_status backward_q(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    return launch("attention_backward", backward_q_kernel<D, ROWS, KEYS, BLOCKS, WGMMA>, tile_slots(documents, ROWS) * h.q_heads,
                  ROWS * 2, backward_q_layout<D, ROWS, KEYS>::BYTES, stream, h);
}

// Tiles small enough for devices with 100 KiB of shared memory, up to head_dim 128.
ft_status backward_q_mma(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    if (h.head_dim <= 64) return backward_q<64, 64, 64, 2, false>(h, documents, stream);
    if (h.head_dim <= 128) return backward_q<128, 64, 32, 2, false>(h, documents, stream);
    return backward_q<256, 64, 16, 1, false>(h, documents, stream);
}

// Measured on an H100: at head_dim 64 these tiles are 16 % faster than 192 x 64.
ft_status backward_q_wgmma(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    if (h.head_dim <= 64) return backward_q<64, 128, 128, 1, true>(h, documents, stream);
    if (h.head_dim <= 128) return backward_q<128, 128, 64, 1, true>(h, documents, stream);
    return backward_q<256, 128, 32, 1, true>(h, documents, stream);
}

}  // namespace

extern "C" ft_status ft_own_attention_backward_q(ft_queue *queue, ft_products products, ft_view dqkv, ft_view d_o,
                                                 const float *lse, const float *delta, ft_view qkv, const ft_attention *shape,
                                                 const ft_documents *documents)
{
    heads h;
    FT_TRY(make_backward_heads(&h, dqkv, d_o, lse, delta, qkv, shape, documents));
    ft_products kind = resolve(queue, products);
    if (kind == FT_PRODUCTS_MMA) return backward_q_mma(h, documents, ft_stream(queue));
    return backward_q_wgmma(h, documents, ft_stream(queue));
}
