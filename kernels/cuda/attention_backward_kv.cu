// Attention backward, dK and dV: with P = exp(scale Q K^T - lse) and dS = P * (dO V^T - delta), dV = P^T dO and dK = scale dS^T Q
// (Dao, "FlashAttention-2", 2023, algorithm 2).
//
// A block owns ROWS keys of one kv head, a warp 16 of them, and goes through the queries of the heads that share it, in ascending
// order, QUERIES at a time. Scores are computed transposed, S^T = K Q^T: they come out of the products in the registers the next
// products take them from. The sums into dK and dV of one tile overlap P and dS of the next, hence three buffers of queries.
#include "kernels/cuda/attention_tile.cuh"

using namespace ft_attn;

namespace {

enum part { PART_BOTH, PART_K, PART_V };  // D = 256 has registers for one sum only

template <int D, int ROWS, int QUERIES> struct backward_kv_layout {
    static constexpr uint32_t QUERY_TILE = tile_bytes<QUERIES, D>(), STATISTICS = 4 * QUERIES;
    static constexpr uint32_t K = 0, V = tile_bytes<ROWS, D>(), Q = 2 * V, D_O = Q + 3 * QUERY_TILE, LSE = D_O + 3 * QUERY_TILE;
    static constexpr uint32_t DELTA = LSE + 3 * STATISTICS, BYTES = DELTA + 3 * STATISTICS;
};

// Scores s and dP to P, in s, and dS, in dp; keys are rows, queries columns.
template <int QUERIES, bool WANT_DS>
__device__ __forceinline__ void differentiate(float (&s)[QUERIES / 8][4], float (&dp)[QUERIES / 8][4], uint32_t lse,
                                              uint32_t delta, float scale_log2)
{
    int column = lane_column();
#pragma unroll
    for (int j = 0; j < QUERIES / 8; j++) {
        float2 l = shared_float2(lse + 4 * (8 * j + column));
        float2 d = WANT_DS ? shared_float2(delta + 4 * (8 * j + column)) : make_float2(0, 0);
        l.x *= LOG2E;
        l.y *= LOG2E;
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float p = fast_exp2(fmaf(s[j][e], scale_log2, e & 1 ? -l.y : -l.x));
            s[j][e] = p;
            if (WANT_DS) dp[j][e] = p * (dp[j][e] - (e & 1 ? d.y : d.x));
        }
    }
}

template <int D, int ROWS, int QUERIES, int BLOCKS, part PART, bool WGMMA>
__global__ void __launch_bounds__(ROWS * 2, BLOCKS) backward_kv_kernel(const heads h)
{
    constexpr int THREADS = ROWS * 2;
    constexpr bool WANT_K = PART != PART_V, WANT_V = PART != PART_K;
    using layout = backward_kv_layout<D, ROWS, QUERIES>;
    int kv_head = blockIdx.x % h.kv_heads;
    place p;
    // The first keys of a document are seen by most queries: they go first.
    if (!find_place(h, blockIdx.x / h.kv_heads, ROWS, &p)) return;

    uint32_t base = shared_base();
    int64_t first_row = p.document_row + p.first, k_column = (int64_t)(h.q_heads + kv_head) * h.head_dim;
    int64_t v_column = k_column + (int64_t)h.kv_heads * h.head_dim;
    int first_query = p.first, steps = (p.length - first_query + QUERIES - 1) / QUERIES * h.group;
    float scale_log2 = h.scale * LOG2E;
    auto q_tile = [&](int slot) { return base + layout::Q + slot * layout::QUERY_TILE; };
    auto d_o_tile = [&](int slot) { return base + layout::D_O + slot * layout::QUERY_TILE; };
    auto lse_of = [&](int slot) { return base + layout::LSE + slot * layout::STATISTICS; };
    auto delta_of = [&](int slot) { return base + layout::DELTA + slot * layout::STATISTICS; };
    auto next_slot = [](int slot) { return slot == 2 ? 0 : slot + 1; };
    // What is loaded next: a head's tiles in ascending order, then the next head's.
    int load_head = kv_head * h.group, load_query = first_query, load_slot = 0;
    auto load = [&] {
        if (load_head == (kv_head + 1) * h.group) return;
        int valid = p.length - load_query;
        int64_t at = p.document_row + load_query, column = (int64_t)load_head * h.head_dim, statistic = load_head * h.rows + at;
        load_tile<QUERIES, D, THREADS>(q_tile(load_slot), h.qkv + at * h.ld + column, h.ld, valid, h.head_dim);
        load_tile<QUERIES, D, THREADS>(d_o_tile(load_slot), h.d_o + at * h.d_o_ld + column, h.d_o_ld, valid, h.head_dim);
        // Queries past the end have zero Q and dO: any finite lse will do.
        load_floats<QUERIES>(lse_of(load_slot), h.lse + statistic, valid);
        load_floats<QUERIES>(delta_of(load_slot), h.delta + statistic, valid);
        load_slot = next_slot(load_slot);
        load_query += QUERIES;
        if (load_query >= p.length) {
            load_query = first_query;
            load_head++;
        }
    };

    load_tile<ROWS, D, THREADS>(base + layout::K, h.qkv + first_row * h.ld + k_column, h.ld, p.length - p.first, h.head_dim);
    if constexpr (WANT_K)
        load_tile<ROWS, D, THREADS>(base + layout::V, h.qkv + first_row * h.ld + v_column, h.ld, p.length - p.first, h.head_dim);
    load();
    loads_commit();
    load();
    loads_commit();

    float dk[WANT_K ? D / 8 : 1][4], dv[WANT_V ? D / 8 : 1][4], s[QUERIES / 8][4], dp[QUERIES / 8][4];
    uint32_t weights[QUERIES / 16][4], ds[QUERIES / 16][4];
    clear(dk);
    clear(dv);
    auto start_scores = [&](int slot) {
        multiply_tiles<WGMMA, ROWS, QUERIES, D>(s, base + layout::K, q_tile(slot));
        if constexpr (WANT_K) multiply_tiles<WGMMA, ROWS, QUERIES, D>(dp, base + layout::V, d_o_tile(slot));
        products_commit<WGMMA>();
    };
    auto start_sums = [&](int slot) {
        if constexpr (WANT_V) add_product<WGMMA, QUERIES, D>(dv, weights, d_o_tile(slot));
        if constexpr (WANT_K) add_product<WGMMA, QUERIES, D>(dk, ds, q_tile(slot));
        products_commit<WGMMA>();
    };
    int query = first_query;
    auto mask_scores = [&] {
        if (query < p.first + ROWS - 1) mask_past<QUERIES>(s, p.first + lane_row() - query);
    };
    auto finish_scores = [&](int slot) {
        differentiate<QUERIES, WANT_K>(s, dp, lse_of(slot), delta_of(slot), scale_log2);
    };
    auto pin_products = [&] {
        pin(s);
        if constexpr (WANT_K) pin(dp);
    };
    auto pin_sums = [&] {
        if constexpr (WANT_K) pin(dk);
        if constexpr (WANT_V) pin(dv);
    };
    auto pack_scores = [&] {
        if constexpr (WANT_V) pack_tiles<QUERIES>(weights, s);
        if constexpr (WANT_K) pack_tiles<QUERIES>(ds, dp);
    };
    auto pin_scores = [&] {
        if constexpr (WANT_V) pin(weights);
        if constexpr (WANT_K) pin(ds);
    };

    loads_wait<WGMMA, 1>();
    __syncthreads();
    products_begin<WGMMA>();
    start_scores(0);
    products_wait<WGMMA, 0>();
    pin_products();
    mask_scores();
    finish_scores(0);
    pack_scores();

    int slot = 0;
    for (int i = 0; i < steps - 1; i++) {
        int next = next_slot(slot);
        loads_wait<WGMMA, 0>();  // queries of the next step
        __syncthreads();         // and nobody reads those of the last one any more
        pin_sums();
        pin_scores();
        products_begin<WGMMA>();
        start_scores(next);
        start_sums(slot);
        load();
        loads_commit();
        query = query + QUERIES < p.length ? query + QUERIES : first_query;
        products_wait<WGMMA, 1>();
        pin_products();
        mask_scores();
        FT_BESIDE_PRODUCTS(h)
        {
            finish_scores(next);
            pin_products();
        }
        products_wait<WGMMA, 0>();
        pin_sums();
        pack_scores();
        slot = next;
    }

    pin_sums();
    pin_scores();
    products_begin<WGMMA>();
    start_sums(slot);
    products_wait<WGMMA, 0>();
    pin_sums();
    __syncthreads();  // K and V are free
    __nv_bfloat16 *out = h.out + first_row * h.out_ld;
    if constexpr (WANT_K)
        store_tile<ROWS, D>(out + k_column, h.out_ld, p.length - p.first, h.head_dim, base + layout::K, dk, h.scale, h.scale);
    if constexpr (WANT_V)
        store_tile<ROWS, D>(out + v_column, h.out_ld, p.length - p.first, h.head_dim, base + layout::V, dv, 1, 1);
}

