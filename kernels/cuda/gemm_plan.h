// A product made ready: cuBLASLt's descriptors and the algorithm, kept per key so that a call only sets pointers. And the table
// of measured algorithms that plans are made from.
//
// Row-major D = A B is column-major D^T = B^T A^T: cuBLASLt's A is our B, its B our A, its rows our columns. A row-major operand
// seen column-major is its transpose already, so op is N for an operand stored as the product reads it and T for one stored the
// other way. FP8's "TN only" is then both contractions contiguous: our B [n, k], our A [m, k].
#ifndef FT_KERNELS_CUDA_GEMM_PLAN_H
#define FT_KERNELS_CUDA_GEMM_PLAN_H

#include "kernels/cuda/blaslt.h"
#include "kernels/cuda/gemm_table.h"

typedef struct {
    ft_cuda_gemm_key key;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, c, d;  // cuBLASLt's
    cublasLtMatmulAlgo_t algorithm;
    uint64_t used;            // time of the last use; 0 = empty
} ft_gemm_plan;

// Set-associative: a plan lives in the set its key hashes to and the set's least recently used makes room. Fixed size, so a
// run whose row counts vary takes no more and more memory.
enum { FT_GEMM_PLAN_SETS = 64, FT_GEMM_PLAN_WAYS = 8 };
typedef struct {
    ft_gemm_plan plan[FT_GEMM_PLAN_SETS][FT_GEMM_PLAN_WAYS];
    uint64_t clock;
} ft_gemm_plans;

// A measured algorithm. cublasLt.h: the algorithm may be stored as it is and restored with the same version of the library.
typedef struct {
    ft_cuda_gemm_key key;     // leading dimensions unused
    cublasLtMatmulAlgo_t algorithm;
    double best_s, first_s;
} ft_gemm_entry;

typedef struct {
    char device[160];         // the header's tail: GPU, SMs, library version
    ft_gemm_entry *entry;
    int n, capacity;
} ft_gemm_table;

// --- gemm_plan.c ---
// Descriptors of a key, without an algorithm. On failure nothing is left to free.
ft_status ft_gemm_plan_init(const ft_blaslt *blas, ft_gemm_plan *plan, const ft_cuda_gemm_key *key);
void ft_gemm_plan_free(const ft_blaslt *blas, ft_gemm_plan *plan);
// The heuristic's choices within FT_CUBLASLT_WORKSPACE, best guess first. FT_E_DEVICE if there is none.
ft_status ft_gemm_plan_candidates(const ft_blaslt *blas, const ft_gemm_plan *plan, int wanted,
                                  cublasLtMatmulHeuristicResult_t *found, int *n_found);
// The plan of a key, made at its first use. Valid until the next call.
ft_status ft_gemm_plans_get(ft_gemm_plans *plans, const ft_blaslt *blas, const ft_gemm_table *table, const ft_cuda_gemm_key *key,
                            ft_gemm_plan **plan);
void ft_gemm_plans_clear(ft_gemm_plans *plans, const ft_blaslt *blas);
// Runs it. The scales of an FP8 product are set in the plan before.
ft_status ft_gemm_plan_run(const ft_blaslt *blas, const ft_gemm_plan *plan, const void *a, const void *b, float beta, const void *c,
                           void *d, void *workspace, cudaStream_t stream);
ft_status ft_gemm_plan_set_scales(const ft_blaslt *blas, ft_gemm_plan *plan, const float *a_scales, const float *b_scales);
// Whether two keys are one to the table, and to plans (leading dimensions too).
bool ft_gemm_key_matches(const ft_cuda_gemm_key *x, const ft_cuda_gemm_key *y);
bool ft_gemm_key_equal(const ft_cuda_gemm_key *x, const ft_cuda_gemm_key *y);
// Largest power of two up to 128 that divides both.
int32_t ft_gemm_alignment(uintptr_t addresses, int64_t row_bytes);

// --- gemm_table.c ---
void ft_gemm_table_init(ft_gemm_table *table, const ft_device_info *device, int version);
void ft_gemm_table_free(ft_gemm_table *table);
// A missing file and one of another device leave the table empty, with a note. FT_E_INPUT names the line that is not understood.
ft_status ft_gemm_table_load(ft_gemm_table *table, const char *path);
ft_status ft_gemm_table_save(const ft_gemm_table *table, const char *path);
const ft_gemm_entry *ft_gemm_table_find(const ft_gemm_table *table, const ft_cuda_gemm_key *key);
ft_status ft_gemm_table_put(ft_gemm_table *table, const ft_gemm_entry *entry);  // replaces the key's

#endif
