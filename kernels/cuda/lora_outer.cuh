// Gradients of adapters: C [cols, r] = M^T S for a big matrix M [rows, cols] (dy or x) and a few columns of S, from one pass over M
// that can also give M fold_b, which is dS. lora_up.cu and lora_backward_a.cu add the pieces up.
//
// A block walks a stripe of 512 columns of M through the rows, 32 at a time, tiles two or three ahead in shared memory, and keeps C
// [512, r] in registers: with as many rows as a stripe usually gets, C costs little. The tile's share of dS is summed over the
// block's warps in shared memory and written as a piece of [32, r] float32: r/256 of the bytes of M's tile, so 6.25 % at r = 16.
// The other way round (tokens fixed, dS kept) would write r/16 of them. Work is dealt out by units of one tile (lora_plan.h).
//
// Columns of S are taken from a multiple of 8 on (16-byte copies): a window may begin with columns of the part before and end with
// columns of the part behind. In dS those come out as the exact zeros that fold_b has there; in C they are not looked at.
#ifndef FT_KERNELS_CUDA_LORA_OUTER_CUH
#define FT_KERNELS_CUDA_LORA_OUTER_CUH

#include "kernels/cuda/lora.h"
#include "kernels/cuda/lora_mma.cuh"

enum {
    OUTER_TOKENS = FT_LORA_TOKENS,
    OUTER_STRIPE = FT_LORA_STRIPE,
    OUTER_ROW_CHUNKS = OUTER_STRIPE / 8,
    OUTER_WARPS = FT_LORA_THREADS / 32,
    OUTER_TILE = OUTER_TOKENS * OUTER_STRIPE * 2,
};

static_assert(OUTER_STRIPE == 64 * OUTER_WARPS, "a warp has 64 columns");

// Columns of M that meet the same columns of S: a part of dy, or all of x.
typedef struct {
    int part;                 // of the group
    int first, stripes;       // tiles [first, first + windows * stripes) of the work list, window by window
    int64_t column, cols;     // of M
    int begin, end;           // columns of S, multiples of 8
} outer_part;

typedef struct {
    const bf16 *m, *s;
    int64_t m_ld, s_ld, rows;
    int n_parts;
    outer_part parts[FT_LINEAR_PARTS];
    const bf16 *fold_b;
    int64_t fold_b_ld;
    work_list work;           // tiles (part, window, stripe), steps of OUTER_TOKENS
    float4 *pieces;           // of C: [slot][warp][16 columns][8 columns of S][lane]
    float4 *ds_pieces;        // [tile][step][16 tokens][8 columns of S][lane]
    dropout_mask mask;
} outer_args;

// A tile of the work list.
typedef struct {
    int64_t column;           // first column of M
    int cols;                 // up to OUTER_STRIPE
    int low;                  // first column of S
    int width;                // columns of S
} outer_stripe;

static __device__ __forceinline__ const outer_part &outer_part_of(const outer_args &args, int tile)
{
    if (args.n_parts > 2 && tile >= args.parts[2].first) return args.parts[2];
    return args.n_parts > 1 && tile >= args.parts[1].first ? args.parts[1] : args.parts[0];
}

static __device__ __forceinline__ outer_stripe outer_stripe_of(const outer_args &args, int tile, int window_width)
{
    const outer_part &part = outer_part_of(args, tile);
    int local = tile - part.first, window = local / part.stripes, stripe = local % part.stripes;
    int64_t left = part.cols - (int64_t)stripe * OUTER_STRIPE;
    int low = part.begin + window * window_width;
    return {part.column + (int64_t)stripe * OUTER_STRIPE, (int)(left < OUTER_STRIPE ? left : OUTER_STRIPE), low,
            part.end - low < window_width ? part.end - low : window_width};
}