template <int D, int ROWS, int QUERIES, int BLOCKS, part PART, bool WGMMA>
ft_status backward_kv(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    return launch("attention_backward", backward_kv_kernel<D, ROWS, QUERIES, BLOCKS, PART, WGMMA>,
                  tile_slots(documents, ROWS) * h.kv_heads, ROWS * 2, backward_kv_layout<D, ROWS, QUERIES>::BYTES, stream, h);
}

// Tiles small enough for devices with 100 KiB of shared memory, up to head_dim 128.
ft_status backward_kv_mma(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    if (h.head_dim <= 64) return backward_kv<64, 64, 64, 2, PART_BOTH, false>(h, documents, stream);
    if (h.head_dim <= 128) return backward_kv<128, 64, 32, 2, PART_BOTH, false>(h, documents, stream);
    FT_TRY((backward_kv<256, 64, 16, 1, PART_V, false>(h, documents, stream)));
    return backward_kv<256, 64, 16, 1, PART_K, false>(h, documents, stream);
}

// Measured on an H100: at head_dim 64, 64 keys with two blocks an SM are 30 % faster than 128 with one (few heads leave SMs idle).
ft_status backward_kv_wgmma(const heads &h, const ft_documents *documents, cudaStream_t stream)
{
    if (h.head_dim <= 64) return backward_kv<64, 64, 64, 2, PART_BOTH, true>(h, documents, stream);
    if (h.head_dim <= 128) return backward_kv<128, 128, 64, 1, PART_BOTH, true>(h, documents, stream);
    FT_TRY((backward_kv<256, 128, 32, 1, PART_V, true>(h, documents, stream)));
    return backward_kv<256, 128, 32, 1, PART_K, true>(h, documents, stream);
}

}  // namespace

extern "C" ft_status ft_own_attention_backward_kv(ft_queue *queue, ft_products products, ft_view dqkv, ft_view d_o,
                                                  const float *lse, const float *delta, ft_view qkv, const ft_attention *shape,
                                                  const ft_documents *documents)
{
    heads h;
    FT_TRY(make_backward_heads(&h, dqkv, d_o, lse, delta, qkv, shape, documents));
    ft_products kind = resolve(queue, products);
    if (kind == FT_PRODUCTS_MMA) return backward_kv_mma(h, documents, ft_stream(queue));
    return backward_kv_wgmma(h, documents, ft_stream(queue));
}
