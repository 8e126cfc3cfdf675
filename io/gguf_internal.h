// What the parts of the GGUF reader share.
#ifndef FT_IO_GGUF_INTERNAL_H
#define FT_IO_GGUF_INTERNAL_H

#include "io/gguf.h"

// A little-endian number of n <= 8 bytes at any address.
static inline uint64_t ft_gguf_load(const unsigned char *bytes, int n)
{
    uint64_t value = 0;
    for (int i = n - 1; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

int ft_gguf_type_bytes(ft_gguf_type type);  // 0 for TEXT and ARRAY

#endif
