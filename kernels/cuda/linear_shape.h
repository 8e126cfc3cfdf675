// What the two directions of a linear group share: its sums, the checks, and how its workspace is cut.
#ifndef FT_KERNELS_CUDA_LINEAR_SHAPE_H
#define FT_KERNELS_CUDA_LINEAR_SHAPE_H

#include "common/memory.h"
#include "kernels/cuda/lora.h"
#include "kernels/cuda/workspace.h"

static inline int64_t ft_padded_rows(int64_t rows)
{
    return (rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
}

static inline ft_op_shape ft_group_shape(const ft_linear_group *group, int64_t rows, int64_t in)
{
    ft_op_shape shape = {.rows = rows, .in = in, .parts = group->n_parts, .dropout = group->dropout.p > 0};
    for (int p = 0; p < group->n_parts; p++) {
        shape.out += group->out[p];
        shape.rank += group->lora[p].r;
    }
    return shape;
}

// x [rows, in] and y [rows, out] of the group's products; both bf16.
static inline void ft_group_check(const ft_linear_group *group, const ft_op_shape *shape, ft_view y, ft_view x)
{
    int64_t rows = 0;
    for (int w = 0; w < group->n_weights; w++) {
        const ft_weight *weight = &group->weight[w];
        FT_ASSERT(weight->cols == shape->in && weight->repr == group->weight[0].repr && weight->repr != FT_REPR_F32);
        FT_ASSERT(weight->repr != FT_REPR_E4M3 || (weight->rows % FT_TILE == 0 && weight->cols % FT_TILE == 0));
        rows += weight->rows;
    }
    FT_ASSERT(rows == shape->out && y.cols == shape->out && x.cols == shape->in && y.rows == shape->rows && x.rows == shape->rows,
              "%lld weight rows, %lld out features, %lld columns", (long long)rows, (long long)shape->out, (long long)y.cols);
    FT_ASSERT(y.repr == FT_REPR_BF16 && x.repr == FT_REPR_BF16);
    FT_ASSERT(group->weight[0].repr != FT_REPR_BF16 || group->n_weights == 1, "bf16 weights are one stacked matrix");
}

// cuBLASLt's part, LoRA's, and an operand [rows, cols] quantized here where it has no twin.
typedef struct {
    void *gemm, *lora;
    int64_t lora_bytes;
    uint8_t *codes;
    float *scales;
} ft_linear_space;

static inline int64_t ft_linear_codes_bytes(int64_t rows, int64_t cols) { return ft_padded_rows(rows) * cols; }
static inline int64_t ft_linear_scales_bytes(int64_t rows, int64_t cols)
{
    return (cols + FT_TILE - 1) / FT_TILE * ft_padded_rows(rows) * (int64_t)sizeof(float);
}

static inline ft_linear_space ft_linear_carve(const ft_op_shape *shape, int64_t cols, void *workspace, int64_t workspace_bytes)
{
    ft_arena arena;
    ft_arena_init(&arena, "linear", workspace, (size_t)workspace_bytes);
    ft_linear_space space = {.lora_bytes = ft_cuda_lora_workspace(shape)};
    space.gemm = ft_arena_take(&arena, FT_CUBLASLT_WORKSPACE);
    space.lora = ft_arena_take(&arena, (size_t)space.lora_bytes);
    space.codes = ft_arena_take(&arena, (size_t)ft_linear_codes_bytes(shape->rows, cols));
    space.scales = ft_arena_take(&arena, (size_t)ft_linear_scales_bytes(shape->rows, cols));
    return space;
}

#endif
