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

// Eight elements as they are stored: loads of several chunks go out before the first is converted.
template <ft_dtype DTYPE> struct ft_raw {
    uint4 word[DTYPE == FT_DTYPE_F32 ? 2 : 1];
};
template <> struct ft_raw<FT_DTYPE_F8_E4M3> {
    uint2 codes;
};
template <> struct ft_raw<FT_DTYPE_F64> {
    float value[FT_CHUNK];
};

static __device__ __forceinline__ uint4 ft_load_words(const void *p, bool live)
{
    return live ? __ldcs((const uint4 *)p) : make_uint4(0, 0, 0, 0);
}

// Elements index..index+7; `left` of the row are there, missing ones are 0. Base 16-byte aligned, index and `left` multiples
// of 8.
template <ft_dtype DTYPE>
static __device__ __forceinline__ ft_raw<DTYPE> ft_load_raw(const void *base, int64_t index, int64_t left)
{
    ft_raw<DTYPE> raw;
    bool live = left > 0;
    if constexpr (DTYPE == FT_DTYPE_F8_E4M3) {
        raw.codes = live ? __ldcs((const uint2 *)((const uint8_t *)base + index)) : make_uint2(0, 0);
    } else if constexpr (DTYPE == FT_DTYPE_F64) {
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) raw.value[i] = live ? ft_load_element<DTYPE>(base, index + i) : 0.0f;
    } else if constexpr (DTYPE == FT_DTYPE_F32) {
        raw.word[0] = ft_load_words((const float *)base + index, live);
        raw.word[1] = ft_load_words((const float *)base + index + 4, live);
    } else {
        raw.word[0] = ft_load_words((const uint16_t *)base + index, live);
    }
    return raw;
}

template <ft_dtype DTYPE> static __device__ __forceinline__ void ft_raw_values(float v[FT_CHUNK], const ft_raw<DTYPE> &raw)
{
    if constexpr (DTYPE == FT_DTYPE_F8_E4M3) {
#pragma unroll
        for (int i = 0; i < FT_CHUNK / 2; i++) {
            float2 pair = ft_e4m3_pair_value((i < 2 ? raw.codes.x : raw.codes.y) >> (i % 2 * 16) & 0xFFFF);
            v[2 * i] = pair.x;
            v[2 * i + 1] = pair.y;
        }
    } else if constexpr (DTYPE == FT_DTYPE_F64) {
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) v[i] = raw.value[i];
    } else if constexpr (DTYPE == FT_DTYPE_BF16) {
        ft_unpack(v, raw.word[0]);
    } else if constexpr (DTYPE == FT_DTYPE_F16) {
        const uint32_t word[4] = {raw.word[0].x, raw.word[0].y, raw.word[0].z, raw.word[0].w};
#pragma unroll
        for (int i = 0; i < FT_CHUNK; i++) v[i] = ft_f16_value(word[i / 2] >> (i % 2 * 16) & 0xFFFF);
    } else {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            v[4 * i] = __uint_as_float(raw.word[i].x), v[4 * i + 1] = __uint_as_float(raw.word[i].y);
            v[4 * i + 2] = __uint_as_float(raw.word[i].z), v[4 * i + 3] = __uint_as_float(raw.word[i].w);
        }
    }
}

#endif
