// Parts of the skinny LoRA kernels: 16-byte asynchronous copies, bf16 tensor core tiles, the dropout mask, and the dealing out of
// work (lora_plan.h). Instructions and fragment layouts: PTX ISA, "cp.async", "ldmatrix", "mma.m16n8k16".
#ifndef FT_KERNELS_CUDA_LORA_MMA_CUH
#define FT_KERNELS_CUDA_LORA_MMA_CUH

#include <cuda_bf16.h>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/lora_plan.h"

typedef __nv_bfloat16 bf16;

// --- Copies -----------------------------------------------------------------------------------------------------------------

static __device__ __forceinline__ uint32_t shared_address(const void *pointer)
{
    return (uint32_t)__cvta_generic_to_shared(pointer);
}

// 16 bytes to shared memory; zeros where not `inside`: nothing is read then.
static __device__ __forceinline__ void copy16(uint32_t dst, const void *src, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(dst), "l"(src), "r"(inside ? 16 : 0) : "memory");
}

static __device__ __forceinline__ void copy16(void *dst, const void *src, bool inside) { copy16(shared_address(dst), src, inside); }

static __device__ __forceinline__ void copies_commit(void) { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

// Until all but the last N groups of this thread's copies have arrived.
template <int N> static __device__ __forceinline__ void copies_wait(void)
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
}

// --- Tensor core tiles --------------------------------------------------------------------------------------------------------
// ldmatrix takes the address of row (lane % 8) of 8x8 matrix (lane / 8) and gives this lane elements (lane / 4, 2 (lane % 4) + 0, 1)
// of each, or of each one's transpose. The sixteen rows a load names are (lane % 8) + 8 * one of the two bits of lane / 8; the
// other bit selects the 16-byte chunk.

static __device__ __forceinline__ int low_row(int lane) { return (lane & 7) + (lane & 8); }           // rows by bit 3
static __device__ __forceinline__ int low_chunk(int lane) { return lane >> 4; }                       // chunk by bit 4
static __device__ __forceinline__ int high_row(int lane) { return (lane & 7) + ((lane >> 4) << 3); }  // rows by bit 4
static __device__ __forceinline__ int high_chunk(int lane) { return (lane >> 3) & 1; }                // chunk by bit 3

