// S = dropout(x) A^T of all parts of a group from one pass over x, and the bias column: ft_cuda_lora_down (kernels/cuda/lora.h).
//
// A block takes tiles of 128 tokens x 128 features of x with the same features of fold_a (bf16, R rows) through shared memory,
// three ahead of the tensor cores, and keeps S [128, R] in registers. Work is dealt out by units of one tile (lora_plan.h); the
// second kernel adds the pieces of each token tile and rounds once.
//
// Traffic beside x, [8192, 8192], R = 48: fold_a again for each 128 tokens, 48/128 of x's bytes out of L2; pieces 196 * 24 KB
// written and read, 7 % of x's bytes, mostly L2. Bound by the read of x: an H100 does it at 2.8 TB/s for [8192, 28672], R = 16, less
// where x is small: starting, filling the pipeline and adding up cost some 8 us beside the 22 us of [8192, 4096]. Dropout costs 20
// wide multiplications for four elements, nearly as long as the read.
#include "kernels/cuda/lora.h"
#include "kernels/cuda/lora_mma.cuh"

enum {
    TOKENS = FT_LORA_DOWN_TOKENS,
    FEATURES = FT_LORA_DOWN_FEATURES,
    ROW_BYTES = FEATURES * 2,
    ROW_CHUNKS = ROW_BYTES / 16,
    WARPS = FT_LORA_THREADS / 32,
};

static_assert(TOKENS == 16 * WARPS, "a warp has 16 tokens");

typedef struct {
    const bf16 *x;
    int64_t rows, in, x_ld;
    const bf16 *fold_a;
    int64_t fold, fold_a_ld;
    int token_tiles;
    work_list work;           // tiles (window of columns of S, tokens), steps of FEATURES
    float4 *pieces;           // [slot][warp][8 columns][lane]
    dropout_mask mask;
} down_args;

// NT: columns of S in a pass, in eights.
template <int NT> struct down_shape {
    enum {
        X_BYTES = TOKENS * ROW_BYTES,
        STAGE = X_BYTES + NT * 8 * ROW_BYTES,
        STAGES = NT > 8 ? 3 : 4,
    };
};

// Chunks of a row are permuted by its number: eight rows of one chunk, an ldmatrix, lie in all banks.
static __device__ __forceinline__ char *chunk_at(char *tile, int row, int chunk)
{
    return tile + row * ROW_BYTES + ((chunk ^ (row & 7)) << 4);
}

// A unit's tile of x and of fold_a.
typedef struct {
    work_place place;
    int64_t token;
    int low;                  // first column of S
} down_unit;

static __device__ __forceinline__ void enter_tile(const down_args &args, down_unit &unit, int columns)
{
    int window = unit.place.tile / args.token_tiles;
    unit.token = (int64_t)(unit.place.tile - window * args.token_tiles) * TOKENS;
    unit.low = window * columns;
}

// A thread copies one chunk of each row i * ROWS_AT_ONCE + thread / ROW_CHUNKS, here and in drop_unit; the row's number modulo 8, and
// so the place of the chunk, is the same in all.
enum { ROWS_AT_ONCE = FT_LORA_THREADS / ROW_CHUNKS };
static_assert(ROWS_AT_ONCE % 8 == 0, "chunks keep their place");

template <int NT> static __device__ __forceinline__ void load_unit(const down_args &args, char *stage, const down_unit &unit)
{
    int chunk = threadIdx.x % ROW_CHUNKS, first = threadIdx.x / ROW_CHUNKS;
    int64_t feature = (int64_t)unit.place.step * FEATURES + chunk * 8, tokens = args.rows - unit.token, lows = args.fold - unit.low;
    int rows = feature >= args.in ? 0 : tokens < TOKENS ? (int)tokens : TOKENS;
    int a_rows = feature >= args.in ? 0 : lows < NT * 8 ? (int)lows : NT * 8;
    const bf16 *x = args.x + (unit.token + first) * args.x_ld + feature;
    const bf16 *a = args.fold_a + (unit.low + first) * args.fold_a_ld + feature;
    uint32_t dst = shared_address(chunk_at(stage, first, chunk));
#pragma unroll
    for (int row = 0; row < TOKENS; row += ROWS_AT_ONCE, x += ROWS_AT_ONCE * args.x_ld)
        copy16(dst + row * ROW_BYTES, x, first + row < rows);
    dst += down_shape<NT>::X_BYTES;
#pragma unroll
    for (int row = 0; row < NT * 8; row += ROWS_AT_ONCE, a += ROWS_AT_ONCE * args.fold_a_ld)
        copy16(dst + row * ROW_BYTES, a, first + row < a_rows);
}

