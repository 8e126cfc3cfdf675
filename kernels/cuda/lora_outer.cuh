// Gradients of adapters: C [cols, r] = M^T S for a big matrix M [rows, cols] (dy or x) and a few columns of S, from one pass over M
// that can also give M fold_b, which is dS. lora_up.cu and lora_backward_a.cu add the pieces up.
//
// A block walks a stripe of columns of M through the rows, a tile of 16 KB or 32 KB at a time, tiles two or three ahead in shared
// memory, and keeps C [stripe, r] in registers; each stripe's walk is shared by blocks / stripes of them, and each leaves a piece of
// C. The tile's share of dS is summed over the block's warps in shared memory and written as a piece of [tokens, r] float32: 2 r /
// stripe of the bytes of M, written and read. So wide stripes have small pieces of dS, narrow ones small pieces of C; both are least
// together where a stripe is as wide as a block's walk is long (lora_plan.h). Work is dealt out by units of one tile.
//
// Columns of S are taken from a multiple of 8 on (16-byte copies): a window may begin with columns of the part before and end with
// columns of the part behind. In dS those come out as the exact zeros that fold_b has there; in C they are not looked at.
#ifndef FT_KERNELS_CUDA_LORA_OUTER_CUH
#define FT_KERNELS_CUDA_LORA_OUTER_CUH

#include "kernels/cuda/lora.h"
#include "kernels/cuda/lora_mma.cuh"

enum {
    OUTER_WARPS = FT_LORA_THREADS / 32,
    OUTER_MEMORY = 227 << 10,  // shared memory of an H100's block
};

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
    int stripe, tokens;       // columns and rows of a tile
    work_list work;           // tiles (part, window, stripe), steps of `tokens`
    float4 *pieces;           // of C: [slot][warp][16 columns][8 columns of S][lane]
    float4 *ds_pieces;        // [tile][step][16 tokens][8 columns of S][lane]
    dropout_mask mask;
} outer_args;

// A tile of the work list.
typedef struct {
    int64_t column;           // first column of M
    int cols;                 // up to the stripe's
    int low;                  // first column of S
    int width;                // columns of S
} outer_stripe;

static __device__ __forceinline__ const outer_part &outer_part_of(const outer_args &args, int tile)
{
    if (args.n_parts > 2 && tile >= args.parts[2].first) return args.parts[2];
    return args.n_parts > 1 && tile >= args.parts[1].first ? args.parts[1] : args.parts[0];
}

static __device__ __forceinline__ outer_stripe outer_stripe_of(const outer_args &args, int tile, int stripe_width, int window_width)
{
    const outer_part &part = outer_part_of(args, tile);
    int local = tile - part.first, window = local / part.stripes, stripe = local % part.stripes;
    int64_t left = part.cols - (int64_t)stripe * stripe_width;
    int low = part.begin + window * window_width;
    return {part.column + (int64_t)stripe * stripe_width, (int)(left < stripe_width ? left : stripe_width), low,
            part.end - low < window_width ? part.end - low : window_width};
}

// NT_: columns of S in a window, in eights. Rows of S and fold_b are padded by a chunk: an odd number of chunks a row puts the eight
// rows of an ldmatrix in all banks. SUMS are one tile's dS by warp; there are two of them.
template <int NT_, int STRIPE_, int TOKENS_, bool DS_> struct outer_shape {
    enum {
        NT = NT_,
        STRIPE = STRIPE_,
        TOKENS = TOKENS_,
        DS = DS_,
        ROW_BYTES = STRIPE * 2,
        ROW_CHUNKS = STRIPE / 8,
        ROWS_AT_ONCE = FT_LORA_THREADS / ROW_CHUNKS,
        WARP_CHUNKS = ROW_CHUNKS / OUTER_WARPS,
        SIXTEENS = WARP_CHUNKS / 2,  // of columns of a warp
        HALVES = TOKENS / 16,
        LOW_BYTES = (NT + 1) * 16,
        TILE = TOKENS * ROW_BYTES,
        STAGE = (TILE + TOKENS * LOW_BYTES + 255) / 256 * 256,
        FOLD_B = DS ? STRIPE * LOW_BYTES : 0,
        HELD_B = SIXTEENS * NT <= 16,  // a warp keeps its columns of fold_b in registers
        PIECE = HALVES * NT * 32,    // float4 of dS of a tile
        SUMS = DS ? OUTER_WARPS * PIECE * 16 : 0,
        ROOM = (OUTER_MEMORY - FOLD_B - 2 * SUMS) / STAGE,
        STAGES = ROOM > 4 ? 4 : ROOM,
        SHARED = STAGE * STAGES + FOLD_B + 2 * SUMS,
    };
    static_assert(STAGES >= 3, "a tile is asked for while another one arrives");
    static_assert(ROW_BYTES % 256 == 0 && TILE % 256 == 0, "bits 4 to 7 of an address are the chunk's");
    static_assert(8 % ROWS_AT_ONCE == 0, "a thread's rows differ from its first one in higher bits");
};

