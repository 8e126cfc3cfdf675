#include "common/utf8.h"

#include <string.h>

static bool continues(uint8_t byte, uint8_t low, uint8_t high)
{
    return byte >= low && byte <= high;
}

// Length of a character whose first byte is not ASCII; the second byte's range depends on the first.
static size_t multibyte(const uint8_t *text, size_t n)
{
    uint8_t first = text[0], low = 0x80, high = 0xBF;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || n < length) return 0;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
    if (!continues(text[1], low, high)) return 0;
    for (size_t i = 2; i < length; i++) {
        if (!continues(text[i], 0x80, 0xBF)) return 0;
    }
    return length;
}

size_t ft_utf8_char(const char *text, size_t n)
{
    if (n == 0) return 0;
    return (uint8_t)text[0] < 0x80 ? 1 : multibyte((const uint8_t *)text, n);
}

size_t ft_utf8_valid(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        if (n - i >= sizeof word) {
            memcpy(&word, text + i, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t length = ft_utf8_char(text + i, n - i);
        if (length == 0) break;
        i += length;
    }
    return i;
}

size_t ft_utf8_encode(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) return out[0] = (char)code_point, 1;
    size_t bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = bytes - 1; i > 0; i--, code_point >>= 6) out[i] = (char)(0x80 | (code_point & 0x3F));
    static const uint8_t marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(marks[bytes] | code_point);
    return bytes;
}