// Drops what this thread itself has copied, so that only its own copies need have arrived.
static __device__ __forceinline__ void drop_unit(const down_args &args, char *stage, const down_unit &unit)
{
    int chunk = threadIdx.x % ROW_CHUNKS, first = threadIdx.x / ROW_CHUNKS;
    uint32_t feature = (uint32_t)unit.place.step * FEATURES + chunk * 8;
    char *at = chunk_at(stage, first, chunk);
#pragma unroll 4  // masks of several rows at once: a mask is a chain of multiplications
    for (int row = 0; row < TOKENS; row += ROWS_AT_ONCE) {
        uint4 *value = (uint4 *)(at + row * ROW_BYTES);
        *value = drop_eight(*value, args.mask, (uint32_t)unit.token + first + row, feature);
    }
}

// The warp's 16 tokens: sum += x A^T over the tile's features.
template <int NT> static __device__ __forceinline__ void multiply_unit(float4 (&sum)[NT], char *stage, int warp, int lane)
{
    char *a_tile = stage + down_shape<NT>::X_BYTES;
#pragma unroll
    for (int k = 0; k < FEATURES / 16; k++) {
        uint32_t x[4];
        load_tile(x, chunk_at(stage, warp * 16 + low_row(lane), 2 * k + low_chunk(lane)));
#pragma unroll
        for (int n = 0; n < NT; n += 2) {
            uint32_t a[4];
            load_tile(a, chunk_at(a_tile, n * 8 + high_row(lane), 2 * k + high_chunk(lane)));
            multiply_add(sum[n], x, a[0], a[1]);
            multiply_add(sum[n + 1], x, a[2], a[3]);
        }
    }
}

template <int NT, bool DROPOUT> static __global__ void __launch_bounds__(FT_LORA_THREADS, 1) down_kernel(const down_args args)
{
    enum { STAGE = down_shape<NT>::STAGE, STAGES = down_shape<NT>::STAGES };
    extern __shared__ __align__(128) char shared[];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int left = work_begin(args.work, blockIdx.x + 1) - work_begin(args.work, blockIdx.x), stage = 0;
    down_unit unit = {work_at(args.work, work_begin(args.work, blockIdx.x))};
    enter_tile(args, unit, NT * 8);
    down_unit ahead = unit;
    launches_before_wait();
    launches_behind_allow();
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < left) load_unit<NT>(args, shared + s * STAGE, ahead);
        if (work_next(args.work, ahead.place)) enter_tile(args, ahead, NT * 8);
        copies_commit();
    }
    float4 sum[NT];
    for (int n = 0; n < NT; n++) sum[n] = make_float4(0, 0, 0, 0);
    for (; left > 0; left--) {
        copies_wait<STAGES - 2>();
        if (DROPOUT) drop_unit(args, shared + stage * STAGE, unit);
        __syncthreads();  // this unit is there for all, and all have left the stage that is filled next
        if (left >= STAGES) load_unit<NT>(args, shared + (stage > 0 ? stage - 1 : STAGES - 1) * STAGE, ahead);
        if (work_next(args.work, ahead.place)) enter_tile(args, ahead, NT * 8);
        copies_commit();
        multiply_unit<NT>(sum, shared + stage * STAGE, warp, lane);
        if (++stage == STAGES) stage = 0;
        int64_t slot = blockIdx.x + unit.place.tile;
        bool tile_ends = work_next(args.work, unit.place);
        if (!tile_ends && left > 1) continue;
        if (tile_ends) enter_tile(args, unit, NT * 8);
#pragma unroll
        for (int n = 0; n < NT; n++) {
            args.pieces[((slot * WARPS + warp) * NT + n) * 32 + lane] = sum[n];
            sum[n] = make_float4(0, 0, 0, 0);
        }
    }
}

typedef struct {
    work_list work;
    const float4 *pieces;
    int nt, token_tiles;
    int64_t rows, fold, rank;
    bool bias;
    float kept;
    bf16 *tail, *low_rank;    // low_rank NULL = none
    int64_t tail_ld, low_rank_ld;
} finish_args;

static __device__ __forceinline__ float finished(const finish_args &args, int64_t column, float sum)
{
    if (column < args.rank) return sum * args.kept;
    return column == args.rank && args.bias ? 1.0f : 0.0f;
}

