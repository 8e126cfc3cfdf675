// Eight logits at a time: a 16-byte access of bf16, or eight float32 of any alignment.
#ifndef FT_KERNELS_CUDA_LOGITS_CUH
#define FT_KERNELS_CUDA_LOGITS_CUH

#include <cuda_bf16.h>
#include <stdint.h>

struct bf16_octet {
    uint32_t word[4];
};

struct f32_octet {
    float value[8];
};

static __device__ __forceinline__ float low_half(uint32_t word) { return __uint_as_float(word << 16); }
static __device__ __forceinline__ float high_half(uint32_t word) { return __uint_as_float(word & 0xFFFF0000u); }

static __device__ __forceinline__ void unpack(float value[8], const bf16_octet &octet)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        value[2 * i] = low_half(octet.word[i]);
        value[2 * i + 1] = high_half(octet.word[i]);
    }
}

static __device__ __forceinline__ void unpack(float value[8], const f32_octet &octet)
{
#pragma unroll
    for (int i = 0; i < 8; i++) value[i] = octet.value[i];
}

static __device__ __forceinline__ bf16_octet load_aligned(const void *from)
{
    uint4 words = *(const uint4 *)from;
    return {{words.x, words.y, words.z, words.w}};
}

// Logits [8 index, 8 index + 8) of a row.
static __device__ __forceinline__ void load(bf16_octet &octet, const __nv_bfloat16 *row, int index, int vocab)
{
    octet = load_aligned(row + 8 * (int64_t)index);
}

static __device__ __forceinline__ void load(f32_octet &octet, const float *row, int index, int vocab)
{
#pragma unroll
    for (int i = 0; i < 8; i++) octet.value[i] = 8 * index + i < vocab ? row[8 * (int64_t)index + i] : 0;
}

// The label's logit and what lies past the end become -Inf.
static __device__ __forceinline__ void mask(bf16_octet &octet, int index, int vocab, int label)
{
    if (index != label >> 3 && 8 * index + 8 <= vocab) return;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int column = 8 * index + 2 * i;
        if (column == label || column >= vocab) octet.word[i] = (octet.word[i] & 0xFFFF0000u) | 0xFF80u;
        if (column + 1 == label || column + 1 >= vocab) octet.word[i] = (octet.word[i] & 0xFFFFu) | 0xFF800000u;
    }
}

static __device__ __forceinline__ void mask(f32_octet &octet, int index, int vocab, int label)
{
#pragma unroll
    for (int i = 0; i < 8; i++) {
        if (8 * index + i == label || 8 * index + i >= vocab) octet.value[i] = -INFINITY;
    }
}

template <typename octet_type>
static __device__ __forceinline__ float largest(const octet_type &octet)
{
    float z[8];
    unpack(z, octet);
    return fmaxf(fmaxf(fmaxf(z[0], z[1]), fmaxf(z[2], z[3])), fmaxf(fmaxf(z[4], z[5]), fmaxf(z[6], z[7])));
}

static __device__ __forceinline__ uint32_t pack(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *(const uint32_t *)&pair;
}

template <typename element> struct octet_of;
template <> struct octet_of<__nv_bfloat16> { typedef bf16_octet type; };
template <> struct octet_of<float> { typedef f32_octet type; };

#endif
