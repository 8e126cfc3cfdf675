// XXH3-64 of ranges of device memory, as the store's stripes are hashed: xxHash's specification (doc/xxhash_spec.md of the reference
// implementation), long inputs (more than 240 bytes), seed 0, default secret.
//
// Eight accumulators of 64 bits walk over stripes of 64 bytes; after a block of 16 stripes they are scrambled. What a block adds
// to them does not depend on them: warps of a thread block sum whole blocks on their own, and one more warp runs the chain
// "add the block's sums, scramble" behind them, a chunk of blocks later. The chain is about 40 cycles a block, 0.1 ms for 4 MiB;
// everything else is reading memory once.
#include "kernels/cuda/launch.h"

enum {
    WORDS = 8,                            // accumulators, and words of a stripe
    STRIPE = 64, BLOCK = 1024,            // bytes
    SUMMERS = 8, PER_WARP = 4,            // warps that sum, and blocks each has in flight
    CHUNK = SUMMERS * PER_WARP,           // blocks between two barriers
    THREADS = 32 * (SUMMERS + 1),
    MOST = 512                            // ranges of a launch: 8 KiB of parameters
};

#define PRIME32_1 0x9E3779B1u
#define PRIME32_2 0x85EBCA77u
#define PRIME32_3 0xC2B2AE3Du
#define PRIME64_1 0x9E3779B185EBCA87ull
#define PRIME64_2 0xC2B2AE3D27D4EB4Full
#define PRIME64_3 0x165667B19E3779F9ull
#define PRIME64_4 0x85EBCA77C2B2AE63ull
#define PRIME64_5 0x27D4EB2F165667C5ull
#define PRIME_MX1 0x165667919E3779F9ull

// The default secret of 192 bytes, and where its parts begin.
enum { SECRET_SCRAMBLE = 128, SECRET_LAST = 121, SECRET_MERGE = 11 };
static __constant__ uint64_t secret[24] = {
    0xbe4ba423396cfeb8, 0x1cad21f72c81017c, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072,
    0x78e5c0cc4ee679cb, 0x2172ffcc7dd05a82, 0x8e2443f7744608b8, 0x4c263a81e69035e0,
    0xcb00c391bb52283c, 0xa32e531b8b65d088, 0x4ef90da297486471, 0xd8acdea946ef1938,
    0x3f349ce33f76faa8, 0x1d4f0bc7c7bbdcf9, 0x3159b4cd4be0518a, 0x647378d9c97e9fc8,
    0xc3ebd33483acc5ea, 0xeb6313faffa081c5, 0x49daf0b751dd0d17, 0x9e68d429265516d3,
    0xfca1477d58be162b, 0xce31d07ad1b8f88f, 0x280416958f3acb45, 0x7e404bbbcafbd7af,
};
static __constant__ uint64_t start[WORDS] = {PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1};

typedef struct {
    ft_range range[MOST];
} batch;

static __device__ uint64_t secret_at(int offset)
{
    int word = offset / 8, shift = offset % 8 * 8;
    return shift == 0 ? secret[word] : secret[word] >> shift | secret[word + 1] << (64 - shift);
}

// Low half times high half.
static __device__ __forceinline__ uint64_t halves(uint64_t x)
{
    return (uint64_t)(uint32_t)x * (uint32_t)(x >> 32);
}

// What words 2j and 2j + 1 of a stripe add to accumulators 2j and 2j + 1.
static __device__ __forceinline__ void accumulate(uint64_t *even, uint64_t *odd, ulonglong2 data, uint64_t even_key, uint64_t odd_key)
{
    *even += data.y + halves(data.x ^ even_key);
    *odd += data.x + halves(data.y ^ odd_key);
}

// The sums of PER_WARP blocks from `first` on. Lane l reads words 2j and 2j + 1, j = l % 4, of stripes l / 4 and l / 4 + 8. Blocks past
// the last are summed as the last; nobody reads those sums.
static __device__ void sum_blocks(uint64_t (*sums)[WORDS], const char *base, int64_t first, int64_t blocks, const uint64_t key[2][2])
{
    const int lane = threadIdx.x % 32;
    ulonglong2 data[PER_WARP][2];
#pragma unroll
    for (int b = 0; b < PER_WARP; b++) {
        int64_t block = first + b < blocks ? first + b : blocks - 1;
        const ulonglong2 *at = (const ulonglong2 *)(base + block * BLOCK) + lane;
        data[b][0] = __ldcs(at);
        data[b][1] = __ldcs(at + 32);
    }
#pragma unroll
    for (int b = 0; b < PER_WARP; b++) {
        uint64_t even = 0, odd = 0;
        accumulate(&even, &odd, data[b][0], key[0][0], key[0][1]);
        accumulate(&even, &odd, data[b][1], key[1][0], key[1][1]);
#pragma unroll
        for (int width = 16; width >= 4; width /= 2) {
            even += __shfl_xor_sync(~0u, even, width);
            odd += __shfl_xor_sync(~0u, odd, width);
        }
        if (lane < 4) {
            sums[b][2 * lane] = even;
            sums[b][2 * lane + 1] = odd;
        }
    }
}