// Byte of a chunk in a tile. Chunks of a row are permuted by its number, so that eight rows of one chunk lie in all banks. Stages and
// rows begin at multiples of 256: what differs between two places is found by XOR of bits 4 to 7 with a constant.
template <typename SHAPE> static __device__ __forceinline__ uint32_t outer_place(int row, int chunk)
{
    return (uint32_t)(row * SHAPE::ROW_BYTES + ((chunk ^ (row & 7)) << 4));
}

typedef struct {
    work_place place;
    outer_stripe stripe;
} outer_unit;

// A thread copies one chunk of each row i * ROWS_AT_ONCE + thread / ROW_CHUNKS, here and in outer_drop: `row` has none of the bits of
// the first.
template <typename SHAPE> static __device__ __forceinline__ uint32_t outer_row(uint32_t place, int row)
{
    return (place ^ (uint32_t)(row & 7) << 4) + (uint32_t)(row * SHAPE::ROW_BYTES);
}

template <typename SHAPE> static __device__ __forceinline__ void outer_load(const outer_args &args, uint32_t stage, const outer_unit &unit)
{
    enum { NT = SHAPE::NT, TOKENS = SHAPE::TOKENS, ROWS = SHAPE::ROWS_AT_ONCE };
    int chunk = threadIdx.x % SHAPE::ROW_CHUNKS, first = threadIdx.x / SHAPE::ROW_CHUNKS;
    int64_t token = (int64_t)unit.place.step * TOKENS, tokens = args.rows - token;
    int here = tokens < TOKENS ? (int)tokens : (int)TOKENS, rows = chunk * 8 < unit.stripe.cols ? here : 0;
    const bf16 *m = args.m + (token + first) * args.m_ld + unit.stripe.column + chunk * 8;
    uint32_t place = stage + outer_place<SHAPE>(first, chunk);
#pragma unroll
    for (int row = 0; row < TOKENS; row += ROWS, m += ROWS * args.m_ld) copy16(outer_row<SHAPE>(place, row), m, first + row < rows);
#pragma unroll
    for (int begin = 0; begin < TOKENS * NT; begin += FT_LORA_THREADS) {
        int i = begin + threadIdx.x, row = i / NT, low = i % NT;
        if (row >= TOKENS) break;
        copy16(stage + SHAPE::TILE + row * SHAPE::LOW_BYTES + low * 16, args.s + (token + row) * args.s_ld + unit.stripe.low + low * 8,
               row < here && low * 8 < unit.stripe.width);
    }
}

// Drops what this thread itself has copied, so that only its own copies need have arrived.
template <typename SHAPE> static __device__ __forceinline__ void outer_drop(const outer_args &args, char *stage, const outer_unit &unit)
{
    int chunk = threadIdx.x % SHAPE::ROW_CHUNKS, first = threadIdx.x / SHAPE::ROW_CHUNKS;
    if (chunk * 8 >= unit.stripe.cols) return;
    uint32_t token = (uint32_t)unit.place.step * SHAPE::TOKENS + first, feature = (uint32_t)unit.stripe.column + chunk * 8;
    uint32_t place = outer_place<SHAPE>(first, chunk);
#pragma unroll 4  // masks of several rows at once: a mask is a chain of multiplications
    for (int row = 0; row < SHAPE::TOKENS; row += SHAPE::ROWS_AT_ONCE) {
        uint4 *value = (uint4 *)(stage + outer_row<SHAPE>(place, row));
        *value = drop_eight(*value, args.mask, token + row, feature);
    }
}

