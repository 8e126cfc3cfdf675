// The end of a tile of the fold product: C is added to the sums, which are rounded and written to D.
#ifndef FT_KERNELS_CUDA_GEMM_FOLD_END_CUH
#define FT_KERNELS_CUDA_GEMM_FOLD_END_CUH

#include "kernels/cuda/gemm_fold_plan.cuh"

namespace ft_fold {

// A thread's pieces of 8 columns: of its rows (half 0 and 1, 8 rows apart) those at column 8 (4 t + lane % 4). The four lanes of
// a row so read and write 64 bytes in a row.
struct corner {
    int64_t row, column;

    __device__ __forceinline__ int64_t row_of(int half) const { return row + 8 * half; }
    __device__ __forceinline__ int64_t column_of(int t) const { return column + 32 * t; }
};

__device__ __forceinline__ corner corner_of(int row, int column, int wave)
{
    return {row + wave * WAVE + thread_row(), column + (threadIdx.x & 3) * 8};
}

__device__ __forceinline__ void read_c(uint4 (&piece)[2][4], const arguments &p, corner at)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        bool inside = at.row_of(half) < p.m;
        const __nv_bfloat16 *from = p.c + at.row_of(half) * p.c_ld;
#pragma unroll
        for (int t = 0; t < 4; t++)
            piece[half][t] = inside ? *(const uint4 *)(from + at.column_of(t)) : make_uint4(0, 0, 0, 0);
    }
}

__device__ __forceinline__ void add_c(accumulator &main, const uint4 (&piece)[2][4])
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int t = 0; t < 4; t++) {
            uint32_t word[4] = {piece[half][t].x, piece[half][t].y, piece[half][t].z, piece[half][t].w};
            transpose_quad(word);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                main[4 * t + j][2 * half] += __uint_as_float(word[j] << 16);
                main[4 * t + j][2 * half + 1] += __uint_as_float(word[j] & 0xFFFF0000);
            }
        }
    }
}

__device__ __forceinline__ uint32_t round_pair(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *(const uint32_t *)&pair;
}

__device__ __forceinline__ void write_d(const accumulator &main, const arguments &p, corner at)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        bool inside = at.row_of(half) < p.m;
        __nv_bfloat16 *to = p.d + at.row_of(half) * p.d_ld;
#pragma unroll
        for (int t = 0; t < 4; t++) {
            uint32_t word[4];
#pragma unroll
            for (int j = 0; j < 4; j++) word[j] = round_pair(main[4 * t + j][2 * half], main[4 * t + j][2 * half + 1]);
            transpose_quad(word);
            if (inside) *(uint4 *)(to + at.column_of(t)) = make_uint4(word[0], word[1], word[2], word[3]);
        }
    }
}

// All of C is on its way before any of it is waited for. A thread writes what it read, so D may lie where C does.
template <int WAVES> __device__ __forceinline__ void finish(const arguments &p, accumulator (&main)[WAVES], int row, int column)
{
    if (p.c != NULL) {
        uint4 piece[WAVES][2][4];
#pragma unroll
        for (int wave = 0; wave < WAVES; wave++) read_c(piece[wave], p, corner_of(row, column, wave));
#pragma unroll
        for (int wave = 0; wave < WAVES; wave++) add_c(main[wave], piece[wave]);
    }
#pragma unroll
    for (int wave = 0; wave < WAVES; wave++) write_d(main[wave], p, corner_of(row, column, wave));
}

}  // namespace ft_fold

#endif
