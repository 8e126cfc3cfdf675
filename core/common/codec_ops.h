// The inner loops of bulk number conversion, one table per instruction set. Every table gives the bits of the scalar one,
// NaN payloads and error sums included; tests compare them pairwise through ft_codec_variant().
//
// `void *` sides need no alignment, float sides have that of float; source and destination do not overlap.
#ifndef FT_COMMON_CODEC_OPS_H
#define FT_COMMON_CODEC_OPS_H

#include "common/codec.h"

// Quantization error of one tile. The element in column c of the tile adds to lane c % 8, rows in ascending order: an order
// that scalar code and every vector width can keep.
typedef struct {
    double error_sq[8];  // (code * scale - w)^2
    double norm_sq[8];   // w^2
} ft_tile_sums;

typedef struct {
    const char *name;
    void (*bf16_to_f32)(float *dst, const void *src, size_t n);
    void (*f32_to_bf16)(void *dst, const float *src, size_t n);
    void (*f16_to_f32)(float *dst, const void *src, size_t n);
    void (*f32_to_f16)(void *dst, const float *src, size_t n);
    // The largest |src[i]| as float32 bits: above 0x7F7FFFFF if any is Inf or NaN.
    uint32_t (*amax_bits)(const float *src, size_t n);
    // codes[i] = e4m3(src[i] / scale). Finite src whose quotient does not overflow, 0 < scale, normal. src[0] is in lane 0.
    void (*quantize)(ft_e4m3 *codes, const float *src, size_t n, float scale, ft_tile_sums *sums);
    void (*dequantize)(float *dst, const ft_e4m3 *codes, size_t n, float scale);  // code * scale
} ft_codec_ops;

extern const ft_codec_ops ft_codec_scalar;
#if defined(__x86_64__)
extern const ft_codec_ops ft_codec_avx2;    // needs avx2, f16c
extern const ft_codec_ops ft_codec_avx512;  // needs avx512f, avx512bw
#endif

// The i-th table this CPU can run, from the slowest (0 = scalar) to the fastest; NULL past the last.
const ft_codec_ops *ft_codec_variant(size_t i);
// The fastest one.
const ft_codec_ops *ft_codec_best(void);

#endif
