// The bf16 copies of a group's adapters that its products read, from the float32 masters: fold_a and fold_b of ft_linear_group
// (kernels/ops.h). One launch writes both whole, zeros included: what was in the buffer (another layer's adapters) does not show.
#include "kernels/cuda/lora.h"
#include "kernels/cuda/lora_mma.cuh"

typedef struct {
    int n_parts;
    int64_t in, out, fold, rank;
    int64_t column[FT_LINEAR_PARTS + 1];   // first out feature of each part
    int64_t low[FT_LINEAR_PARTS + 1];      // first column of S of each part
    const float *a[FT_LINEAR_PARTS], *b[FT_LINEAR_PARTS], *bias[FT_LINEAR_PARTS];
    float scale[FT_LINEAR_PARTS];
    bf16 *fold_a, *fold_b;
    int64_t fold_a_ld, fold_b_ld;
} prepare_args;

static __device__ uint4 round_eight(const float (&v)[8])
{
    union {
        __nv_bfloat162 pair[4];
        uint4 all;
    } packed;
    for (int i = 0; i < 4; i++) packed.pair[i] = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
    return packed.all;
}

static __device__ int part_of(const int64_t *first, int n_parts, int64_t index)
{
    int part = 0;
    while (part + 1 < n_parts && index >= first[part + 1]) part++;
    return part;
}

// Eight values of row `row` of fold_a.
static __device__ void write_a(const prepare_args &args, int64_t row, int64_t feature)
{
    float v[8] = {0};
    if (row < args.rank) {
        int part = part_of(args.low, args.n_parts, row);
        const float4 *a = (const float4 *)(args.a[part] + (row - args.low[part]) * args.in + feature);
        float4 low = a[0], high = a[1];
        v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
        v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    }
    *(uint4 *)(args.fold_a + row * args.fold_a_ld + feature) = round_eight(v);
}

// Eight values of row `row` of fold_b.
static __device__ void write_b(const prepare_args &args, int64_t row, int64_t column)
{
    float v[8];
    int part = part_of(args.column, args.n_parts, row);
    int64_t r = args.low[part + 1] - args.low[part], local = row - args.column[part];
    for (int i = 0; i < 8; i++) {
        int64_t j = column + i - args.low[part];
        v[i] = 0;
        if (j >= 0 && j < r) v[i] = args.scale[part] * args.b[part][local * r + j];
        if (column + i == args.rank && args.bias[part] != NULL) v[i] = args.bias[part][local];
    }
    *(uint4 *)(args.fold_b + row * args.fold_b_ld + column) = round_eight(v);
}

static __global__ void __launch_bounds__(FT_LORA_THREADS) prepare_kernel(prepare_args args)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    int64_t per_a = args.in / 8, per_b = args.fold / 8, of_a = args.fold * per_a;
    if (i < of_a) write_a(args, i / per_a, i % per_a * 8);
    else if (i - of_a < args.out * per_b) write_b(args, (i - of_a) / per_b, (i - of_a) % per_b * 8);
}

static prepare_args arguments(const ft_linear_group *group)
{
    prepare_args args = {};
    args.n_parts = group->n_parts, args.in = group->weight[0].cols, args.fold = group->fold;
    for (int p = 0; p < group->n_parts; p++) {
        const ft_lora *lora = &group->lora[p];
        args.a[p] = lora->a, args.b[p] = lora->b, args.bias[p] = group->bias[p], args.scale[p] = lora->scale;
        args.column[p + 1] = args.column[p] + group->out[p];
        args.low[p + 1] = args.low[p] + lora->r;
    }
    args.out = args.column[group->n_parts];
    args.rank = args.low[group->n_parts];
    args.fold_a = (bf16 *)group->fold_a, args.fold_b = (bf16 *)group->fold_b;
    args.fold_a_ld = group->fold_a_ld, args.fold_b_ld = group->fold_b_ld;
    return args;
}

extern "C" ft_status ft_cuda_lora_prepare(ft_queue *queue, const ft_linear_group *group)
{
    if (group->fold == 0) return FT_OK;
    prepare_args args = arguments(group);
    FT_ASSERT(args.in % 8 == 0 && args.fold == FT_FOLD(args.rank + group_bias(group)), "lora_prepare: fold %lld of rank %lld",
              (long long)args.fold, (long long)args.rank);
    check_aligned(args.fold_a, args.fold_a_ld);
    check_aligned(args.fold_b, args.fold_b_ld);
    int64_t blocks = ft_lora_ceil(args.fold * (args.in / 8) + args.out * (args.fold / 8), FT_LORA_THREADS);
    prepare_kernel<<<(unsigned)blocks, FT_LORA_THREADS, 0, ft_stream(queue)>>>(args);
    return ft_launched("lora_prepare");
}
