// XXH3 (xxHash), 64 and 128 bits, and their hexadecimal text.
#ifndef FT_IO_HASH_H
#define FT_IO_HASH_H

#include "common/status.h"

typedef struct {
    uint64_t high, low;
} ft_hash128;

#define FT_HASH_TEXT 33  // 32 hex digits and NUL

uint64_t ft_hash64(const void *data, size_t bytes);
ft_hash128 ft_hash128_of(const void *data, size_t bytes);
bool ft_hash128_equal(ft_hash128 a, ft_hash128 b);
char *ft_hash128_text(ft_hash128 hash, char text[FT_HASH_TEXT]);
ft_status ft_hash128_parse(const char *text, ft_hash128 *hash);

// Streaming 128-bit hash.
typedef struct ft_hasher ft_hasher;
ft_status ft_hasher_new(ft_hasher **hasher);
void ft_hasher_add(ft_hasher *hasher, const void *data, size_t bytes);
ft_hash128 ft_hasher_finish(const ft_hasher *hasher);
void ft_hasher_free(ft_hasher *hasher);

#endif
