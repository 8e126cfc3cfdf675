// The two products every attention kernel is made of, in two instruction sets with the same registers.
//
// A tile in shared memory is columns/64 panels of [rows][64] bf16: 128 bytes a row, 1024-byte aligned, the 16-byte piece p of row r
// at p ^ (r & 7). That is the 128-byte swizzle of wgmma's descriptors, and free of bank conflicts for ldmatrix.
// A warp owns 16 rows of a product; an accumulator is float[n/8][4]: lane l holds of the 8 columns j rows l/4 and l/4 + 8, columns
// 2(l%4) and 2(l%4) + 1 (PTX ISA, "mma.m16n8k16" and "wgmma.m64nNk16", the same for both).
//
//   multiply_tiles  acc = A B^T          A [16 rows of a warp, D], B [N, D], both in shared memory
//   add_product     acc += P B           P [16, K] in registers, B [K, D] in shared memory
//
// With WGMMA both only start: close a batch with products_commit, and read or change registers and tiles only after
// products_wait. All four warps of a warpgroup must come together.
#ifndef FT_KERNELS_CUDA_ATTENTION_PRODUCTS_CUH
#define FT_KERNELS_CUDA_ATTENTION_PRODUCTS_CUH

#include <cstdint>

namespace ft_attn {

constexpr int PANEL = 64;                  // columns
constexpr int ROW_BYTES = PANEL * 2;

// --- warp products (sm_80) -----------------------------------------------------------------------------------------------------
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Address of the 16-byte piece `piece` (of the whole row) of row `row` in a tile of `ROWS` rows.
template <int ROWS> __device__ __forceinline__ uint32_t piece_address(uint32_t tile, int row, int piece)
{
    return tile + (piece >> 3) * (ROWS * ROW_BYTES) + row * ROW_BYTES + (((piece & 7) ^ (row & 7)) << 4);
}

// `row` is the warp's first row of A.
template <int ROWS_A, int N, int D>
__device__ __forceinline__ void multiply_tiles_mma(float (&acc)[N / 8][4], uint32_t a_tile, int row, uint32_t b_tile)
{
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int j = 0; j < N / 8; j++) acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t a[4];
        load_matrices(a, piece_address<ROWS_A>(a_tile, row + (lane & 15), 2 * k + (lane >> 4)));
#pragma unroll
        for (int j = 0; j < N / 16; j++) {
            uint32_t b[4];
            load_matrices(b, piece_address<N>(b_tile, 16 * j + (lane & 7) + ((lane >> 4) << 3), 2 * k + ((lane >> 3) & 1)));
            mma(acc[2 * j], a, b[0], b[1]);
            mma(acc[2 * j + 1], a, b[2], b[3]);
        }
    }
}

template <int K, int D>
__device__ __forceinline__ void add_product_mma(float (&acc)[D / 8][4], const uint32_t (&p)[K / 16][4], uint32_t b_tile)
{
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int k = 0; k < K / 16; k++) {
#pragma unroll
        for (int j = 0; j < D / 16; j++) {
            uint32_t b[4];
            load_matrices_transposed(b, piece_address<K>(b_tile, 16 * k + (lane & 15), 2 * j + (lane >> 4)));
            mma(acc[2 * j], p[k], b[0], b[1]);
            mma(acc[2 * j + 1], p[k], b[2], b[3]);
        }
    }
}

// --- warpgroup products (sm_90a) -----------------------------------------------------------------------------------------------
// Descriptor (PTX ISA, "Matrix descriptor"): address / 16 in bits 0-13, leading byte offset / 16 in 16-29, stride byte offset / 16
// in 32-45, swizzle 1 = 128 bytes in 62-63. Rows along K: 8 rows every 1024 bytes, the leading offset unused. Rows along M or N
// (transposed B): 8 rows of K every 1024 bytes, the next 64 columns one panel away.
constexpr uint32_t DESCRIPTOR_HIGH = (1024 >> 4) | 1u << 30;

__device__ __forceinline__ uint32_t descriptor_low(uint32_t address, uint32_t panel_bytes)
{
    return ((address & 0x3FFFF) >> 4) | (panel_bytes >> 4) << 16;
}

// The descriptor `bytes` further on.
__device__ __forceinline__ uint64_t descriptor(uint32_t low, uint32_t bytes)
{
    return (uint64_t)DESCRIPTOR_HIGH << 32 | (low + (bytes >> 4));
}

// Makes the compiler forget what a value is: descriptors are an addition each, and kept over a loop they would fill the registers.
__device__ __forceinline__ void forget(uint32_t &x) { asm volatile("" : "+r"(x)); }

#define FT_D4(d, j) "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3])
#define FT_D16(d, j) FT_D4(d, j), FT_D4(d, j + 1), FT_D4(d, j + 2), FT_D4(d, j + 3)
#define FT_D32(d, j) FT_D16(d, j), FT_D16(d, j + 4)
#define FT_D64(d, j) FT_D32(d, j), FT_D32(d, j + 8)

#define FT_R16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define FT_R32 FT_R16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define FT_R64 FT_R32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57" \
                      ",%58,%59,%60,%61,%62,%63"

