#include "tokenizer/byte_level.h"

#define ALPHABET_END 0x144  // first code point past the alphabet

static bool stands_for_itself(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The byte of a code point of the alphabet, -1 for others. The 68 substitutes are numbered in byte order.
static int byte_of(uint32_t code_point)
{
    if (code_point < 0x100) return stands_for_itself((int)code_point) ? (int)code_point : -1;
    if (code_point >= ALPHABET_END) return -1;
    uint32_t substitutes = code_point - 0x100;
    for (int byte = 0; byte < 256; byte++) {
        if (!stands_for_itself(byte) && substitutes-- == 0) return byte;
    }
    return -1;
}

int64_t ft_byte_level_decode(const char *text, size_t n, char *out)
{
    const uint8_t *bytes = (const uint8_t *)text;
    int64_t length = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code_point = bytes[i++];
        if (code_point >= 0x80) {  // the alphabet needs two bytes at most
            if ((code_point & 0xE0) != 0xC0 || i == n) return -1;
            code_point = (code_point & 0x1F) << 6 | (bytes[i++] & 0x3F);
        }
        int byte = byte_of(code_point);
        if (byte < 0) return -1;
        out[length++] = (char)byte;
    }
    return length;
}
