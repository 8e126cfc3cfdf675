// dx += mask * (dS fold_a) / (1-p): the adapters' share of the input gradient where there is dropout (ft_cuda_lora_dropout_dx).
//
// A block has 64 tokens x 128 features: dS and fold_a go through shared memory 64 columns of S at a time, the product stays in
// registers, passes once through shared memory to rows of 16 bytes, and meets dx and its mask there. dx has been asked for before
// the product. Bound by the read and the write of dx; several blocks of an SM overlap one another's phases. The generator of
// the mask takes nearly as long as the traffic.
#include "kernels/cuda/lora.h"
#include "kernels/cuda/lora_mma.cuh"

enum {
    TOKENS = 64,
    FEATURES = 128,
    DEPTH = 64,               // columns of S at a time
    SUM_LD = FEATURES + 4,    // floats
    EIGHTS = TOKENS * FEATURES / 8 / FT_LORA_THREADS,
};

typedef struct {
    bf16 *dx;
    const bf16 *ds, *fold_a;
    int64_t rows, in, dx_ld, ds_ld, fold_a_ld;
    int64_t depth;            // columns of S, a multiple of 16
    dropout_mask mask;
} dx_args;

static __device__ __forceinline__ char *ds_chunk(char *tile, int row, int chunk)
{
    return tile + row * (DEPTH * 2) + ((chunk ^ (row & 7)) << 4);
}

static __device__ __forceinline__ char *a_chunk(char *tile, int row, int chunk)
{
    return tile + row * (FEATURES * 2) + ((chunk ^ (row & 7)) << 4);
}

// Columns [low, low + DEPTH) of dS of the block's tokens, and these rows of fold_a of its features.
static __device__ void load(const dx_args &args, char *ds, char *a, int64_t token, int64_t feature, int64_t low)
{
    for (int i = threadIdx.x; i < TOKENS * (DEPTH / 8); i += FT_LORA_THREADS) {
        int row = i / (DEPTH / 8), chunk = i % (DEPTH / 8);
        bool inside = token + row < args.rows && low + chunk * 8 < args.depth;
        copy16(ds_chunk(ds, row, chunk), args.ds + (inside ? (token + row) * args.ds_ld + low + chunk * 8 : 0), inside);
    }
    for (int i = threadIdx.x; i < DEPTH * (FEATURES / 8); i += FT_LORA_THREADS) {
        int row = i / (FEATURES / 8), chunk = i % (FEATURES / 8);
        bool inside = low + row < args.depth && feature + chunk * 8 < args.in;
        copy16(a_chunk(a, row, chunk), args.fold_a + (inside ? (low + row) * args.fold_a_ld + feature + chunk * 8 : 0), inside);
    }
    copies_commit();
    copies_wait<0>();
}

// The warp's 16 tokens x 64 features.
static __device__ __forceinline__ void multiply(float4 (&sum)[8], char *ds, char *a, int steps, int warp, int lane)
{
    for (int k = 0; k < steps; k++) {
        uint32_t s[4];
        load_tile(s, ds_chunk(ds, warp % 4 * 16 + low_row(lane), 2 * k + low_chunk(lane)));
#pragma unroll
        for (int n = 0; n < 8; n += 2) {
            uint32_t b[4];
            load_tile_transposed(b, a_chunk(a, k * 16 + low_row(lane), warp / 4 * 8 + n + low_chunk(lane)));
            multiply_add(sum[n], s, b[0], b[1]);
            multiply_add(sum[n + 1], s, b[2], b[3]);
        }
    }
}

static __device__ void store_sums(float *sums, const float4 (&sum)[8], int warp, int lane)
{
    float *first = sums + (warp % 4 * 16 + lane / 4) * SUM_LD + warp / 4 * 64 + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < 8; n++) {
        *(float2 *)(first + n * 8) = make_float2(sum[n].x, sum[n].y);
        *(float2 *)(first + 8 * SUM_LD + n * 8) = make_float2(sum[n].z, sum[n].w);
    }
}

static __device__ __forceinline__ uint32_t add_pair(uint32_t dx, float low, float high)
{
    float a = __uint_as_float(dx << 16) + low, b = __uint_as_float(dx & 0xFFFF0000u) + high;
    __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *(uint32_t *)&pair;
}

