// Packed bits and the RLE / bit-packing hybrid.
#include <string.h>

#include "io/parquet_internal.h"

unsigned ft_parquet_bit_width(uint32_t maximum)
{
    return maximum ? 32u - (unsigned)__builtin_clz(maximum) : 0;
}

bool ft_parquet_bits(const uint8_t *bytes, size_t n, uint64_t at, unsigned width, uint64_t *value)
{
    uint64_t first = at >> 3, low = 0;
    unsigned shift = at & 7, need = (shift + width + 7) / 8;
    if (first > n || need > n - first) return false;
    memcpy(&low, bytes + first, need < 8 ? need : 8);
    low >>= shift;
    if (need == 9) low |= (uint64_t)bytes[first + 8] << (64 - shift);
    *value = width == 64 ? low : low & ((1ull << width) - 1);
    return true;
}

void ft_parquet_runs_init(ft_parquet_runs *runs, const uint8_t *bytes, size_t n, unsigned width)
{
    *runs = (ft_parquet_runs){.at = bytes, .end = bytes + n, .width = width};
}

static bool run_header(ft_parquet_runs *runs, uint32_t *header)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35 && runs->at < runs->end; shift += 7) {
        uint8_t byte = *runs->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        *header = (uint32_t)value;
        return value <= UINT32_MAX;
    }
    return false;
}

// Some writers cut the last group of packed values short: what is there counts.
static bool begin_packed(ft_parquet_runs *runs, uint64_t groups)
{
    uint64_t bytes = groups * runs->width, available = (uint64_t)(runs->end - runs->at);
    runs->packed = runs->at;
    runs->left = groups * 8;
    if (bytes > available) {
        bytes = available;
        runs->left = available * 8 / runs->width;
    }
    runs->at += bytes;
    return true;
}

static bool begin_equal(ft_parquet_runs *runs, uint32_t n)
{
    size_t bytes = (runs->width + 7) / 8;
    if (bytes > (size_t)(runs->end - runs->at)) return false;
    runs->packed = NULL;
    runs->left = n;
    runs->value = 0;
    memcpy(&runs->value, runs->at, bytes);
    runs->at += bytes;
    return true;
}

bool ft_parquet_runs_next(ft_parquet_runs *runs, uint32_t *value)
{
    while (runs->left == 0) {
        uint32_t header;
        if (!run_header(runs, &header)) return false;
        if (!(header & 1 ? begin_packed(runs, header >> 1) : begin_equal(runs, header >> 1))) return false;
        runs->index = 0;
    }
    runs->left--;
    if (runs->packed == NULL) {
        *value = runs->value;
        return true;
    }
    uint64_t bits;
    if (!ft_parquet_bits(runs->packed, (size_t)(runs->end - runs->packed), runs->index++ * runs->width, runs->width, &bits))
        return false;
    *value = (uint32_t)bits;
    return true;
}
