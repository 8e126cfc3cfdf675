// UTF-8 (Unicode 15.0, table 3-7: no overlong forms, no surrogates, at most U+10FFFF).
#ifndef FT_DATA_UTF8_H
#define FT_DATA_UTF8_H

#include "common/status.h"

// Bytes of the longest well-formed prefix of `text`.
size_t ft_utf8_valid(const char *text, size_t n);
// Bytes of the character `text` starts with, 0 if it is not well formed (or n is 0).
size_t ft_utf8_char(const char *text, size_t n);

#endif