// NT: columns of S in a window, in eights. Rows of S and fold_b are padded by a chunk: an odd number of chunks a row puts the eight
// rows of an ldmatrix in all banks. At NT 8 there is no room to reduce the tile's 32 tokens at once; 16 are.
template <int NT, bool DS> struct outer_shape {
    enum {
        LOW_BYTES = (NT + 1) * 16,
        STAGE = OUTER_TILE + OUTER_TOKENS * LOW_BYTES,
        STAGES = DS && NT == 8 ? 3 : 4,
        HALVES = NT == 8 ? 1 : 2,
        FOLD_B = DS ? OUTER_STRIPE * LOW_BYTES : 0,
        SUMS = DS ? HALVES * OUTER_WARPS * NT * 32 * 16 : 0,
        SHARED = STAGE * STAGES + FOLD_B + SUMS,
    };
};

static __device__ __forceinline__ char *outer_chunk(char *tile, int row, int chunk)
{
    return tile + row * (OUTER_STRIPE * 2) + ((chunk ^ (row & 7)) << 4);
}

typedef struct {
    work_place place;
    outer_stripe stripe;
} outer_unit;

// A thread copies one chunk of each row i * OUTER_ROWS_AT_ONCE + thread / OUTER_ROW_CHUNKS, here and in outer_drop. With four rows at
// once the place of the chunk in its row alternates between two, 64 bytes apart.
enum { OUTER_ROWS_AT_ONCE = FT_LORA_THREADS / OUTER_ROW_CHUNKS };
static_assert(OUTER_ROWS_AT_ONCE == 4, "chunks alternate");

static __device__ __forceinline__ int outer_offset(int row) { return row * (OUTER_STRIPE * 2); }
static __device__ __forceinline__ int outer_place(int row, int first, int chunk) { return ((chunk ^ first) << 4) ^ (row & 4) << 4; }

template <int NT> static __device__ __forceinline__ void outer_load(const outer_args &args, char *stage, const outer_unit &unit)
{
    int chunk = threadIdx.x % OUTER_ROW_CHUNKS, first = threadIdx.x / OUTER_ROW_CHUNKS;
    int64_t token = (int64_t)unit.place.step * OUTER_TOKENS, tokens = args.rows - token;
    int here = tokens < OUTER_TOKENS ? (int)tokens : OUTER_TOKENS, rows = chunk * 8 < unit.stripe.cols ? here : 0;
    const bf16 *m = args.m + (token + first) * args.m_ld + unit.stripe.column + chunk * 8;
    char *dst = stage + outer_offset(first);
#pragma unroll
    for (int row = 0; row < OUTER_TOKENS; row += OUTER_ROWS_AT_ONCE, m += OUTER_ROWS_AT_ONCE * args.m_ld)
        copy16(dst + outer_offset(row) + outer_place(row, first, chunk), m, first + row < rows);
    if (threadIdx.x >= OUTER_TOKENS * NT) return;
    int row = threadIdx.x / NT, low = threadIdx.x % NT;
    copy16(stage + OUTER_TILE + row * outer_shape<NT, false>::LOW_BYTES + low * 16,
           args.s + (token + row) * args.s_ld + unit.stripe.low + low * 8, row < here && low * 8 < unit.stripe.width);
}

// Drops what this thread itself has copied, so that only its own copies need have arrived.
static __device__ __forceinline__ void outer_drop(const outer_args &args, char *stage, const outer_unit &unit)
{
    int chunk = threadIdx.x % OUTER_ROW_CHUNKS, first = threadIdx.x / OUTER_ROW_CHUNKS;
    if (chunk * 8 >= unit.stripe.cols) return;
    uint32_t token = (uint32_t)unit.place.step * OUTER_TOKENS + first, feature = (uint32_t)unit.stripe.column + chunk * 8;
    for (int row = 0; row < OUTER_TOKENS; row += OUTER_ROWS_AT_ONCE) {
        uint4 *value = (uint4 *)(stage + outer_offset(first) + outer_offset(row) + outer_place(row, first, chunk));
        *value = drop_eight(*value, args.mask, token + row, feature);
    }
}

// The stripe's rows of fold_b, its window's columns.
template <int NT>
static __device__ __forceinline__ void outer_load_fold_b(const outer_args &args, char *fold_b, const outer_stripe &stripe)
{
    for (int i = threadIdx.x; i < OUTER_STRIPE * NT; i += FT_LORA_THREADS) {
        int row = i / NT, low = i % NT;
        uint4 value = make_uint4(0, 0, 0, 0);
        if (row < stripe.cols && low * 8 < stripe.width)
            value = *(const uint4 *)(args.fold_b + (stripe.column + row) * args.fold_b_ld + stripe.low + low * 8);
        *(uint4 *)(fold_b + row * outer_shape<NT, true>::LOW_BYTES + low * 16) = value;
    }
}