// The stripe's rows of fold_b, its window's columns.
template <typename SHAPE>
static __device__ __forceinline__ void outer_load_fold_b(const outer_args &args, char *fold_b, const outer_stripe &stripe)
{
    enum { NT = SHAPE::NT };
    static_assert(SHAPE::STRIPE * NT % FT_LORA_THREADS == 0, "every thread copies as much");
#pragma unroll 4
    for (int begin = 0; begin < SHAPE::STRIPE * NT; begin += FT_LORA_THREADS) {
        int i = begin + threadIdx.x, row = i / NT, low = i % NT;
        uint4 value = make_uint4(0, 0, 0, 0);
        if (row < stripe.cols && low * 8 < stripe.width)
            value = *(const uint4 *)(args.fold_b + (stripe.column + row) * args.fold_b_ld + stripe.low + low * 8);
        *(uint4 *)(fold_b + row * SHAPE::LOW_BYTES + low * 16) = value;
    }
}

// The warp's columns: c += M^T S over the tile's tokens.
template <typename SHAPE>
static __device__ __forceinline__ void outer_multiply(float4 (&c)[SHAPE::SIXTEENS][SHAPE::NT], uint32_t stage, int warp, int lane)
{
    enum { NT = SHAPE::NT };
    uint32_t s = stage + SHAPE::TILE + low_row(lane) * SHAPE::LOW_BYTES + low_chunk(lane) * 16;
    uint32_t place = stage + outer_place<SHAPE>(high_row(lane), warp * SHAPE::WARP_CHUNKS + high_chunk(lane));
#pragma unroll
    for (int k = 0; k < SHAPE::HALVES; k++) {
        uint32_t low[NT / 2][4];
#pragma unroll
        for (int n = 0; n < NT / 2; n++) load_tile_transposed(low[n], s + k * 16 * SHAPE::LOW_BYTES + n * 32);
#pragma unroll
        for (int i = 0; i < SHAPE::SIXTEENS; i++) {
            uint32_t m[4];
            load_tile_transposed(m, (place ^ (uint32_t)i << 5) + k * 16 * SHAPE::ROW_BYTES);
#pragma unroll
            for (int n = 0; n < NT; n++) multiply_add(c[i][n], m, low[n / 2][n % 2 * 2], low[n / 2][n % 2 * 2 + 1]);
        }
    }
}

// The columns of fold_b of a warp, as the tensor cores take them.
template <typename SHAPE> struct outer_fold_b {
    uint32_t b[SHAPE::SIXTEENS][SHAPE::NT / 2][4];
};

template <typename SHAPE>
static __device__ __forceinline__ void outer_read_fold_b(outer_fold_b<SHAPE> &held, uint32_t fold_b, int warp, int lane)
{
    fold_b += (warp * SHAPE::WARP_CHUNKS * 8 + low_row(lane)) * SHAPE::LOW_BYTES + low_chunk(lane) * 16;
#pragma unroll
    for (int k = 0; k < SHAPE::SIXTEENS; k++) {
#pragma unroll
        for (int n = 0; n < SHAPE::NT / 2; n++) load_tile_transposed(held.b[k][n], fold_b + k * 16 * SHAPE::LOW_BYTES + n * 32);
    }
}

// The warp's columns' share of the tile's dS, into sums [16 tokens][warp][8 columns of S][lane].
template <typename SHAPE>
static __device__ __forceinline__ void outer_ds(uint32_t stage, const outer_fold_b<SHAPE> &held, float4 *sums, int warp, int lane)
{
    enum { NT = SHAPE::NT, HALVES = SHAPE::HALVES };
    uint32_t place = stage + outer_place<SHAPE>(low_row(lane), warp * SHAPE::WARP_CHUNKS + low_chunk(lane));
    float4 ds[HALVES][NT];
#pragma unroll
    for (int i = 0; i < HALVES * NT; i++) ds[i / NT][i % NT] = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int k = 0; k < SHAPE::SIXTEENS; k++) {
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
            uint32_t m[4];
            load_tile(m, (place ^ (uint32_t)k << 5) + half * 16 * SHAPE::ROW_BYTES);
#pragma unroll
            for (int n = 0; n < NT; n++) multiply_add(ds[half][n], m, held.b[k][n / 2][n % 2 * 2], held.b[k][n / 2][n % 2 * 2 + 1]);
        }
    }
