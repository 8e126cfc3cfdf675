// Block encodings of ggml to float32, operation by operation as gguf.quants.dequantize (and ggml's dequantize_row_*) does them,
// so that every bit agrees: products and sums are rounded separately (no fused multiply-add), in the order written here.
//
//   Q4_0  f16 d, 16 x two 4-bit q: q of value i < 16 in the low half of byte i, of value 16 + i in its high half   d (q - 8)
//   Q4_1  f16 d, f16 m, likewise                                                                                   d q + m
//   Q5_0  f16 d, u32 fifth bits (bit i of value i), 16 bytes likewise                                              d (q - 16)
//   Q5_1  f16 d, f16 m, u32 fifth bits, 16 bytes likewise                                                          d q + m
//   Q8_0  f16 d, 32 x i8 q                                                                                         q d
//   Q4_K  f16 d, f16 dmin, 12 bytes of eight 6-bit (scale, min) pairs, 128 bytes of q: 8 groups of 32 values,
//         groups 2k and 2k + 1 in the low and high halves of bytes 32k..32k+31                       (d scale) q - (dmin min)
//   Q5_K  as Q4_K with 32 bytes before q whose bit g is the fifth bit of group g
//   Q6_K  128 bytes of low 4 bits, 64 of high 2 bits, 16 x i8 scale, f16 d: 16 groups of 16 values     (d scale) (q - 32)
#include "common/codec.h"
#include "io/gguf_internal.h"

enum { SMALL = 32, SUPER = 256 };

static float half_at(const unsigned char *bytes)
{
    return ft_f16_to_f32((ft_f16)ft_gguf_load(bytes, 2));
}