static __device__ __forceinline__ void load_tile(uint32_t (&r)[4], uint32_t row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

static __device__ __forceinline__ void load_tile(uint32_t (&r)[4], const void *row) { load_tile(r, shared_address(row)); }

static __device__ __forceinline__ void load_tile_transposed(uint32_t (&r)[4], uint32_t row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

static __device__ __forceinline__ void load_tile_transposed(uint32_t (&r)[4], const void *row) { load_tile_transposed(r, shared_address(row)); }

// c [16, 8] += a [16, 16] b [16, 8]. Lane: c.x, c.y at row lane / 4, columns 2 (lane % 4) + 0, 1; c.z, c.w eight rows below.
static __device__ __forceinline__ void multiply_add(float4 &c, const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(c.x), "+f"(c.y), "+f"(c.z), "+f"(c.w)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// --- Dropout ------------------------------------------------------------------------------------------------------------------

// What a mask needs of ft_dropout. The test uniform(word) >= p, with uniform = (word >> 8) 2^-24, is word >= threshold exactly: p
// 2^24 has no rounding.
typedef struct {
    uint32_t step, layer_group, token_base;
    uint32_t key0, key1;
    uint32_t threshold;
    float kept;               // 1 / (1-p)
} dropout_mask;

static inline dropout_mask dropout_mask_of(const ft_dropout *d)
{
    dropout_mask mask = {d->step, d->layer << 8 | d->group, d->token_base, (uint32_t)d->seed,
                         (uint32_t)(d->seed >> 32) ^ (uint32_t)FT_RNG_DROPOUT << 24, 0, 1.0f};
    if (d->p <= 0) return mask;
    float scaled = d->p * 0x1p24f;
    uint32_t whole = (uint32_t)scaled;
    mask.threshold = (whole + ((float)whole < scaled)) << 8;
    mask.kept = 1.0f / (1.0f - d->p);
    return mask;
}

// Philox4x32-10 as in common/rng.h: the four words of features 4 * four .. + 3 of a token.
static __device__ __forceinline__ uint4 dropout_words(const dropout_mask &mask, uint32_t token, uint32_t four)
{
    uint32_t w0 = mask.step, w1 = mask.layer_group, w2 = mask.token_base + token, w3 = four;
    uint32_t key0 = mask.key0, key1 = mask.key1;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53u * w0, product1 = (uint64_t)0xCD9E8D57u * w2;
        w0 = (uint32_t)(product1 >> 32) ^ w1 ^ key0;
        w1 = (uint32_t)product1;
        w2 = (uint32_t)(product0 >> 32) ^ w3 ^ key1;
        w3 = (uint32_t)product0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return make_uint4(w0, w1, w2, w3);
}

// Zeros the dropped ones of two bf16 values; the factor 1/(1-p) is left to the float32 sums.
static __device__ __forceinline__ uint32_t drop_pair(uint32_t pair, uint32_t low, uint32_t high, uint32_t threshold)
{
    return pair & ((low >= threshold ? 0x0000FFFFu : 0u) | (high >= threshold ? 0xFFFF0000u : 0u));
}

// Eight features of a token from `feature` on, a multiple of 8.
static __device__ __forceinline__ uint4 drop_eight(uint4 value, const dropout_mask &mask, uint32_t token, uint32_t feature)
{
    uint4 a = dropout_words(mask, token, feature / 4), b = dropout_words(mask, token, feature / 4 + 1);
    return make_uint4(drop_pair(value.x, a.x, a.y, mask.threshold), drop_pair(value.y, a.z, a.w, mask.threshold),
                      drop_pair(value.z, b.x, b.y, mask.threshold), drop_pair(value.w, b.z, b.w, mask.threshold));
}

// --- Work ---------------------------------------------------------------------------------------------------------------------

// `units` = tiles * steps, dealt to `blocks` <= units blocks: block b has [units b / blocks, units (b + 1) / blocks), never empty.
typedef struct {
    int tiles, steps, units, blocks;
} work_list;

static inline work_list work_deal(int64_t tiles, int64_t steps)
{
    int64_t units = tiles * steps;
    FT_ASSERT(units > 0 && units < INT32_MAX / 2, "lora: %lld units of work", (long long)units);
    return (work_list){(int)tiles, (int)steps, (int)units, units < FT_LORA_BLOCKS ? (int)units : (int)FT_LORA_BLOCKS};
}

static __device__ __forceinline__ int work_begin(const work_list &work, int block)
{
    return (int)((int64_t)work.units * block / work.blocks);
}

// A place in the list. Going on to the next unit needs no division.
typedef struct {
    int tile, step;
} work_place;

static __device__ __forceinline__ work_place work_at(const work_list &work, int unit)
{
    return {unit / work.steps, unit % work.steps};
}

// Returns whether it is another tile's.
static __device__ __forceinline__ bool work_next(const work_list &work, work_place &place)
{
    if (++place.step < work.steps) return false;
    place.step = 0;
    place.tile++;
    return true;
}

// The block that has a unit: the greatest b with units b / blocks < unit + 1.
static __device__ __forceinline__ int work_block(const work_list &work, int unit)
{
    return (int)((((int64_t)unit + 1) * work.blocks - 1) / work.units);
}

// Adds the next `left` pieces, at most PIECES_AT_ONCE, in ascending order. All of them are asked for at once: a few threads sum, and
// they wait for each round.
enum { PIECES_AT_ONCE = 8 };
static __device__ __forceinline__ void add_pieces(float4 &sum, const float4 *piece, int64_t size, int left)
{
    float4 v[PIECES_AT_ONCE];
#pragma unroll
    for (int i = 0; i < PIECES_AT_ONCE; i++) v[i] = i < left ? __ldcg(piece + i * size) : make_float4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < PIECES_AT_ONCE; i++) sum.x += v[i].x, sum.y += v[i].y, sum.z += v[i].z, sum.w += v[i].w;
}

// Element `item` of `size` of a tile's pieces, in ascending order: the sum of the `share`th of `shares` runs of them.
static __device__ __forceinline__ float4 work_sum(const work_list &work, const float4 *pieces, int tile, int64_t size, int64_t item,
                                                  int share, int shares)
{
    int first = work_block(work, tile * work.steps), count = work_block(work, tile * work.steps + work.steps - 1) + 1 - first;
    int begin = count * share / shares, end = count * (share + 1) / shares;
    const float4 *piece = pieces + (int64_t)(first + begin + tile) * size + item;
    float4 sum = make_float4(0, 0, 0, 0);
    for (int left = end - begin; left > 0; left -= PIECES_AT_ONCE, piece += PIECES_AT_ONCE * size) add_pieces(sum, piece, size, left);
    return sum;
}

// --- Groups -------------------------------------------------------------------------------------------------------------------

static inline int64_t group_rank(const ft_linear_group *group)
{
    int64_t rank = 0;
    for (int p = 0; p < group->n_parts; p++) rank += group->lora[p].r;
    return rank;
}

static inline bool group_bias(const ft_linear_group *group)
{
    for (int p = 0; p < group->n_parts; p++) {
        if (group->bias[p] != NULL) return true;
    }
    return false;
}

static inline void check_aligned(const void *data, int64_t ld)
{
    FT_ASSERT((uintptr_t)data % 16 == 0 && ld % 8 == 0, "lora: 16-byte copies need aligned rows");
}

static inline void check_view(ft_view view)
{
    FT_ASSERT(view.repr == FT_REPR_BF16 && view.data != NULL && view.cols % 8 == 0 && view.rows > 0);
    check_aligned(view.data, view.ld);
}

// --- Launches -----------------------------------------------------------------------------------------------------------------
// On Hopper the kernels of this file start while the one before them in the stream ends (CUDA Programming Guide, "Programmatic
// Dependent Launch"): launch costs and index arithmetic are out of the way when it has ended. launches_before_wait returns when all
// that came before is done and visible, and only then may memory be touched that others write; a kernel that allows the launch
// behind it does so after its own wait, so that whoever waits for it has waited for everything before it too.

static __device__ __forceinline__ void launches_before_wait(void)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

static __device__ __forceinline__ void launches_behind_allow(void)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

template <typename ARGS>
static ft_status lora_launch(ft_queue *queue, void (*kernel)(ARGS), int64_t blocks, size_t shared, const ARGS &args)
{
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3((unsigned)blocks), config.blockDim = dim3(FT_LORA_THREADS);
    config.dynamicSmemBytes = shared, config.stream = ft_stream(queue);
    config.attrs = &early, config.numAttrs = ft_device_get_info(ft_queue_device(queue))->compute_capability >= 90;
    if (shared > 48 << 10) FT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    FT_CUDA(cudaLaunchKernelEx(&config, kernel, args));
    return FT_OK;
}

#endif
