// What linear_backward needs of dy beside dx: dS = dy fold_b and dB += scale dy^T S, from one read of dy.
//
// The kernel is lora_outer.cuh's, a part's columns of dy against the part's own columns of S and fold_b. Bytes beside dy [8192,
// 28672] with r = 16 (470 MB): dS pieces 28 stripes * 8192 * 16 floats = 15 MB written and read, most of it in L2; dB pieces (132 +
// 28) * 64 KB = 10 MB written and read; S again for each stripe, 28 * 0.26 MB out of L2. An H100 reads dy at 2.4 TB/s then, and
// everything together at 2.8; r = 64 is bound by mma.sync as much as by memory, and parts of r > 64 take one read of dy for each 64.
#include "kernels/cuda/lora_outer.cuh"

typedef struct {
    outer_args outer;
    int nt;
    float *db[FT_LINEAR_PARTS];             // by part of the group
    int low[FT_LINEAR_PARTS];               // first column of S
    int r[FT_LINEAR_PARTS];
    float scale[FT_LINEAR_PARTS];
    int64_t rows, fold, rank;
    bf16 *d_low_rank;
    int64_t d_low_rank_ld;
    int64_t db_blocks;                      // blocks that add dB, with more pieces to a sum than the rest, which add dS
} up_args;

static __device__ float *db_at(const up_args &args, const outer_part &of, int64_t column, int low)
{
    int part = of.part, j = low - args.low[part];
    if (column >= of.cols || j < 0 || j >= args.r[part] || args.db[part] == NULL) return NULL;
    return args.db[part] + column * args.r[part] + j;
}

// dS of a lane's part of 16 tokens x 8 columns: all stripes of every part that has one of the columns, in ascending order.
static __device__ float4 sum_ds(const up_args &args, int64_t sixteen, int column, int lane)
{
    float4 sum = make_float4(0, 0, 0, 0);
    for (int p = 0; p < args.outer.n_parts; p++) {
        const outer_part &part = args.outer.parts[p];
        if (column < part.begin || column >= part.end) continue;
        int window = (column - part.begin) / (args.nt * 8), eight = (column - part.begin) / 8 % args.nt;
        int64_t tile_size = (int64_t)args.outer.work.steps * (args.outer.tokens / 16) * args.nt * 32;
        const float4 *piece = args.outer.ds_pieces + (part.first + window * part.stripes) * tile_size +
                              (sixteen * args.nt + eight) * 32 + lane;
        for (int left = part.stripes; left > 0; left -= PIECES_AT_ONCE, piece += PIECES_AT_ONCE * tile_size)
            add_pieces(sum, piece, tile_size, left);
    }
    return sum;
}

static __device__ void write_ds(const up_args &args, int64_t row, int column, float low, float high)
{
    if (row >= args.rows) return;
    __nv_bfloat162 pair = __floats2bfloat162_rn(column < args.rank ? low : 0.0f, column + 1 < args.rank ? high : 0.0f);
    *(__nv_bfloat162 *)(args.d_low_rank + row * args.d_low_rank_ld + column) = pair;
}

static __global__ void __launch_bounds__(FT_LORA_THREADS) finish_kernel(const up_args args)
{
    if (blockIdx.x >= args.db_blocks) {
        int64_t i = (blockIdx.x - args.db_blocks) * blockDim.x + threadIdx.x, eights = args.fold / 8, sixteen = i / 32 / eights;
        int lane = (int)(i % 32), column = (int)(i / 32 % eights) * 8;
        if (sixteen * 16 >= args.rows) return;
        launches_before_wait();
        float4 sum = sum_ds(args, sixteen, column, lane);
        write_ds(args, sixteen * 16 + lane / 4, column + lane % 4 * 2, sum.x, sum.y);
        write_ds(args, sixteen * 16 + lane / 4 + 8, column + lane % 4 * 2, sum.z, sum.w);
        return;
    }
    outer_element at = outer_element_of(args.outer, args.nt, (int64_t)blockIdx.x * blockDim.x + threadIdx.x);
    outer_accumulate(args.outer, args.nt, at, db_at(args, *at.part, at.column, at.low), args.scale[at.part->part]);
}

template <int NT, int STRIPE> static ft_status launch_shape(ft_queue *queue, outer_args *args, int64_t tiles)
{
    return outer_launch<outer_shape<NT, STRIPE, FT_LORA_UP_TOKENS(NT * 8, STRIPE), true>, false>(queue, args, tiles);
}

static ft_status launch(ft_queue *queue, outer_args *args, int nt, int64_t tiles)
{
    bool wide = args->stripe == FT_LORA_WIDE_STRIPE;
    switch (nt) {
    case 2: return wide ? launch_shape<2, FT_LORA_WIDE_STRIPE>(queue, args, tiles) : launch_shape<2, FT_LORA_STRIPE>(queue, args, tiles);
    case 4: return wide ? launch_shape<4, FT_LORA_WIDE_STRIPE>(queue, args, tiles) : launch_shape<4, FT_LORA_STRIPE>(queue, args, tiles);
    default: return launch_shape<8, FT_LORA_STRIPE>(queue, args, tiles);
    }
}

