// UTF-8 (Unicode 15.0, table 3-7: no overlong forms, no surrogates, at most U+10FFFF).
#ifndef FT_COMMON_UTF8_H
#define FT_COMMON_UTF8_H

#include "common/status.h"

// Bytes of the longest well-formed prefix of `text`.
size_t ft_utf8_valid(const char *text, size_t n);
// Bytes of the character `text` starts with, 0 if it is not well formed (or n is 0).
size_t ft_utf8_char(const char *text, size_t n);
// Writes a scalar value; returns its bytes.
size_t ft_utf8_encode(uint32_t code_point, char out[4]);

// The code point of a well-formed character and its length.
static inline uint32_t ft_utf8_decode(const char *text, size_t *bytes)
{
    const uint8_t *t = (const uint8_t *)text;
    if (t[0] < 0x80) return *bytes = 1, t[0];
    if (t[0] < 0xE0) return *bytes = 2, (t[0] & 0x1Fu) << 6 | (t[1] & 0x3Fu);
    if (t[0] < 0xF0) return *bytes = 3, (t[0] & 0x0Fu) << 12 | (t[1] & 0x3Fu) << 6 | (t[2] & 0x3Fu);
    return *bytes = 4, (t[0] & 0x07u) << 18 | (t[1] & 0x3Fu) << 12 | (t[2] & 0x3Fu) << 6 | (t[3] & 0x3Fu);
}

#endif