// The warp's 64 columns: c += M^T S over the tile's 32 tokens.
template <int NT>
static __device__ __forceinline__ void outer_multiply(float4 (&c)[4][NT], char *stage, int warp, int lane)
{
    const char *s = stage + OUTER_TILE;
#pragma unroll
    for (int k = 0; k < OUTER_TOKENS / 16; k++) {
        uint32_t low[NT / 2][4];
#pragma unroll
        for (int n = 0; n < NT / 2; n++)
            load_tile_transposed(low[n], s + (k * 16 + low_row(lane)) * outer_shape<NT, false>::LOW_BYTES +
                                             (2 * n + low_chunk(lane)) * 16);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            uint32_t m[4];
            load_tile_transposed(m, outer_chunk(stage, k * 16 + high_row(lane), warp * 8 + 2 * i + high_chunk(lane)));
#pragma unroll
            for (int n = 0; n < NT; n++) multiply_add(c[i][n], m, low[n / 2][n % 2 * 2], low[n / 2][n % 2 * 2 + 1]);
        }
    }
}

// The warp's 64 columns' share of dS of 16 tokens, into sums [warp][8 columns of S][lane].
template <int NT>
static __device__ __forceinline__ void outer_ds(char *stage, const char *fold_b, float4 *sums, int half, int warp, int lane)
{
    float4 ds[NT];
#pragma unroll
    for (int n = 0; n < NT; n++) ds[n] = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int k = 0; k < 4; k++) {
        uint32_t m[4];
        load_tile(m, outer_chunk(stage, half * 16 + low_row(lane), warp * 8 + 2 * k + low_chunk(lane)));
#pragma unroll
        for (int n = 0; n < NT; n += 2) {
            uint32_t b[4];
            load_tile_transposed(b, fold_b + (warp * 64 + k * 16 + low_row(lane)) * outer_shape<NT, true>::LOW_BYTES +
                                        (n + low_chunk(lane)) * 16);
            multiply_add(ds[n], m, b[0], b[1]);
            multiply_add(ds[n + 1], m, b[2], b[3]);
        }
    }
#pragma unroll
    for (int n = 0; n < NT; n++) sums[(warp * NT + n) * 32 + lane] = ds[n];
}

// The warps' sums of `halves` * 16 tokens, in ascending order, to a piece of dS.
template <int NT> static __device__ __forceinline__ void outer_write_ds(float4 *piece, const float4 *sums, int halves)
{
    for (int i = threadIdx.x; i < halves * NT * 32; i += FT_LORA_THREADS) {
        const float4 *from = sums + i / (NT * 32) * (OUTER_WARPS * NT * 32) + i % (NT * 32);
        float4 sum = *from;
#pragma unroll
        for (int warp = 1; warp < OUTER_WARPS; warp++) {
            float4 v = from[warp * NT * 32];
            sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
        }
        piece[i] = sum;
    }
}

// dS of the tile's tokens, both halves. The sums of the tile before have been read: the caller has passed a barrier since.
template <int NT>
static __device__ __forceinline__ void outer_tile_ds(float4 *piece, char *stage, const char *fold_b, float4 *sums, int warp, int lane)
{
    if constexpr (outer_shape<NT, true>::HALVES == 2) {
        outer_ds<NT>(stage, fold_b, sums, 0, warp, lane);
        outer_ds<NT>(stage, fold_b, sums + OUTER_WARPS * NT * 32, 1, warp, lane);
        __syncthreads();
        outer_write_ds<NT>(piece, sums, 2);
    } else {
        for (int half = 0; half < 2; half++) {
            if (half == 1) __syncthreads();
            outer_ds<NT>(stage, fold_b, sums, half, warp, lane);
            __syncthreads();
            outer_write_ds<NT>(piece + half * NT * 32, sums, 1);
        }
    }
}