// The parts with LoRA: their columns of dy and of S, widened to multiples of 8. Returns the window's columns of S.
static int64_t describe(up_args *args, const ft_linear_group *group)
{
    int64_t column = 0, low = 0, widest = 0;
    for (int p = 0; p < group->n_parts; column += group->out[p], low += group->lora[p].r, p++) {
        const ft_lora *lora = &group->lora[p];
        args->db[p] = lora->db, args->low[p] = (int)low, args->r[p] = (int)lora->r, args->scale[p] = lora->scale;
        if (lora->r == 0) continue;
        FT_ASSERT(group->out[p] % 8 == 0, "lora_up_backward: %lld features", (long long)group->out[p]);
        outer_part *part = &args->outer.parts[args->outer.n_parts++];
        part->part = p, part->column = column, part->cols = group->out[p];
        part->begin = (int)(low / 8 * 8), part->end = (int)ft_lora_up(low + lora->r, 8);
        if (part->end - part->begin > widest) widest = part->end - part->begin;
    }
    args->rank = low;
    return ft_lora_b_width(widest);
}

static int64_t deal_tiles(outer_args *args, int64_t width)
{
    int64_t tiles = 0;
    for (int p = 0; p < args->n_parts; p++) {
        outer_part *part = &args->parts[p];
        part->first = (int)tiles, part->stripes = (int)ft_lora_ceil(part->cols, args->stripe);
        tiles += part->stripes * ft_lora_ceil(part->end - part->begin, width);
    }
    return tiles;
}

// Rows [row, row + count): the pass over dy, then the sums. Without LoRA only the zeros of dS.
static ft_status backward_rows(ft_queue *queue, up_args args, int64_t tiles, int64_t row, int64_t count)
{
    args.rows = args.outer.rows = count;
    args.outer.m += row * args.outer.m_ld, args.outer.s += row * args.outer.s_ld;
    args.d_low_rank += row * args.d_low_rank_ld;
    if (tiles > 0) FT_TRY(launch(queue, &args.outer, args.nt, tiles));
    static_assert(FT_LORA_STRIPE * 4 * OUTER_SHARES % FT_LORA_THREADS == 0, "blocks of dB are full");
    args.db_blocks = tiles > 0 ? outer_threads(&args.outer, args.nt) / FT_LORA_THREADS : 0;
    int64_t ds_blocks = ft_lora_ceil(ft_lora_ceil(count, 16) * (args.fold / 8) * 32, FT_LORA_THREADS);
    return lora_launch(queue, finish_kernel, args.db_blocks + ds_blocks, 0, args);
}

static void set_views(up_args *args, const ft_linear_group *group, ft_view dy, ft_view low_rank, ft_view d_low_rank)
{
    args->outer.m = (const bf16 *)dy.data, args->outer.m_ld = dy.ld;
    args->outer.s = (const bf16 *)low_rank.data, args->outer.s_ld = low_rank.ld;
    args->outer.fold_b = (const bf16 *)group->fold_b, args->outer.fold_b_ld = group->fold_b_ld;
    args->fold = group->fold;
    args->d_low_rank = (bf16 *)d_low_rank.data, args->d_low_rank_ld = d_low_rank.ld;
}

extern "C" ft_status ft_cuda_lora_up_backward(ft_queue *queue, const ft_linear_group *group, ft_view dy, ft_view low_rank,
                                              ft_view d_low_rank, void *workspace, int64_t workspace_bytes)
{
    if (group->fold == 0) return FT_OK;
    check_view(dy);
    up_args args = {};
    set_views(&args, group, dy, low_rank, d_low_rank);
    int64_t width = describe(&args, group), rows = dy.rows;
    args.nt = (int)(width / 8), args.outer.stripe = (int)ft_lora_up_stripe(dy.rows, dy.cols, width);
    int64_t tiles = deal_tiles(&args.outer, width);
    if (tiles > 0) {
        int64_t db = ft_cuda_lora_db_bytes(dy.cols, args.rank, group->n_parts);
        int64_t ds = ft_cuda_lora_ds_bytes(dy.rows, dy.cols, args.rank, group->n_parts);
        FT_ASSERT(workspace_bytes >= db + ds, "lora_up_backward: workspace");
        check_view(low_rank);
        check_aligned(group->fold_b, group->fold_b_ld);
        args.outer.pieces = (float4 *)workspace, args.outer.ds_pieces = (float4 *)((char *)workspace + db);
        rows = ds / (tiles * width * (int64_t)sizeof(float)) / FT_LORA_TOKENS * FT_LORA_TOKENS;
    }
    for (int64_t row = 0; row < dy.rows; row += rows)
        FT_TRY(backward_rows(queue, args, tiles, row, dy.rows - row < rows ? dy.rows - row : rows));
    return FT_OK;
}