// d[64 x N] (+)= A B^T, one step of 16 along K; `add` 0 overwrites d.
template <int N> __device__ __forceinline__ void wgmma_tiles(float (&d)[N / 8][4], uint64_t a, uint64_t b, int add)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    static_assert(N == 32 || N == 64 || N == 128, "no such product");
    if constexpr (N == 32)
        asm volatile("{ .reg .pred p; setp.ne.b32 p, %18, 0; wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {" FT_R16
                     "}, %16, %17, p, 1, 1, 0, 0; }" : FT_D16(d, 0) : "l"(a), "l"(b), "r"(add));
    else if constexpr (N == 64)
        asm volatile("{ .reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" FT_R32
                     "}, %32, %33, p, 1, 1, 0, 0; }" : FT_D32(d, 0) : "l"(a), "l"(b), "r"(add));
    else
        asm volatile("{ .reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" FT_R64
                     "}, %64, %65, p, 1, 1, 0, 0; }" : FT_D64(d, 0) : "l"(a), "l"(b), "r"(add));
#endif
}

// d[64 x N] += P B from accumulator columns 8 * FIRST on, one step of 16 along K, B transposed (its rows run along N).
template <int N, int FIRST, int TILES>
__device__ __forceinline__ void wgmma_registers(float (&d)[TILES][4], const uint32_t (&a)[4], uint64_t b)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    static_assert(N == 64 || N == 128, "no such product");
    if constexpr (N == 64)
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" FT_R32 "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 1;"
                     : FT_D32(d, FIRST) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
    else
        asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" FT_R64 "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"
                     : FT_D64(d, FIRST) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

// Keeps the compiler from moving reads and writes of registers across this point. It does not know that a started product still
// writes its accumulator, nor that work put between start and wait is meant to run there.
template <int TILES> __device__ __forceinline__ void pin(float (&acc)[TILES][4])
{
#pragma unroll
    for (int j = 0; j < TILES; j++)
        asm volatile("" : "+f"(acc[j][0]), "+f"(acc[j][1]), "+f"(acc[j][2]), "+f"(acc[j][3]) :: "memory");
}

template <int STEPS> __device__ __forceinline__ void pin(uint32_t (&p)[STEPS][4])
{
#pragma unroll
    for (int j = 0; j < STEPS; j++) asm volatile("" : "+r"(p[j][0]), "+r"(p[j][1]), "+r"(p[j][2]), "+r"(p[j][3]) :: "memory");
}

// `row` is the warpgroup's first row of A, a multiple of 64.
template <int ROWS_A, int N, int D>
__device__ __forceinline__ void multiply_tiles_wgmma(float (&acc)[N / 8][4], uint32_t a_tile, int row, uint32_t b_tile)
{
    uint32_t a = descriptor_low(a_tile + row * ROW_BYTES, 16), b = descriptor_low(b_tile, 16);
    forget(a);
    forget(b);
#pragma unroll
    for (int k = 0; k < D / 16; k++)
        wgmma_tiles<N>(acc, descriptor(a, (k / 4) * (ROWS_A * ROW_BYTES) + (k % 4) * 32),
                       descriptor(b, (k / 4) * (N * ROW_BYTES) + (k % 4) * 32), k > 0);
}

template <int K, int D>
__device__ __forceinline__ void add_product_wgmma(float (&acc)[D / 8][4], const uint32_t (&p)[K / 16][4], uint32_t b_tile)
{
    constexpr uint32_t PANEL_BYTES = K * ROW_BYTES, STEP_BYTES = 16 * ROW_BYTES;
    uint32_t b = descriptor_low(b_tile, PANEL_BYTES);
    forget(b);
#pragma unroll
    for (int k = 0; k < K / 16; k++) {
        wgmma_registers<D == 64 ? 64 : 128, 0>(acc, p[k], descriptor(b, k * STEP_BYTES));
        if constexpr (D == 256) wgmma_registers<128, 16>(acc, p[k], descriptor(b, 2 * PANEL_BYTES + k * STEP_BYTES));
    }
}

// --- both ----------------------------------------------------------------------------------------------------------------------
template <bool WGMMA, int ROWS_A, int N, int D>
__device__ __forceinline__ void multiply_tiles(float (&acc)[N / 8][4], uint32_t a_tile, uint32_t b_tile)
{
    int warp = threadIdx.x >> 5;
    if constexpr (WGMMA) multiply_tiles_wgmma<ROWS_A, N, D>(acc, a_tile, (warp >> 2) * 64, b_tile);
    else multiply_tiles_mma<ROWS_A, N, D>(acc, a_tile, warp * 16, b_tile);
}

template <bool WGMMA, int K, int D>
__device__ __forceinline__ void add_product(float (&acc)[D / 8][4], const uint32_t (&p)[K / 16][4], uint32_t b_tile)
{
    if constexpr (WGMMA) add_product_wgmma<K, D>(acc, p, b_tile);
    else add_product_mma<K, D>(acc, p, b_tile);
}

// Before the first product of a batch whose registers were touched.
template <bool WGMMA> __device__ __forceinline__ void products_begin()
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    if constexpr (WGMMA) asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

template <bool WGMMA> __device__ __forceinline__ void products_commit()
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    if constexpr (WGMMA) asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

// Waits until at most PENDING batches are under way.
template <bool WGMMA, int PENDING> __device__ __forceinline__ void products_wait()
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    if constexpr (WGMMA) asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(PENDING) : "memory");
#endif
}

}  // namespace ft_attn

#endif