static void f32(float *dst, const unsigned char *src, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

// Halves convert in bulk where the machine can; f16 to float32 is exact either way.
static void f16(float *dst, const unsigned char *src, int64_t n)
{
    (void)ft_convert_to_f32(dst, src, FT_DTYPE_F16, (size_t)n);
}

static void bf16(float *dst, const unsigned char *src, int64_t n)
{
    (void)ft_convert_to_f32(dst, src, FT_DTYPE_BF16, (size_t)n);
}

static void q4_0(float *dst, const unsigned char *src, int64_t n)
{
    for (; n > 0; n--, src += 18, dst += SMALL) {
        float d = half_at(src);
        for (int i = 0; i < SMALL / 2; i++) {
            dst[i] = d * (float)((src[2 + i] & 15) - 8);
            dst[i + SMALL / 2] = d * (float)((src[2 + i] >> 4) - 8);
        }
    }
}

static void q4_1(float *dst, const unsigned char *src, int64_t n)
{
    for (; n > 0; n--, src += 20, dst += SMALL) {
        float d = half_at(src), m = half_at(src + 2);
        for (int i = 0; i < SMALL / 2; i++) {
            dst[i] = d * (float)(src[4 + i] & 15) + m;
            dst[i + SMALL / 2] = d * (float)(src[4 + i] >> 4) + m;
        }
    }
}

// Five-bit codes of a small block: `high` are the fifth bits, `low` the 16 bytes of the rest.
static void five_bits(int q[SMALL], uint32_t high, const unsigned char *low)
{
    for (int i = 0; i < SMALL / 2; i++) {
        q[i] = (low[i] & 15) | (int)(high >> i & 1) << 4;
        q[i + SMALL / 2] = low[i] >> 4 | (int)(high >> (i + SMALL / 2) & 1) << 4;
    }
}

static void q5_0(float *dst, const unsigned char *src, int64_t n)
{
    int q[SMALL];
    for (; n > 0; n--, src += 22, dst += SMALL) {
        float d = half_at(src);
        five_bits(q, (uint32_t)ft_gguf_load(src + 2, 4), src + 6);
        for (int i = 0; i < SMALL; i++) dst[i] = d * (float)(q[i] - 16);
    }
}

static void q5_1(float *dst, const unsigned char *src, int64_t n)
{
    int q[SMALL];
    for (; n > 0; n--, src += 24, dst += SMALL) {
        float d = half_at(src), m = half_at(src + 2);
        five_bits(q, (uint32_t)ft_gguf_load(src + 4, 4), src + 8);
        for (int i = 0; i < SMALL; i++) dst[i] = d * (float)q[i] + m;
    }
}

static void q8_0(float *dst, const unsigned char *src, int64_t n)
{
    for (; n > 0; n--, src += 34, dst += SMALL) {
        float d = half_at(src);
        const int8_t *q = (const int8_t *)(src + 2);
        for (int i = 0; i < SMALL; i++) dst[i] = (float)q[i] * d;
    }
}

// Scale and min of group g (0..7). The first four stand in six bits of a byte each; the others have their low four bits in the
// last four bytes and their high two in the top of the first eight.
static void scale_and_min(const unsigned char packed[12], int g, int *scale, int *min)
{
    if (g < 4) {
        *scale = packed[g] & 63;
        *min = packed[4 + g] & 63;
    } else {
        *scale = (packed[4 + g] & 15) | packed[g - 4] >> 6 << 4;
        *min = packed[4 + g] >> 4 | packed[g] >> 6 << 4;
    }
}

// Q4_K, and Q5_K with `fifth` bits (NULL: none).
static void k_block(float *dst, const unsigned char *src, const unsigned char *fifth, const unsigned char *q)
{
    float d = half_at(src), dmin = half_at(src + 2);
    for (int g = 0; g < 8; g++) {
        int scale, min;
        scale_and_min(src + 4, g, &scale, &min);
        float step = d * (float)scale, base = dmin * (float)min;
        for (int i = 0; i < SMALL; i++) {
            int code = q[g / 2 * SMALL + i] >> 4 * (g % 2) & 15;
            if (fifth != NULL) code |= (fifth[i] >> g & 1) << 4;
            dst[g * SMALL + i] = step * (float)code - base;
        }
    }
}

static void q4_k(float *dst, const unsigned char *src, int64_t n)
{
    for (; n > 0; n--, src += 144, dst += SUPER) k_block(dst, src, NULL, src + 16);
}

static void q5_k(float *dst, const unsigned char *src, int64_t n)
{
    for (; n > 0; n--, src += 176, dst += SUPER) k_block(dst, src, src + 16, src + 48);
}

// Each half of the block: 64 bytes of low bits and 32 of high bits make four runs of 32 values. Run r takes the low (r < 2) or
// high half of bytes 32 (r % 2).. and bits 2r of the high bytes.
static void q6_k(float *dst, const unsigned char *src, int64_t n)
{
    for (; n > 0; n--, src += 210, dst += SUPER) {
        float d = half_at(src + 208);
        const int8_t *scales = (const int8_t *)(src + 192);
        for (int i = 0; i < SUPER; i++) {
            int half = i / 128, run = i % 128 / 32, at = i % 32;
            int low = src[half * 64 + run % 2 * 32 + at] >> 4 * (run / 2) & 15;
            int high = src[128 + half * 32 + at] >> 2 * run & 3;
            dst[i] = (d * (float)scales[i / 16]) * (float)((low | high << 4) - 32);
        }
    }
}

static const ft_gguf_encoding encodings[] = {
    {0, "F32", 1, 4, f32},        {1, "F16", 1, 2, f16},        {2, "Q4_0", 32, 18, q4_0},    {3, "Q4_1", 32, 20, q4_1},
    {6, "Q5_0", 32, 22, q5_0},    {7, "Q5_1", 32, 24, q5_1},    {8, "Q8_0", 32, 34, q8_0},    {9, "Q8_1", 32, 36, NULL},
    {10, "Q2_K", 256, 84, NULL},  {11, "Q3_K", 256, 110, NULL}, {12, "Q4_K", 256, 144, q4_k}, {13, "Q5_K", 256, 176, q5_k},
    {14, "Q6_K", 256, 210, q6_k}, {15, "Q8_K", 256, 292, NULL}, {16, "IQ2_XXS", 256, 66, NULL}, {17, "IQ2_XS", 256, 74, NULL},
    {18, "IQ3_XXS", 256, 98, NULL}, {19, "IQ1_S", 256, 50, NULL}, {20, "IQ4_NL", 32, 18, NULL}, {21, "IQ3_S", 256, 110, NULL},
    {22, "IQ2_S", 256, 82, NULL}, {23, "IQ4_XS", 256, 136, NULL}, {24, "I8", 1, 1, NULL},     {25, "I16", 1, 2, NULL},
    {26, "I32", 1, 4, NULL},      {27, "I64", 1, 8, NULL},      {28, "F64", 1, 8, NULL},      {29, "IQ1_M", 256, 56, NULL},
    {30, "BF16", 1, 2, bf16},     {34, "TQ1_0", 256, 54, NULL}, {35, "TQ2_0", 256, 66, NULL}, {39, "MXFP4", 32, 17, NULL},
    {40, "NVFP4", 64, 36, NULL},  {41, "Q1_0", 128, 18, NULL},
};

const ft_gguf_encoding *ft_gguf_encoding_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++) {
        if (encodings[i].type == type) return &encodings[i];
    }
    return NULL;
}
