// Closed-form workspaces of the skinny products of LoRA.
#include "kernels/cuda/lora.h"
#include "kernels/cuda/lora_plan.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

int64_t ft_cuda_lora_down_bytes(int64_t rows, int64_t rank)
{
    int64_t width = ft_lora_down_width(rank);
    int64_t tiles = ft_lora_ceil(rank, width) * ft_lora_ceil(rows, FT_LORA_DOWN_TOKENS);
    return (FT_LORA_BLOCKS + tiles) * FT_LORA_DOWN_TOKENS * width * (int64_t)sizeof(float);
}

int64_t ft_cuda_lora_a_bytes(int64_t in, int64_t rank)
{
    int64_t width = ft_lora_a_width(rank);
    int64_t stripes = ft_lora_ceil(rank, width) * ft_lora_ceil(in, FT_LORA_A_STRIPE);
    return (FT_LORA_BLOCKS + stripes) * FT_LORA_A_STRIPE * width * (int64_t)sizeof(float);
}

// A part starts its columns at a multiple of 8 at or before its own first one: 7 more at most. However the rank is shared out, a
// part has no more columns than rank + 7.
static int64_t most_stripes(int64_t out, int64_t rank, int64_t parts)
{
    return (out / FT_LORA_STRIPE + parts) * ft_lora_ceil(rank + 7, FT_LORA_COLUMNS);
}

// Wide stripes are for windows below FT_LORA_COLUMNS, one a part.
int64_t ft_cuda_lora_db_bytes(int64_t out, int64_t rank, int64_t parts)
{
    int64_t width = ft_lora_b_width(rank + 7);
    int64_t narrow = (FT_LORA_BLOCKS + most_stripes(out, rank, parts)) * FT_LORA_STRIPE * width;
    int64_t wide = (FT_LORA_BLOCKS + out / FT_LORA_WIDE_STRIPE + parts) * FT_LORA_WIDE_STRIPE * least(width, FT_LORA_COLUMNS / 2);
    return most(narrow, wide) * (int64_t)sizeof(float);
}

// Room for all rows where the parts' ranks are alike, as they are in practice, up to FT_LORA_PIECES; for FT_LORA_CHUNK_ROWS rows
// whatever they are. Rows that do not fit are taken in chunks.
int64_t ft_cuda_lora_ds_bytes(int64_t rows, int64_t out, int64_t rank, int64_t parts)
{
    int64_t padded = ft_lora_up(rows, FT_LORA_TOKENS);
    int64_t r = ft_lora_ceil(rank, parts);
    int64_t columns = r % 8 == 0 ? r : r + 7;
    int64_t width = ft_lora_b_width(columns);
    int64_t alike = (out / ft_lora_up_stripe(rows, out, width) + parts) * ft_lora_up(columns, width) * padded * (int64_t)sizeof(float);
    int64_t floor = most_stripes(out, rank, parts) * FT_LORA_COLUMNS * least(padded, FT_LORA_CHUNK_ROWS) * (int64_t)sizeof(float);
    return most(least(alike, FT_LORA_PIECES), floor);
}

int64_t ft_cuda_lora_workspace(const ft_op_shape *shape)
{
    if (shape->rank == 0) return 0;
    int64_t parts = shape->parts > 0 ? shape->parts : 1;
    int64_t up = ft_cuda_lora_db_bytes(shape->out, shape->rank, parts) +
                 ft_cuda_lora_ds_bytes(shape->rows, shape->out, shape->rank, parts);
    return most(up, most(ft_cuda_lora_down_bytes(shape->rows, shape->rank), ft_cuda_lora_a_bytes(shape->in, shape->rank)));
}