template <int NT, bool DS, bool DROPOUT>
static __global__ void __launch_bounds__(FT_LORA_THREADS, 1) outer_kernel(const outer_args args)
{
    using shape = outer_shape<NT, DS>;
    enum { STAGE = shape::STAGE, STAGES = shape::STAGES };
    extern __shared__ __align__(128) char shared[];
    char *fold_b = shared + STAGE * STAGES;
    float4 *sums = (float4 *)(fold_b + shape::FOLD_B);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, stage = 0, held = -1;
    int begin = work_begin(args.work, blockIdx.x), left = work_begin(args.work, blockIdx.x + 1) - begin;
    float4 *ds_piece = args.ds_pieces + (int64_t)begin * (2 * NT * 32);
    outer_unit unit;
    unit.place = work_at(args.work, begin);
    unit.stripe = outer_stripe_of(args, unit.place.tile, NT * 8);
    outer_unit ahead = unit;
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < left) outer_load<NT>(args, shared + s * STAGE, ahead);
        if (work_next(args.work, ahead.place)) ahead.stripe = outer_stripe_of(args, ahead.place.tile, NT * 8);
        copies_commit();
    }
    float4 c[4][NT];
    for (int i = 0; i < 4 * NT; i++) c[i / NT][i % NT] = make_float4(0, 0, 0, 0);
    for (; left > 0; left--) {
        char *here = shared + stage * STAGE;
        copies_wait<STAGES - 2>();
        if (DROPOUT) outer_drop(args, here, unit);
        __syncthreads();  // this unit is there for all, and all have left the stage that is filled next
        if (left >= STAGES) outer_load<NT>(args, shared + (stage > 0 ? stage - 1 : STAGES - 1) * STAGE, ahead);
        if (work_next(args.work, ahead.place)) ahead.stripe = outer_stripe_of(args, ahead.place.tile, NT * 8);
        copies_commit();
        if (DS && unit.place.tile != held) {
            outer_load_fold_b<NT>(args, fold_b, unit.stripe);
            held = unit.place.tile;
            __syncthreads();
        }
        if (DS) outer_tile_ds<NT>(ds_piece, here, fold_b, sums, warp, lane);
        ds_piece += 2 * NT * 32;
        outer_multiply<NT>(c, here, warp, lane);
        if (++stage == STAGES) stage = 0;
        int tile = unit.place.tile;
        bool tile_ends = work_next(args.work, unit.place);
        if (!tile_ends && left > 1) continue;
        if (tile_ends) unit.stripe = outer_stripe_of(args, unit.place.tile, NT * 8);
        float4 *piece = args.pieces + ((int64_t)(blockIdx.x + tile) * OUTER_WARPS + warp) * (4 * NT * 32) + lane;
#pragma unroll
        for (int i = 0; i < 4 * NT; i++) {
            piece[i * 32] = c[i / NT][i % NT];
            c[i / NT][i % NT] = make_float4(0, 0, 0, 0);
        }
    }
}

// --- Adding up ----------------------------------------------------------------------------------------------------------------

// A lane's part of 16 columns of M x 8 of S of C, summed. Items of a tile: OUTER_STRIPE * window width / 4.
typedef struct {
    const outer_part *part;
    int64_t column;           // of the part: the sum's x, y; z, w are 8 on
    int low;                  // column of S: x, z; y, w are 1 on
    float4 sum;
} outer_sum;

static __device__ __forceinline__ outer_sum outer_sum_of(const outer_args &args, int nt, int64_t index)
{
    int size = OUTER_STRIPE * nt * 2, tile = (int)(index / size), item = (int)(index % size);
    const outer_part &part = outer_part_of(args, tile);
    int local = tile - part.first, lane = item % 32, n = item / 32 % nt, sixteen = item / 32 / nt;
    outer_sum result;
    result.part = &part;
    result.column = (int64_t)(local % part.stripes) * OUTER_STRIPE + sixteen * 16 + lane / 4;
    result.low = part.begin + local / part.stripes * (nt * 8) + n * 8 + lane % 4 * 2;
    result.sum = work_sum(args.work, args.pieces, tile, size, item);
    return result;
}

#endif