#pragma unroll
    for (int i = 0; i < HALVES * NT; i++) sums[((i / NT * OUTER_WARPS + warp) * NT + i % NT) * 32 + lane] = ds[i / NT][i % NT];
}

// The warps' sums of a tile, in ascending order, to its piece of dS.
template <typename SHAPE> static __device__ __forceinline__ void outer_write_ds(float4 *piece, const float4 *sums)
{
    enum { OF_WARP = SHAPE::NT * 32 };
    for (int begin = 0; begin < SHAPE::PIECE; begin += FT_LORA_THREADS) {
        int i = begin + threadIdx.x;
        if (i >= SHAPE::PIECE) break;
        const float4 *from = sums + i / OF_WARP * (OUTER_WARPS * OF_WARP) + i % OF_WARP;
        float4 sum = *from;
#pragma unroll
        for (int warp = 1; warp < OUTER_WARPS; warp++) {
            float4 v = from[warp * OF_WARP];
            sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
        }
        piece[i] = sum;
    }
}

// A tile's dS is summed over the warps behind the barrier that the next tile needs anyway, while the warps fill the other sums.
template <typename SHAPE, bool DROPOUT>
static __global__ void __launch_bounds__(FT_LORA_THREADS, 1) outer_kernel(const outer_args args)
{
    enum { NT = SHAPE::NT, STAGE = SHAPE::STAGE, STAGES = SHAPE::STAGES, SIXTEENS = SHAPE::SIXTEENS };
    extern __shared__ __align__(1024) char shared[];
    uint32_t stages = shared_address(shared);
    char *fold_b = shared + STAGE * STAGES;
    float4 *sums = (float4 *)(fold_b + SHAPE::FOLD_B), *other_sums = sums + SHAPE::SUMS / 16;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, stage = 0;
    int begin = work_begin(args.work, blockIdx.x), left = work_begin(args.work, blockIdx.x + 1) - begin;
    float4 *ds_piece = args.ds_pieces + (int64_t)begin * SHAPE::PIECE;
    outer_unit unit;
    unit.place = work_at(args.work, begin);
    unit.stripe = outer_stripe_of(args, unit.place.tile, SHAPE::STRIPE, NT * 8);
    outer_unit ahead = unit;
    int held = -1;
    bool summed = false;
    outer_fold_b<SHAPE> fold_b_held;
    launches_before_wait();
    launches_behind_allow();
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < left) outer_load<SHAPE>(args, stages + s * STAGE, ahead);
        if (work_next(args.work, ahead.place)) ahead.stripe = outer_stripe_of(args, ahead.place.tile, SHAPE::STRIPE, NT * 8);
        copies_commit();
    }
    if (SHAPE::DS) outer_load_fold_b<SHAPE>(args, fold_b, unit.stripe);
    float4 c[SIXTEENS][NT];
#pragma unroll
    for (int i = 0; i < SIXTEENS * NT; i++) c[i / NT][i % NT] = make_float4(0, 0, 0, 0);
    for (; left > 0; left--) {
        uint32_t here = stages + stage * STAGE;
        copies_wait<STAGES - 2>();
        if (DROPOUT) outer_drop<SHAPE>(args, shared + stage * STAGE, unit);
        __syncthreads();  // this unit is there for all, and all have left the stage that is filled next
        if (left >= STAGES) outer_load<SHAPE>(args, stages + (stage > 0 ? stage - 1 : STAGES - 1) * STAGE, ahead);
        if (work_next(args.work, ahead.place)) ahead.stripe = outer_stripe_of(args, ahead.place.tile, SHAPE::STRIPE, NT * 8);
        copies_commit();
        if (SHAPE::DS) {
            bool enters = unit.place.tile != held;
            if (enters && held >= 0) {
                outer_load_fold_b<SHAPE>(args, fold_b, unit.stripe);
                __syncthreads();
            }
            held = unit.place.tile;
            if (enters || !SHAPE::HELD_B) outer_read_fold_b<SHAPE>(fold_b_held, stages + STAGE * STAGES, warp, lane);
            outer_ds<SHAPE>(here, fold_b_held, sums, warp, lane);
            if (summed) outer_write_ds<SHAPE>(ds_piece - SHAPE::PIECE, other_sums);
            ds_piece += SHAPE::PIECE;
            float4 *swap = sums;
            sums = other_sums, other_sums = swap, summed = true;
        }
        outer_multiply<SHAPE>(c, here, warp, lane);
        if (++stage == STAGES) stage = 0;
        int tile = unit.place.tile;
        bool tile_ends = work_next(args.work, unit.place);
        if (!tile_ends && left > 1) continue;
        if (tile_ends) unit.stripe = outer_stripe_of(args, unit.place.tile, SHAPE::STRIPE, NT * 8);
        float4 *piece = args.pieces + ((int64_t)(blockIdx.x + tile) * OUTER_WARPS + warp) * (SIXTEENS * NT * 32) + lane;
#pragma unroll
        for (int i = 0; i < SIXTEENS * NT; i++) {
            piece[i * 32] = c[i / NT][i % NT];
            c[i / NT][i % NT] = make_float4(0, 0, 0, 0);
        }
    }
    if (!SHAPE::DS) return;
    __syncthreads();
    outer_write_ds<SHAPE>(ds_piece - SHAPE::PIECE, other_sums);
}

