// The byte-level alphabet of GPT-2 (encoder.py, bytes_to_unicode): every byte is written as one printable character, so that a
// vocabulary of byte strings can be stored as JSON text. 188 bytes stand for themselves, the other 68 for U+0100..U+0143.
#ifndef FT_TOKENIZER_BYTE_LEVEL_H
#define FT_TOKENIZER_BYTE_LEVEL_H

#include "common/status.h"

// Bytes that `text` (n bytes of UTF-8 in that alphabet) stands for, into `out` (room for n). Their number, or -1 if a
// character is not of the alphabet.
int64_t ft_byte_level_decode(const char *text, size_t n, char *out);

#endif