static __device__ uint4 add_masked(const dropout_mask &mask, uint4 dx, const float *sum, uint32_t token, uint32_t feature)
{
    float v[8];
    for (int half = 0; half < 2; half++) {
        uint4 words = dropout_words(mask, token, feature / 4 + half);
        float4 s = *(const float4 *)(sum + 4 * half);
        v[4 * half + 0] = words.x >= mask.threshold ? s.x * mask.kept : 0.0f;
        v[4 * half + 1] = words.y >= mask.threshold ? s.y * mask.kept : 0.0f;
        v[4 * half + 2] = words.z >= mask.threshold ? s.z * mask.kept : 0.0f;
        v[4 * half + 3] = words.w >= mask.threshold ? s.w * mask.kept : 0.0f;
    }
    return make_uint4(add_pair(dx.x, v[0], v[1]), add_pair(dx.y, v[2], v[3]), add_pair(dx.z, v[4], v[5]),
                      add_pair(dx.w, v[6], v[7]));
}

static __global__ void __launch_bounds__(FT_LORA_THREADS, 2) dx_kernel(const dx_args args)
{
    __shared__ __align__(128) char shared[TOKENS * SUM_LD * sizeof(float)];
    static_assert(sizeof shared >= (TOKENS * DEPTH + DEPTH * FEATURES) * 2, "the operands lie where the sums will");
    char *ds = shared, *a = shared + TOKENS * DEPTH * 2;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int64_t token = (int64_t)blockIdx.y * TOKENS, feature = (int64_t)blockIdx.x * FEATURES;
    int chunk = threadIdx.x % (FEATURES / 8), first = threadIdx.x / (FEATURES / 8);
    bool inside[EIGHTS];
    uint4 dx[EIGHTS];
    bf16 *place = args.dx + (token + first) * args.dx_ld + feature + chunk * 8;
    const int64_t next = FT_LORA_THREADS / (FEATURES / 8);
#pragma unroll
    for (int i = 0; i < EIGHTS; i++) {
        inside[i] = token + first + i * next < args.rows && feature + chunk * 8 < args.in;
        if (inside[i]) dx[i] = *(const uint4 *)(place + i * next * args.dx_ld);
    }
    float4 sum[8];
    for (int n = 0; n < 8; n++) sum[n] = make_float4(0, 0, 0, 0);
    for (int64_t low = 0; low < args.depth; low += DEPTH) {
        int64_t left = args.depth - low;
        load(args, ds, a, token, feature, low);
        __syncthreads();
        multiply(sum, ds, a, (int)(left < DEPTH ? left : DEPTH) / 16, warp, lane);
        __syncthreads();
    }
    store_sums((float *)shared, sum, warp, lane);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < EIGHTS; i++) {
        int row = first + i * (int)next;
        if (!inside[i]) continue;
        *(uint4 *)(place + i * next * args.dx_ld) =
            add_masked(args.mask, dx[i], (float *)shared + row * SUM_LD + chunk * 8, (uint32_t)(token + row),
                       (uint32_t)feature + chunk * 8);
    }
}

extern "C" ft_status ft_cuda_lora_dropout_dx(ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view d_low_rank)
{
    int64_t rank = group_rank(group);
    if (group->fold == 0 || rank == 0) return FT_OK;
    check_view(dx);
    check_view(d_low_rank);
    check_aligned(group->fold_a, group->fold_a_ld);
    dx_args args = {};
    args.dx = (bf16 *)dx.data, args.rows = dx.rows, args.in = dx.cols, args.dx_ld = dx.ld;
    args.ds = (const bf16 *)d_low_rank.data, args.ds_ld = d_low_rank.ld;
    args.fold_a = (const bf16 *)group->fold_a, args.fold_a_ld = group->fold_a_ld;
    args.depth = ft_lora_up(rank, 16);  // columns of dS and rows of fold_a from rank to fold are zero
    args.mask = dropout_mask_of(&group->dropout);
    dim3 grid((unsigned)ft_lora_ceil(dx.cols, FEATURES), (unsigned)ft_lora_ceil(dx.rows, TOKENS));
    dx_kernel<<<grid, FT_LORA_THREADS, 0, ft_stream(queue)>>>(args);
    return ft_launched("lora_dropout_dx");
}