// Cuts the list of `tiles` tiles for SHAPE and passes over M.
template <typename SHAPE, bool DROPOUT> static ft_status outer_launch(ft_queue *queue, outer_args *args, int64_t tiles)
{
    args->stripe = SHAPE::STRIPE, args->tokens = SHAPE::TOKENS;
    args->work = work_deal(tiles, ft_lora_ceil(args->rows, SHAPE::TOKENS));
    return lora_launch(queue, outer_kernel<SHAPE, DROPOUT>, args->work.blocks, SHAPE::SHARED, *args);
}

// --- Adding up ----------------------------------------------------------------------------------------------------------------

// A stripe has more pieces than there are good reasons to wait for one after another, and few elements: OUTER_SHARES neighbouring
// threads sum a share of the pieces each, for four elements, and each writes one of them.
enum { OUTER_SHARES = 4 };

static inline int64_t outer_threads(const outer_args *args, int nt)
{
    return (int64_t)args->work.tiles * args->stripe * nt * 2 * OUTER_SHARES;
}

// An element of C.
typedef struct {
    const outer_part *part;
    int tile, item, share;    // item: four elements of a lane of 16 columns of M x 8 of S
    int64_t column;           // of the part
    int low;                  // column of S
} outer_element;

static __device__ __forceinline__ outer_element outer_element_of(const outer_args &args, int nt, int64_t thread)
{
    int64_t index = thread / OUTER_SHARES;
    int share = (int)(thread % OUTER_SHARES), size = args.stripe * nt * 2, tile = (int)(index / size), item = (int)(index % size);
    const outer_part &part = outer_part_of(args, tile);
    int local = tile - part.first, lane = item % 32, n = item / 32 % nt, sixteen = item / 32 / nt;
    return {&part, tile, item, share, (int64_t)(local % part.stripes) * args.stripe + sixteen * 16 + lane / 4 + share / 2 * 8,
            part.begin + local / part.stripes * (nt * 8) + n * 8 + lane % 4 * 2 + share % 2};
}

static __device__ __forceinline__ float outer_shares_sum(float v)
{
    v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
    return v + __shfl_xor_sync(0xFFFFFFFFu, v, 2);
}

// *gradient += scale * the element of C; NULL: nowhere. All threads of a warp call it. The old value is on its way before the pieces
// are there: the kernel ahead, outer_kernel, let this one start after its own wait, so whatever wrote the gradient has ended.
static __device__ __forceinline__ void outer_accumulate(const outer_args &args, int nt, const outer_element &at, float *gradient,
                                                        float scale)
{
    float old = gradient != NULL ? __ldcg(gradient) : 0.0f;
    launches_before_wait();
    float4 sum = work_sum(args.work, args.pieces, at.tile, (int64_t)args.stripe * nt * 2, at.item, at.share, OUTER_SHARES);
    float x = outer_shares_sum(sum.x), y = outer_shares_sum(sum.y), z = outer_shares_sum(sum.z), w = outer_shares_sum(sum.w);
    float value = at.share < 2 ? at.share == 0 ? x : y : at.share == 2 ? z : w;
    if (gradient != NULL) *gradient = old + scale * value;
}

#endif