static __device__ __forceinline__ uint64_t scramble(uint64_t sum, uint64_t key)
{
    return (sum ^ sum >> 47 ^ key) * PRIME32_1;
}

// Any address: the last stripe ends where the range does.
static __device__ uint64_t load_word(const char *at)
{
    const uint8_t *byte = (const uint8_t *)at;
    uint64_t word = 0;
#pragma unroll
    for (int i = 7; i >= 0; i--) word = word << 8 | byte[i];
    return word;
}

// What a stripe adds to accumulator i.
static __device__ uint64_t stripe_sum(const char *stripe, int i, uint64_t key)
{
    return load_word(stripe + 8 * (i ^ 1)) + halves(load_word(stripe + 8 * i) ^ key);
}

// The stripes behind the last whole block, and the last 64 bytes once more under a key of their own. A range that ends with a
// block has that block here.
static __device__ uint64_t add_tail(uint64_t sum, const char *base, int64_t bytes, int64_t blocks, int i)
{
    const char *tail = base + blocks * BLOCK;
    const int stripes = (int)((bytes - 1 - blocks * BLOCK) / STRIPE);
    for (int s = 0; s < stripes; s++) sum += stripe_sum(tail + s * STRIPE, i, secret[s + i]);
    return sum + stripe_sum(base + bytes - STRIPE, i, secret_at(SECRET_LAST + 8 * i));
}

// Eight lanes hold the eight accumulators; every lane gets the hash.
static __device__ uint64_t merge(uint64_t sum, int64_t bytes, int i)
{
    uint64_t mine = sum ^ secret_at(SECRET_MERGE + 8 * i), other = __shfl_xor_sync(~0u, mine, 1);
    uint64_t folded = mine * other ^ __umul64hi(mine, other);
    folded += __shfl_xor_sync(~0u, folded, 2);
    folded += __shfl_xor_sync(~0u, folded, 4);
    uint64_t hash = (uint64_t)bytes * PRIME64_1 + folded;
    hash = (hash ^ hash >> 37) * PRIME_MX1;
    return hash ^ hash >> 32;
}

// One range a thread block. The chain is one chunk behind the sums, which alternate between two buffers.
static __global__ void __launch_bounds__(THREADS, 3) hash_ranges(uint64_t *out, const __grid_constant__ batch ranges)
{
    __shared__ uint64_t sums[2][CHUNK][WORDS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, i = lane % WORDS;
    const char *base = (const char *)ranges.range[blockIdx.x].address;
    const int64_t bytes = ranges.range[blockIdx.x].bytes, blocks = (bytes - 1) / BLOCK;
    const int64_t chunks = (blocks + CHUNK - 1) / CHUNK;
    const int first_word = lane / 4 + 2 * (lane % 4);  // of the secret, for stripe lane / 4
    const uint64_t key[2][2] = {{secret[first_word], secret[first_word + 1]}, {secret[first_word + 8], secret[first_word + 9]}};
    const uint64_t scramble_key = secret[SECRET_SCRAMBLE / 8 + i];
    uint64_t sum = start[i];
    for (int64_t chunk = 0; chunk <= chunks; chunk++) {
        if (warp < SUMMERS && chunk < chunks) {
            int64_t first = chunk * CHUNK + warp * PER_WARP;
            sum_blocks(&sums[chunk & 1][warp * PER_WARP], base, first, blocks, key);
        }
        if (warp == SUMMERS && chunk > 0) {
            const uint64_t(*done)[WORDS] = sums[(chunk - 1) & 1];
            int64_t left = blocks - (chunk - 1) * CHUNK;
            int count = left < CHUNK ? (int)left : CHUNK;
#pragma unroll 8
            for (int b = 0; b < count; b++) sum = scramble(sum + done[b][i], scramble_key);
        }
        __syncthreads();
    }
    if (warp != SUMMERS) return;
    uint64_t hash = merge(add_tail(sum, base, bytes, blocks, i), bytes, i);
    if (lane == 0) out[blockIdx.x] = hash;
}

extern "C" ft_status ft_cuda_stripe_hash(ft_queue *queue, uint64_t *out, const ft_range *ranges, int64_t n)
{
    batch now;
    for (int64_t first = 0; first < n; first += MOST) {
        int count = n - first < MOST ? (int)(n - first) : MOST;
        for (int i = 0; i < count; i++) {
            now.range[i] = ranges[first + i];
            FT_ASSERT((uintptr_t)now.range[i].address % 16 == 0 && now.range[i].bytes > 240, "stripe_hash: range %lld, %lld bytes",
                      (long long)(first + i), (long long)now.range[i].bytes);
        }
        hash_ranges<<<count, THREADS, 0, ft_stream(queue)>>>(out + first, now);
        FT_TRY(ft_launched("stripe_hash"));
    }
    return FT_OK;
}
