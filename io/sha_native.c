// SHA-256 with the SHA extensions of x86-64 (Intel SDM: SHA256RNDS2, SHA256MSG1, SHA256MSG2).
#include <stddef.h>

#include "io/sha.h"

#if defined __x86_64__
#include <cpuid.h>
#include <immintrin.h>

// The instructions keep the eight words as ABEF and CDGH, most significant first.
typedef struct {
    __m128i abef, cdgh;
} words;

__attribute__((target("sha,sse4.1"))) static inline words load_words(const uint32_t *state)
{
    __m128i abcd = _mm_loadu_si128((const __m128i *)state), efgh = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i cdab = _mm_shuffle_epi32(abcd, 0xB1), hgfe = _mm_shuffle_epi32(efgh, 0x1B);
    return (words){_mm_alignr_epi8(cdab, hgfe, 8), _mm_blend_epi16(hgfe, cdab, 0xF0)};
}

__attribute__((target("sha,sse4.1"))) static inline void store_words(uint32_t *state, words w)
{
    __m128i feba = _mm_shuffle_epi32(w.abef, 0x1B), dchg = _mm_shuffle_epi32(w.cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

// Rounds 4 i to 4 i + 3 with the message's words m.
__attribute__((target("sha,sse4.1"))) static inline words four_rounds(words w, __m128i m, int i)
{
    __m128i sum = _mm_add_epi32(m, _mm_loadu_si128((const __m128i *)(ft_sha256_constants + 4 * i)));
    w.cdgh = _mm_sha256rnds2_epu32(w.cdgh, w.abef, sum);
    w.abef = _mm_sha256rnds2_epu32(w.abef, w.cdgh, _mm_shuffle_epi32(sum, 0x0E));
    return w;
}

// The four words after the sixteen in a, b, c, d.
__attribute__((target("sha,sse4.1"))) static inline __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
    return _mm_sha256msg2_epu32(sum, d);
}

__attribute__((target("sha,sse4.1"))) static void compress(uint32_t *state, const uint8_t *data, size_t blocks)
{
    const __m128i big = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    words w = load_words(state);
    for (; blocks > 0; blocks--, data += FT_SHA_BLOCK) {
        words before = w;
        __m128i m[4];
        for (int i = 0; i < 4; i++) {
            m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big);
            w = four_rounds(w, m[i], i);
        }
#pragma GCC unroll 12
        for (int i = 4; i < 16; i++) {
            m[i % 4] = next_words(m[i % 4], m[(i + 1) % 4], m[(i + 2) % 4], m[(i + 3) % 4]);
            w = four_rounds(w, m[i % 4], i);
        }
        w.abef = _mm_add_epi32(w.abef, before.abef);
        w.cdgh = _mm_add_epi32(w.cdgh, before.cdgh);
    }
    store_words(state, w);
}

ft_sha_compress ft_sha256_native(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_SHA)) return NULL;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3) ? compress : NULL;
}
#else
ft_sha_compress ft_sha256_native(void)
{
    return NULL;
}
#endif
