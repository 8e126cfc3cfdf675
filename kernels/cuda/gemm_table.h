// Which cuBLASLt algorithm a product takes: measured ones from a table, else the library's first choice.
//
// The table is a text file that `ft-bench calibrate` writes and a run reads at open (ft_ops_options.gemm_table). It holds for
// one GPU model, SM count and library version; a file of another one is left aside with a note. A run never times anything.
//
// How to calibrate (queue opened by ft_cuda_open):
//   1. the products: ft_cuda_linear_products for a linear group, ft_cuda_head_products for the head, or, after one training
//      step, ft_cuda_gemm_products: everything that cuBLASLt has multiplied on the queue;
//   2. ft_cuda_gemm_measure for each, with keep: the best enters the queue's table and is used from then on;
//   3. ft_cuda_gemm_save.
#ifndef FT_KERNELS_CUDA_GEMM_TABLE_H
#define FT_KERNELS_CUDA_GEMM_TABLE_H

#ifdef __cplusplus
extern "C" {
#endif
#include "device/device.h"

typedef enum { FT_GEMM_BF16, FT_GEMM_FP8_TENSOR, FT_GEMM_FP8_OUTER, FT_GEMM_FP8_BLOCK } ft_cuda_gemm_kind;

// A product without its data (kernels/cuda/gemm.h): D [m, n], row-major. FP8 products have their m rounded up to FT_ROW_ALIGN,
// and a_transposed false, b_transposed true.
typedef struct {
    ft_cuda_gemm_kind kind;
    int64_t m, n, k;
    bool a_transposed, b_transposed;
    bool adds;                // + beta C
    bool d_f32;
    bool fast;                // FP8: sums in the tensor core's own precision
    int32_t alignment;        // largest power of two, at most 128, that divides all addresses and rows in bytes
    int64_t lda, ldb, ldc, ldd;  // elements; a table entry holds for all leading dimensions of its alignment
} ft_cuda_gemm_key;

typedef struct {
    double best_s, first_s;   // one product: best algorithm measured, first choice of the heuristic
    int candidates;           // that ran
    int best;                 // which of them won, 0 = the first choice
    double flops;             // 2 m n k
} ft_cuda_gemm_timing;

enum { FT_CUDA_LINEAR_PRODUCTS = 8, FT_CUDA_HEAD_PRODUCTS = 2 };  // most keys that these give

// What a linear group is, for its list of products.
typedef struct {
    int64_t rows, in;
    int n_parts;
    int64_t out[3];           // FT_LINEAR_PARTS
    int64_t fold;             // FT_FOLD(columns), 0 = neither LoRA nor bias
    bool lora, dropout;       // backward: dS is part of dx; under dropout it is added apart
    bool residual;            // y = residual + ..., in the forward pass
    bool backward;            // dx too
    bool fp8;                 // E4M3 weights, one each; else one stacked BF16 weight
    bool row_scales;          // fp8: kind ROW
    int64_t x_ld, y_ld, dx_ld, dy_ld;  // elements; 0 = cols + fold for x and dy, cols for y and dx
} ft_cuda_linear_case;

// The big products of one call of linear_forward and, with `backward`, one of linear_backward. Returns how many.
int ft_cuda_linear_products(const ft_cuda_linear_case *c, ft_cuda_gemm_key keys[FT_CUDA_LINEAR_PRODUCTS]);
// The head's: logits of a chunk (bf16) and their gradient's product. Returns how many.
int ft_cuda_head_products(int64_t chunk, int64_t hidden, int64_t vocab, bool backward, ft_cuda_gemm_key keys[FT_CUDA_HEAD_PRODUCTS]);
// Products that cuBLASLt has multiplied on the queue so far (the last few hundred kinds of them), in no order. Returns how many, at most
// `capacity`.
int ft_cuda_gemm_products(ft_queue *queue, ft_cuda_gemm_key *keys, int capacity);
// "bf16 8192x4096x14400 nt +c" for people.
void ft_cuda_gemm_describe(const ft_cuda_gemm_key *key, char *text, size_t bytes);

// Device memory that ft_cuda_gemm_measure wants for a key, to rotate operands so that none stays in the L2 cache. Less will do
// down to what one product needs.
int64_t ft_cuda_gemm_scratch(const ft_cuda_gemm_key *key);
// Times up to `candidates` (at most 32, usually 12) algorithms that the heuristic proposes on random data, briefly first and those
// near the best again on the hot chip, a second or two in all, and puts the fastest into the queue's table if `keep`. `scratch` is
// FT_ARENA_ALIGN-aligned device memory. Blocks the host.
// FT_E_INPUT if the scratch holds no operands; FT_E_DEVICE if no candidate ran.
ft_status ft_cuda_gemm_measure(ft_queue *queue, const ft_cuda_gemm_key *key, int candidates, void *scratch, int64_t scratch_bytes,
                               bool keep, ft_cuda_gemm_timing *timing);
// Writes the queue's table (temporary file and rename).
ft_status ft_cuda_gemm_save(ft_queue *queue, const char *path);

#ifdef __cplusplus
}
#endif

#endif
