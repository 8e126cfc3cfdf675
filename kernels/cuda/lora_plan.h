// How the skinny products of LoRA cut their work: tile sizes, and the bytes of partial sums that follow from them. Pure C, so that
// a plan can be made without CUDA; the kernels include the same numbers.
//
// All of them deal out a list of equal units (outer tile, step along the contraction), outer tile first, to a fixed number of
// blocks in contiguous ranges: every block has the same work whatever the shape, and an outer tile's sum has one piece for each
// block that touched it. A piece lies in slot (block + tile): along the list one of the two grows from piece to piece, so no two
// pieces meet and there are fewer than blocks + tiles slots.
#ifndef FT_KERNELS_CUDA_LORA_PLAN_H
#define FT_KERNELS_CUDA_LORA_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FT_LORA_BLOCKS = 132,         // one for each SM of an H100; a constant, because sums are cut by it
    FT_LORA_THREADS = 256,
    FT_LORA_DOWN_TOKENS = 128,    // lora_down: tile of x, tokens x features
    FT_LORA_DOWN_FEATURES = 128,
    FT_LORA_DOWN_COLUMNS = 128,   // most columns of S in one pass over x
    FT_LORA_TILE = 16384,         // gradients: elements of a tile of dy or x
    FT_LORA_A_STRIPE = 256,       // lora_backward_a: columns of a tile
    FT_LORA_STRIPE = 512,         // lora_up_backward: the same
    FT_LORA_WIDE_STRIPE = 1024,   // where a block's walk is long
    FT_LORA_TOKENS = 32,          // most tokens of a tile of dy
    FT_LORA_COLUMNS = 64,         // most columns of S in one pass over dy or x
    FT_LORA_CHUNK_ROWS = 256,     // least rows of dS pieces there is room for
};

#define FT_LORA_PIECES ((int64_t)64 << 20)  // bytes of dS pieces beyond which rows are taken in chunks

static inline int64_t ft_lora_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t ft_lora_up(int64_t a, int64_t b) { return ft_lora_ceil(a, b) * b; }

// Columns of S one pass takes, for `columns` in all: the widths the kernels are built for.
static inline int64_t ft_lora_down_width(int64_t columns)
{
    if (columns > 64) return FT_LORA_DOWN_COLUMNS;
    return columns <= 16 ? 16 : columns <= 32 ? 32 : columns <= 48 ? 48 : 64;
}

static inline int64_t ft_lora_a_width(int64_t columns)
{
    return columns <= 16 ? 16 : columns <= 32 ? 32 : columns <= 48 ? 48 : FT_LORA_COLUMNS;
}

static inline int64_t ft_lora_b_width(int64_t columns)
{
    return columns <= 16 ? 16 : columns <= 32 ? 32 : FT_LORA_COLUMNS;
}

// Columns of a tile of dy: about as many as tokens a block walks through, the geometric mean of both widths dividing them.
static inline int64_t ft_lora_up_stripe(int64_t rows, int64_t out, int64_t width)
{
    bool wide = width < FT_LORA_COLUMNS && rows * out > (int64_t)FT_LORA_BLOCKS * FT_LORA_STRIPE * FT_LORA_WIDE_STRIPE;
    return wide ? FT_LORA_WIDE_STRIPE : FT_LORA_STRIPE;
}

// Tokens of a tile of dy. Half a tile at the greatest width: fold_b and sums of dS need the room.
#define FT_LORA_UP_TOKENS(width, stripe) ((width) < FT_LORA_COLUMNS ? FT_LORA_TILE / (stripe) : FT_LORA_TILE / 2 / (stripe))

// Workspaces, workspace_lora.c. Of ft_cuda_lora_up_backward: bytes of the dB pieces (an upper bound), and of the dS pieces.
int64_t ft_cuda_lora_down_bytes(int64_t rows, int64_t rank);
int64_t ft_cuda_lora_a_bytes(int64_t in, int64_t rank);
int64_t ft_cuda_lora_db_bytes(int64_t out, int64_t rank, int64_t parts);
int64_t ft_cuda_lora_ds_bytes(int64_t rows, int64_t out, int64_t rank, int64_t parts);

#ifdef __cplusplus
}
#endif

#endif
