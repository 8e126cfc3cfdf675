// dA_i [r_i, in] += dS_i^T dropout(x) for all parts of a group, from one pass over x (kernels/ops.h).
//
// The kernel is lora_outer.cuh's with dS as its narrow matrix. Bytes beside x [8192, 8192] with R = 48 (134 MB): pieces (132 + 16) *
// 96 KB = 15 MB written and read, most of it in L2, and dS again for each of 16 stripes, 0.8 MB each, out of L2. Expected 2.6 TB/s of
// x from 16384 features or rows on, less below: the pieces do not shrink with x. R > 64 takes one read of x for each 64.
#include "kernels/cuda/lora_outer.cuh"

typedef struct {
    outer_args outer;
    int nt, n_parts;
    int64_t in;
    int low[FT_LINEAR_PARTS + 1];  // first column of dS of each part of the group
    float *da[FT_LINEAR_PARTS];
} a_args;

static __device__ void add_da(const a_args &args, int64_t feature, int low, float value)
{
    if (feature >= args.in) return;
    for (int p = 0; p < args.n_parts; p++) {
        if (low < args.low[p] || low >= args.low[p + 1] || args.da[p] == NULL) continue;
        args.da[p][(low - args.low[p]) * args.in + feature] += args.outer.mask.kept * value;
    }
}

static __global__ void __launch_bounds__(FT_LORA_THREADS) finish_kernel(const a_args args)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)args.outer.work.tiles * OUTER_STRIPE * args.nt * 2) return;
    outer_sum sum = outer_sum_of(args.outer, args.nt, i);
    add_da(args, sum.column, sum.low, sum.sum.x);
    add_da(args, sum.column, sum.low + 1, sum.sum.y);
    add_da(args, sum.column + 8, sum.low, sum.sum.z);
    add_da(args, sum.column + 8, sum.low + 1, sum.sum.w);
}

template <int NT> static ft_status launch_width(ft_queue *queue, const outer_args *args)
{
    enum { SHARED = outer_shape<NT, false>::SHARED };
    if (args->mask.threshold > 0) FT_LORA_LAUNCH((outer_kernel<NT, false, true>), args->work.blocks, SHARED, queue, *args);
    else FT_LORA_LAUNCH((outer_kernel<NT, false, false>), args->work.blocks, SHARED, queue, *args);
    return ft_launched("lora_backward_a");
}

static ft_status launch(ft_queue *queue, const outer_args *args, int nt)
{
    switch (nt) {
    case 2: return launch_width<2>(queue, args);
    case 4: return launch_width<4>(queue, args);
    case 6: return launch_width<6>(queue, args);
    default: return launch_width<8>(queue, args);
    }
}

// Whether any part wants its gradient; fills where each one's columns of dS and its gradient are.
static bool describe(a_args *args, const ft_linear_group *group)
{
    bool wanted = false;
    args->n_parts = group->n_parts;
    for (int p = 0; p < group->n_parts; p++) {
        args->low[p + 1] = args->low[p] + (int)group->lora[p].r;
        args->da[p] = group->lora[p].da;
        if (group->lora[p].r > 0 && group->lora[p].da != NULL) wanted = true;
    }
    return wanted;
}

extern "C" ft_status ft_cuda_lora_backward_a(ft_queue *queue, const ft_linear_group *group, ft_view x, ft_view d_low_rank,
                                             void *workspace, int64_t workspace_bytes)
{
    a_args args = {};
    if (group->fold == 0 || !describe(&args, group)) return FT_OK;
    check_view(x);
    check_view(d_low_rank);
    int64_t rank = args.low[group->n_parts], width = ft_lora_a_width(rank);
    FT_ASSERT(workspace_bytes >= ft_cuda_lora_a_bytes(x.cols, rank), "lora_backward_a: workspace");
    args.in = x.cols, args.nt = (int)(width / 8);
    outer_args *outer = &args.outer;
    outer->m = (const bf16 *)x.data, outer->m_ld = x.ld, outer->rows = x.rows;
    outer->s = (const bf16 *)d_low_rank.data, outer->s_ld = d_low_rank.ld;
    outer->n_parts = 1;
    outer->parts[0] = {0, 0, (int)ft_lora_ceil(x.cols, OUTER_STRIPE), 0, x.cols, 0, (int)ft_lora_up(rank, 8)};
    outer->work = work_deal(outer->parts[0].stripes * ft_lora_ceil(rank, width), ft_lora_ceil(x.rows, OUTER_TOKENS));
    outer->pieces = (float4 *)workspace;
    outer->mask = dropout_mask_of(&group->dropout);
    FT_TRY(launch(queue, outer, args.nt));
    int64_t items = (int64_t)outer->work.tiles * OUTER_STRIPE * args.nt * 2;
    finish_kernel<<<(unsigned)ft_lora_ceil(items, FT_LORA_THREADS), FT_LORA_THREADS, 0, ft_stream(queue)>>>(args);
    return ft_launched("lora_backward_a");
}