static __device__ void write_pair(const finish_args &args, int64_t row, int64_t column, float low, float high)
{
    if (row >= args.rows) return;
    __nv_bfloat162 pair = __floats2bfloat162_rn(finished(args, column, low), finished(args, column + 1, high));
    *(__nv_bfloat162 *)(args.tail + row * args.tail_ld + column) = pair;
    if (args.low_rank != NULL) *(__nv_bfloat162 *)(args.low_rank + row * args.low_rank_ld + column) = pair;
}

// One thread for each lane's part of 16 tokens x 8 columns.
static __global__ void __launch_bounds__(FT_LORA_THREADS) finish_kernel(const finish_args args)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, eights = args.fold / 8;
    int lane = (int)(i % 32);
    int64_t eight = i / 32 % eights, sixteen = i / 32 / eights;
    if (sixteen * 16 >= args.rows) return;
    float4 sum = make_float4(0, 0, 0, 0);
    launches_before_wait();
    if (eight * 8 < args.rank) {
        int tile = (int)(eight / args.nt) * args.token_tiles + (int)(sixteen / WARPS);
        int64_t item = ((sixteen % WARPS) * args.nt + eight % args.nt) * 32 + lane;
        sum = work_sum(args.work, args.pieces, tile, (int64_t)WARPS * args.nt * 32, item, 0, 1);
    }
    int64_t row = sixteen * 16 + lane / 4, column = eight * 8 + lane % 4 * 2;
    write_pair(args, row, column, sum.x, sum.y);
    write_pair(args, row + 8, column, sum.z, sum.w);
}

template <int NT> static ft_status launch_width(ft_queue *queue, const down_args *args)
{
    size_t shared = (size_t)down_shape<NT>::STAGE * down_shape<NT>::STAGES;
    if (args->mask.threshold > 0) return lora_launch(queue, down_kernel<NT, true>, args->work.blocks, shared, *args);
    return lora_launch(queue, down_kernel<NT, false>, args->work.blocks, shared, *args);
}

static ft_status launch(ft_queue *queue, const down_args *args, int64_t width)
{
    switch (width) {
    case 16: return launch_width<2>(queue, args);
    case 32: return launch_width<4>(queue, args);
    case 48: return launch_width<6>(queue, args);
    case 64: return launch_width<8>(queue, args);
    default: return launch_width<16>(queue, args);
    }
}

// The pieces of S, in `pieces`; `finish` learns how they lie.
static ft_status multiply(ft_queue *queue, const ft_linear_group *group, ft_view x, finish_args *finish, float4 *pieces)
{
    int64_t width = ft_lora_down_width(finish->rank), token_tiles = ft_lora_ceil(x.rows, TOKENS);
    down_args args = {};
    args.x = (const bf16 *)x.data, args.rows = x.rows, args.in = x.cols, args.x_ld = x.ld;
    args.fold_a = (const bf16 *)group->fold_a, args.fold = group->fold, args.fold_a_ld = group->fold_a_ld;
    args.token_tiles = (int)token_tiles;
    args.work = work_deal(ft_lora_ceil(finish->rank, width) * token_tiles, ft_lora_ceil(x.cols, FEATURES));
    args.pieces = pieces;
    args.mask = dropout_mask_of(&group->dropout);
    finish->work = args.work, finish->pieces = pieces;
    finish->nt = (int)(width / 8), finish->token_tiles = args.token_tiles, finish->kept = args.mask.kept;
    check_aligned(group->fold_a, group->fold_a_ld);
    return launch(queue, &args, width);
}

extern "C" ft_status ft_cuda_lora_down(ft_queue *queue, const ft_linear_group *group, ft_view x, ft_view low_rank, void *workspace,
                                       int64_t workspace_bytes)
{
    if (group->fold == 0) return FT_OK;
    check_view(x);
    FT_ASSERT(x.ld >= x.cols + group->fold, "lora_down: x has no tail");
    finish_args finish = {};
    finish.rows = x.rows, finish.fold = group->fold, finish.rank = group_rank(group), finish.bias = group_bias(group);
    finish.tail = (bf16 *)x.data + x.cols, finish.tail_ld = x.ld;
    finish.low_rank = (bf16 *)low_rank.data, finish.low_rank_ld = low_rank.ld;
    if (finish.rank > 0) {
        FT_ASSERT(workspace_bytes >= ft_cuda_lora_down_bytes(x.rows, finish.rank), "lora_down: workspace");
        FT_TRY(multiply(queue, group, x, &finish, (float4 *)workspace));
    }
    int64_t threads = ft_lora_ceil(x.rows, 16) * (group->fold / 8) * 32;
    return lora_launch(queue, finish_kernel, ft_lora_ceil(threads, FT_LORA_THREADS), 0, finish);
}
