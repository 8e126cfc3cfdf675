#include "io/sha.h"

#include <stdatomic.h>
#include <string.h>

static uint32_t left(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static uint32_t right(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t load_big(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

// ---- SHA-1 (FIPS 180-4, 6.1.2)

static void expand_1(uint32_t w[80], const uint8_t *data)
{
    for (int t = 0; t < 16; t++) w[t] = load_big(data + 4 * t);
    for (int t = 16; t < 80; t++) w[t] = left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
}

static uint32_t mix_1(int quarter, uint32_t b, uint32_t c, uint32_t d)
{
    if (quarter == 0) return (b & c) | (~b & d);
    if (quarter == 2) return (b & c) | (b & d) | (c & d);
    return b ^ c ^ d;
}

static void block_1(uint32_t *state, const uint8_t *data)
{
    static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    expand_1(w, data);
    for (int t = 0; t < 80; t++) {
        uint32_t next = left(a, 5) + mix_1(t / 20, b, c, d) + e + k[t / 20] + w[t];
        e = d;
        d = c;
        c = left(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

static void compress_1(uint32_t *state, const uint8_t *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += FT_SHA_BLOCK) block_1(state, data);
}

// ---- SHA-256 (6.2.2)

const uint32_t ft_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static void expand_256(uint32_t w[64], const uint8_t *data)
{
    for (int t = 0; t < 16; t++) w[t] = load_big(data + 4 * t);
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = right(w[t - 15], 7) ^ right(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = right(w[t - 2], 17) ^ right(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
}

static void block_256(uint32_t *state, const uint8_t *data)
{
    uint32_t w[64], v[8];  // v: a to h
    expand_256(w, data);
    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t1 = v[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + ft_sha256_constants[t] + w[t];
        uint32_t t2 = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

static void compress_256(uint32_t *state, const uint8_t *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += FT_SHA_BLOCK) block_256(state, data);
}

ft_sha_compress ft_sha_variant(ft_sha_kind kind, int index)
{
    if (kind == FT_SHA1) return index == 0 ? compress_1 : NULL;
    return index == 0 ? compress_256 : index == 1 ? ft_sha256_native() : NULL;
}

// Asked for once: CPUID is slow where a hypervisor answers it. Threads that race here store the same value.
static ft_sha_compress best(ft_sha_kind kind)
{
    static _Atomic(ft_sha_compress) best_256;
    if (kind == FT_SHA1) return compress_1;
    ft_sha_compress found = atomic_load_explicit(&best_256, memory_order_relaxed);
    if (found) return found;
    found = ft_sha256_native() ? ft_sha256_native() : compress_256;
    atomic_store_explicit(&best_256, found, memory_order_relaxed);
    return found;
}

// ---- streams

void ft_sha_begin(ft_sha *sha, ft_sha_kind kind)
{
    static const uint32_t one[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    static const uint32_t two[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    *sha = (ft_sha){.kind = kind};
    if (kind == FT_SHA1) memcpy(sha->state, one, sizeof one);
    else memcpy(sha->state, two, sizeof two);
}

void ft_sha_add(ft_sha *sha, const void *data, size_t bytes)
{
    ft_sha_compress compress = best(sha->kind);
    const uint8_t *at = data;
    size_t held = sha->bytes % FT_SHA_BLOCK;
    if (bytes == 0) return;
    sha->bytes += bytes;
    if (held) {
        size_t n = bytes < FT_SHA_BLOCK - held ? bytes : FT_SHA_BLOCK - held;
        memcpy(sha->block + held, at, n);
        if (held + n < FT_SHA_BLOCK) return;
        compress(sha->state, sha->block, 1);
        at += n;
        bytes -= n;
    }
    compress(sha->state, at, bytes / FT_SHA_BLOCK);
    memcpy(sha->block, at + bytes / FT_SHA_BLOCK * FT_SHA_BLOCK, bytes % FT_SHA_BLOCK);
}

char *ft_sha_finish(ft_sha *sha, char text[FT_SHA_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t tail[2 * FT_SHA_BLOCK] = {0x80};
    uint64_t bits = 8 * sha->bytes;
    size_t held = sha->bytes % FT_SHA_BLOCK, padding = (held < 56 ? 56 : 120) - held;
    for (int i = 0; i < 8; i++) tail[padding + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    ft_sha_add(sha, tail, padding + 8);
    int words = sha->kind == FT_SHA1 ? 5 : 8;
    for (int i = 0; i < 8 * words; i++) text[i] = digits[sha->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    text[8 * words] = 0;
    return text;
}
