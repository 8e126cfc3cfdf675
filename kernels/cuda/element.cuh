// Elements of a store's types as float32.
#ifndef FT_KERNELS_CUDA_ELEMENT_CUH
#define FT_KERNELS_CUDA_ELEMENT_CUH

#include "kernels/cuda/vec.cuh"

static __device__ __forceinline__ float ft_f16_value(uint32_t bits)
{
    return __half2float(__ushort_as_half((unsigned short)bits));
}

template <ft_dtype DTYPE> static __device__ __forceinline__ float ft_load_element(const void *base, int64_t index)
{
    if constexpr (DTYPE == FT_DTYPE_F64) return (float)((const double *)base)[index];
    else if constexpr (DTYPE == FT_DTYPE_F32) return ((const float *)base)[index];
    else if constexpr (DTYPE == FT_DTYPE_F16) return ft_f16_value(((const ft_f16 *)base)[index]);
    else if constexpr (DTYPE == FT_DTYPE_BF16) return ft_bf16_value(((const ft_bf16 *)base)[index]);
    else return ft_e4m3_pair_value(((const uint8_t *)base)[index]).x;
}

static __device__ __forceinline__ void ft_load_e4m3(float v[FT_CHUNK], const void *base, int64_t index)
{
    uint2 codes = __ldcs((const uint2 *)((const uint8_t *)base + index));
#pragma unroll
    for (int i = 0; i < FT_CHUNK / 2; i++) {
        float2 pair = ft_e4m3_pair_value((i < 2 ? codes.x : codes.y) >> (i % 2 * 16) & 0xFFFF);
        v[2 * i] = pair.x;
        v[2 * i + 1] = pair.y;
    }
}

static __device__ __forceinline__ void ft_load_f16(float v[FT_CHUNK], const void *base, int64_t index)
{
    uint4 bits = __ldcs((const uint4 *)((const ft_f16 *)base + index));
    const uint32_t word[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < FT_CHUNK; i++) v[i] = ft_f16_value(word[i / 2] >> (i % 2 * 16) & 0xFFFF);
}

static __device__ __forceinline__ void ft_load_f32(float v[FT_CHUNK], const void *base, int64_t index)
{
    const float4 *from = (const float4 *)((const float *)base + index);
    float4 low = __ldcs(from), high = __ldcs(from + 1);
    v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
    v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
}

// Elements index..index+7; `left` of the row are there, missing ones are 0. VECTOR: base 16-byte aligned, index and `left`
// multiples of 8.
template <ft_dtype DTYPE, bool VECTOR>
static __device__ __forceinline__ void ft_load_elements(float v[FT_CHUNK], const void *base, int64_t index, int64_t left)
{
    if constexpr (VECTOR && DTYPE != FT_DTYPE_F64) {
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) v[i] = 0.0f;
        if (left <= 0) return;
        if constexpr (DTYPE == FT_DTYPE_F32) ft_load_f32(v, base, index);
        else if constexpr (DTYPE == FT_DTYPE_F16) ft_load_f16(v, base, index);
        else if constexpr (DTYPE == FT_DTYPE_BF16) ft_unpack(v, __ldcs((const uint4 *)((const ft_bf16 *)base + index)));
        else ft_load_e4m3(v, base, index);
    } else {
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) v[i] = i < left ? ft_load_element<DTYPE>(base, index + i) : 0.0f;
    }
}

#endif
