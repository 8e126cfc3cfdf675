// What linear_backward needs of dy beside dx: dS = dy fold_b and dB += scale dy^T S, from one read of dy.
//
// The kernel is lora_outer.cuh's, a part's columns of dy against the part's own columns of S and fold_b. Bytes beside dy [8192,
// 28672] with r = 16 (470 MB): dS pieces 56 stripes * 8192 * 16 floats = 29 MB written and read, most of it in L2; dB pieces (132 +
// 56) * 32 KB = 6 MB written and read; S again for each stripe, 56 * 0.26 MB out of L2. Expected 2.6 TB/s of dy from 8192 columns
// on; r = 64 is bound by mma.sync as much as by memory, and parts of r > 64 take one read of dy for each 64.
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
    int64_t ds_blocks;                      // blocks that add dS; the rest add dB
} up_args;

static __device__ void add_db(const up_args &args, const outer_sum &sum, int64_t column, int low, float value)
{
    int part = sum.part->part, j = low - args.low[part];
    if (column >= sum.part->cols || j < 0 || j >= args.r[part] || args.db[part] == NULL) return;
    args.db[part][column * args.r[part] + j] += args.scale[part] * value;
}

// dS of a lane's part of 16 tokens x 8 columns: all stripes of every part that has one of the columns, in ascending order.
static __device__ float4 sum_ds(const up_args &args, int64_t sixteen, int column, int lane)
{
    float4 sum = make_float4(0, 0, 0, 0);
    for (int p = 0; p < args.outer.n_parts; p++) {
        const outer_part &part = args.outer.parts[p];
        if (column < part.begin || column >= part.end) continue;
        int window = (column - part.begin) / (args.nt * 8), eight = (column - part.begin) / 8 % args.nt;
        int64_t tile_size = (int64_t)args.outer.work.steps * 2 * args.nt * 32;
        const float4 *piece = args.outer.ds_pieces + (part.first + window * part.stripes) * tile_size +
                              (sixteen * args.nt + eight) * 32 + lane;
#pragma unroll 4
        for (int stripe = 0; stripe < part.stripes; stripe++, piece += tile_size) {
            float4 v = *piece;
            sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
        }
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
    if (blockIdx.x < args.ds_blocks) {
        int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, eights = args.fold / 8, sixteen = i / 32 / eights;
        int lane = (int)(i % 32), column = (int)(i / 32 % eights) * 8;
        if (sixteen * 16 >= args.rows) return;
        float4 sum = sum_ds(args, sixteen, column, lane);
        write_ds(args, sixteen * 16 + lane / 4, column + lane % 4 * 2, sum.x, sum.y);
        write_ds(args, sixteen * 16 + lane / 4 + 8, column + lane % 4 * 2, sum.z, sum.w);
        return;
    }
    int64_t i = (blockIdx.x - args.ds_blocks) * blockDim.x + threadIdx.x;
    if (i >= (int64_t)args.outer.work.tiles * OUTER_STRIPE * args.nt * 2) return;
    outer_sum sum = outer_sum_of(args.outer, args.nt, i);
    add_db(args, sum, sum.column, sum.low, sum.sum.x);
    add_db(args, sum, sum.column, sum.low + 1, sum.sum.y);
    add_db(args, sum, sum.column + 8, sum.low, sum.sum.z);
    add_db(args, sum, sum.column + 8, sum.low + 1, sum.sum.w);
}

template <int NT> static ft_status launch_width(ft_queue *queue, const outer_args *args)
{
    FT_LORA_LAUNCH((outer_kernel<NT, true, false>), args->work.blocks, (outer_shape<NT, true>::SHARED), queue, *args);
    return ft_launched("lora_up_backward");
}

static ft_status launch(ft_queue *queue, const outer_args *args, int nt)
{
    return nt == 2 ? launch_width<2>(queue, args) : nt == 4 ? launch_width<4>(queue, args) : launch_width<8>(queue, args);
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
        part->first = (int)tiles, part->stripes = (int)ft_lora_ceil(part->cols, OUTER_STRIPE);
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
    if (tiles > 0) {
        args.outer.work = work_deal(tiles, ft_lora_ceil(count, OUTER_TOKENS));
        FT_TRY(launch(queue, &args.outer, args.nt));
    }
    args.ds_blocks = ft_lora_ceil(ft_lora_ceil(count, 16) * (args.fold / 8) * 32, FT_LORA_THREADS);
    int64_t blocks = args.ds_blocks + ft_lora_ceil(tiles * OUTER_STRIPE * args.nt * 2, FT_LORA_THREADS);
    finish_kernel<<<(unsigned)blocks, FT_LORA_THREADS, 0, ft_stream(queue)>>>(args);
    return ft_launched("lora_up_backward");
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
    int64_t width = describe(&args, group), tiles = deal_tiles(&args.outer, width), rows = dy.rows;
    args.nt = (int)(width / 8);
    if (tiles > 0) {
        int64_t db = ft_cuda_lora_db_bytes(dy.cols, args.rank, group->n_parts);
        int64_t ds = ft_cuda_lora_ds_bytes(dy.rows, dy.cols, args.rank, group->n_parts);
        FT_ASSERT(workspace_bytes >= db + ds, "lora_up_backward: workspace");
        check_view(low_rank);
        check_aligned(group->fold_b, group->fold_b_ld);
        args.outer.pieces = (float4 *)workspace, args.outer.ds_pieces = (float4 *)((char *)workspace + db);
        rows = ds / (tiles * width * (int64_t)sizeof(float)) / OUTER_TOKENS * OUTER_TOKENS;
    }
    for (int64_t row = 0; row < dy.rows; row += rows)
        FT_TRY(backward_rows(queue, args, tiles, row, dy.rows - row < rows ? dy.rows - row : rows));
    return FT_OK;
}
