// SHA-1 and SHA-256 (FIPS 180-4), streaming: what git and the hub name files by. Not for secrets. The SHA instructions of the
// processor are used where it has them. The struct holds the whole state: it may be copied, and needs no free.
#ifndef FT_IO_SHA_H
#define FT_IO_SHA_H

#include "common/status.h"

typedef enum { FT_SHA1, FT_SHA256 } ft_sha_kind;

#define FT_SHA_BLOCK 64  // bytes
#define FT_SHA_TEXT 65   // 40 or 64 hexadecimal digits and NUL

typedef struct {
    ft_sha_kind kind;
    uint32_t state[8];   // SHA-1: the first five
    uint64_t bytes;      // added so far
    uint8_t block[FT_SHA_BLOCK];  // the last bytes % 64 of them
} ft_sha;

void ft_sha_begin(ft_sha *sha, ft_sha_kind kind);
void ft_sha_add(ft_sha *sha, const void *data, size_t bytes);
char *ft_sha_finish(ft_sha *sha, char text[FT_SHA_TEXT]);  // lower case; returns text

// A way of taking whole blocks into a state. Variants of a kind give equal results: for tests, by index; NULL past the last.
typedef void (*ft_sha_compress)(uint32_t *state, const uint8_t *data, size_t blocks);
ft_sha_compress ft_sha_variant(ft_sha_kind kind, int index);
// With the processor's own instructions; NULL without them.
ft_sha_compress ft_sha256_native(void);
extern const uint32_t ft_sha256_constants[64];  // of the rounds

#endif
