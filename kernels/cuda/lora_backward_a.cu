// dA_i [r_i, in] += dS_i^T dropout(x) for all parts of a group, from one pass over x (kernels/ops.h).
//
// The kernel is lora_outer.cuh's with dS as its narrow matrix, and stripes half as wide: there is no dS to sum, so what counts are the
// pieces of dA and the reads of dS. Bytes beside x [8192, 4096] with R = 48 (67 MB): pieces (132 + 16) * 48 KB = 7 MB written and read,
// most of it in L2, and dS again for each of 16 stripes, 0.8 MB each, out of L2. An H100 reads x [8192, 28672] at
// 2.7 TB/s, R = 16. R > 64 takes one read of x for each 64.
#include "kernels/cuda/lora_outer.cuh"

typedef struct {
    outer_args outer;
    int nt, n_parts;
    int64_t in;
    int64_t threads;               // of finish_kernel
    int low[FT_LINEAR_PARTS + 1];  // first column of dS of each part of the group
    float *da[FT_LINEAR_PARTS];
} a_args;

static __device__ float *da_at(const a_args &args, int64_t feature, int low)
{
    if (feature >= args.in) return NULL;
    for (int p = 0; p < args.n_parts; p++) {
        if (low < args.low[p] || low >= args.low[p + 1] || args.da[p] == NULL) continue;
        return args.da[p] + (low - args.low[p]) * args.in + feature;
    }
    return NULL;
}

static __global__ void __launch_bounds__(FT_LORA_THREADS) finish_kernel(const a_args args)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= args.threads) return;
    outer_element at = outer_element_of(args.outer, args.nt, i);
    outer_accumulate(args.outer, args.nt, at, da_at(args, at.column, at.low), args.outer.mask.kept);
}

template <int NT> static ft_status launch_width(ft_queue *queue, outer_args *args, int64_t tiles)
{
    using shape = outer_shape<NT, FT_LORA_A_STRIPE, FT_LORA_TILE / FT_LORA_A_STRIPE, false>;
    if (args->mask.threshold > 0) return outer_launch<shape, true>(queue, args, tiles);
    return outer_launch<shape, false>(queue, args, tiles);
}

static ft_status launch(ft_queue *queue, outer_args *args, int nt, int64_t tiles)
{
    switch (nt) {
    case 2: return launch_width<2>(queue, args, tiles);
    case 4: return launch_width<4>(queue, args, tiles);
    case 6: return launch_width<6>(queue, args, tiles);
    default: return launch_width<8>(queue, args, tiles);
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
    outer->parts[0] = {0, 0, (int)ft_lora_ceil(x.cols, FT_LORA_A_STRIPE), 0, x.cols, 0, (int)ft_lora_up(rank, 8)};
    outer->pieces = (float4 *)workspace;
    outer->mask = dropout_mask_of(&group->dropout);
    FT_TRY(launch(queue, outer, args.nt, outer->parts[0].stripes * ft_lora_ceil(rank, width)));
    args.threads = outer_threads(outer, args.nt);
    return lora_launch(queue, finish_kernel, ft_lora_ceil(args.threads, FT_LORA_THREADS), 0, args);
}
