// Rotary position embedding (Su et al. 2021), half-split as in HF's Llama: within a head, value i and value i + d/2 turn by the
// angle of frequency i. Backward is the rotation by the opposite angle. One block a row; a thread keeps the cosines and sines of
// its 8 pairs for every head it turns.
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/vec.cuh"

enum { HEADS = 2, THREADS = 256 };  // heads in flight per thread
enum { TWIN_LANES = FT_TILE / FT_CHUNK / 2 };  // threads that hold a 1x128 block, two chunks each

struct rope_call {
    ft_rows qkv;
    ft_twin twin;
    const float *cosine, *sine;
    const int32_t *positions;
    int half, lanes, slots;  // lanes: threads of a head; slots: heads a block holds side by side
    int turned, heads;       // q and k heads; heads visited, with v where the twin is wanted
    float sign;
};

static __device__ __forceinline__ void rotate(uint4 *low, uint4 *high, const float c[FT_CHUNK], const float s[FT_CHUNK])
{
    float a[FT_CHUNK], b[FT_CHUNK];
    ft_unpack(a, *low);
    ft_unpack(b, *high);
#pragma unroll
    for (int k = 0; k < FT_CHUNK; k++) {
        float first = a[k], second = b[k];
        a[k] = first * c[k] - second * s[k];
        b[k] = second * c[k] + first * s[k];
    }
    *low = ft_pack(a);
    *high = ft_pack(b);
}

template <bool VECTOR>
static __device__ __forceinline__ void load_angles(float c[FT_CHUNK], float s[FT_CHUNK], const rope_call &call, int first)
{
    int64_t angle = (int64_t)call.positions[blockIdx.x] * call.half + first;
    ft_load_shared<VECTOR>(c, call.cosine + angle, call.half - first);
    ft_load_shared<VECTOR>(s, call.sine + angle, call.half - first);
#pragma unroll
    for (int k = 0; k < FT_CHUNK; k++) s[k] *= call.sign;
}

// Codes of a thread's two chunks. Heads of 64 or 128 values: 8 neighbouring threads hold the block, as two heads or one. Every
// lane of the warp calls it, with zeros and `live` false past the last head.
static __device__ __forceinline__ void store_twin(const rope_call &call, int64_t col, bool live, uint4 low, uint4 high)
{
    float a[FT_CHUNK], b[FT_CHUNK];
    ft_unpack(a, low);
    ft_unpack(b, high);
    float scale = ft_scale_of(ft_lanes_max(fmaxf(ft_amax(a), ft_amax(b)), TWIN_LANES));
    uint2 first = ft_encode(a, scale), second = ft_encode(b, scale);
    if (!live) return;
    uint8_t *codes = call.twin.codes + blockIdx.x * call.twin.cols + col;
    ft_store_codes<true>(codes, FT_CHUNK, first);
    ft_store_codes<true>(codes + call.half, FT_CHUNK, second);
    if (col % FT_TILE == 0) call.twin.scales[col / FT_TILE * call.twin.stride + blockIdx.x] = scale;
}

// 4 bytes a value of q and k (read, written); with the twin 1 more, and 3 a value of v.
template <int ACCESS> static __global__ void __launch_bounds__(THREADS) rope_kernel(rope_call call)
{
    const bool vector = ACCESS != FT_SCALAR;
    int slot = threadIdx.x / call.lanes, first = (threadIdx.x - slot * call.lanes) * FT_CHUNK;
    float c[FT_CHUNK], s[FT_CHUNK];
    for (int base = 0; base < call.heads; base += HEADS * call.slots) {
        uint4 low[HEADS], high[HEADS];
#pragma unroll
        for (int i = 0; i < HEADS; i++) {
            int head = base + i * call.slots + slot, left = slot < call.slots && head < call.heads ? call.half - first : 0;
            int64_t col = (int64_t)head * 2 * call.half + first;
            low[i] = ft_load<vector>(call.qkv.at(blockIdx.x, col), left);
            high[i] = ft_load<vector>(call.qkv.at(blockIdx.x, col + call.half), left);
        }
        if (base == 0) load_angles<vector>(c, s, call, first);  // behind the loads above, which need no position first
#pragma unroll
        for (int i = 0; i < HEADS; i++) {
            int head = base + i * call.slots + slot;
            bool live = slot < call.slots && head < call.heads;
            int64_t col = (int64_t)head * 2 * call.half + first;
            if (live && head < call.turned) {
                rotate(&low[i], &high[i], c, s);
                ft_store<vector>(call.qkv.at(blockIdx.x, col), call.half - first, low[i]);
                ft_store<vector>(call.qkv.at(blockIdx.x, col + call.half), call.half - first, high[i]);
            }
            if (ACCESS == FT_TWIN) store_twin(call, col, live, low[i], high[i]);
        }
    }
}

static ft_access access_of(const rope_call &call, ft_view qkv, bool twin)
{
    bool vector = ft_vector_view(qkv) && call.half % FT_CHUNK == 0 && ft_aligned(call.cosine, 16) && ft_aligned(call.sine, 16);
    if (!twin) qkv.codes = NULL;
    ft_access access = ft_access_of(vector, qkv);
    bool blocks = call.half * 2 == FT_TILE || call.half * 4 == FT_TILE;
    return access == FT_TWIN && !blocks ? FT_VECTOR : access;
}

extern "C" ft_status ft_cuda_rope(ft_queue *queue, ft_view qkv, const ft_attention *shape, const ft_rope *table,
                                  const int32_t *positions, int direction)
{
    static void (*const kernels[FT_ACCESS_COUNT])(rope_call) = {rope_kernel<FT_SCALAR>, rope_kernel<FT_VECTOR>,
                                                                rope_kernel<FT_TWIN>};
    FT_ASSERT(table->half * 2 == shape->head_dim && (direction == 1 || direction == -1));
    bool twin = direction == -1 && qkv.codes != NULL;  // forward, attention reads bf16
    rope_call call = {};
    call.qkv = ft_rows_of(qkv);
    call.twin = ft_twin_of(qkv);
    call.cosine = table->cosine;
    call.sine = table->sine;
    call.positions = positions;
    call.half = (int)table->half;
    call.lanes = (int)ft_chunks(table->half);
    call.turned = (int)(shape->q_heads + shape->kv_heads);
    call.sign = (float)direction;
    ft_access access = access_of(call, qkv, twin);
    call.heads = call.turned + (access == FT_TWIN ? (int)shape->kv_heads : 0);
    FT_ASSERT(call.lanes <= THREADS, "heads of %lld values", (long long)shape->head_dim);
    int64_t turns;
    unsigned threads = ft_row_threads((int64_t)call.heads * call.lanes, HEADS, THREADS, &turns);
    while (threads < (unsigned)call.lanes) threads += FT_WARP;
    call.slots = (int)threads / call.lanes;
    auto kernel = kernels[access];
    kernel<<<(unsigned)qkv.rows, threads, 0, ft_stream(queue)>>>(call);
    FT_TRY(ft_launched("rope"));
    if (!twin || access == FT_TWIN) return FT_OK;
    return ft_cuda_quantize(queue, qkv.codes, qkv.scales, qkv, NULL);
}
