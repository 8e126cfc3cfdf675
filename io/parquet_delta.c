// DELTA_BINARY_PACKED: a header (values of a block, miniblocks of a block, values in all, first value), then blocks of
// (smallest delta, bits of a delta in each miniblock, miniblocks). The last block has only the miniblocks it needs.
#include "io/parquet_internal.h"

static bool varint(ft_parquet_delta *delta, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && delta->at < delta->end; shift += 7) {
        uint8_t byte = *delta->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

static bool zigzag(ft_parquet_delta *delta, uint64_t *value)
{
    if (!varint(delta, value)) return false;
    *value = *value >> 1 ^ (~(*value & 1) + 1);
    return true;
}

bool ft_parquet_delta_init(ft_parquet_delta *delta, const uint8_t *bytes, size_t n)
{
    uint64_t block;
    *delta = (ft_parquet_delta){.at = bytes, .end = bytes + n, .first = true};
    if (!varint(delta, &block) || !varint(delta, &delta->minis) || !varint(delta, &delta->left) || !zigzag(delta, &delta->last))
        return false;
    if (delta->minis == 0 || block % delta->minis != 0 || block > UINT32_MAX) return false;
    delta->mini_values = block / delta->minis;
    delta->mini = delta->minis;
    return delta->mini_values > 0 && delta->mini_values % 8 == 0;
}

static bool begin_block(ft_parquet_delta *delta)
{
    if (!zigzag(delta, &delta->min_delta) || delta->minis > (uint64_t)(delta->end - delta->at)) return false;
    delta->widths = delta->at;
    delta->at += delta->minis;
    delta->mini = 0;
    return true;
}

// The last miniblock may lack the padding behind its last value.
static bool begin_mini(ft_parquet_delta *delta)
{
    if (delta->mini == delta->minis && !begin_block(delta)) return false;
    delta->width = delta->widths[delta->mini++];
    if (delta->width > 64) return false;
    uint64_t bytes = delta->mini_values / 8 * delta->width, available = (uint64_t)(delta->end - delta->at);
    delta->bits = delta->at;
    delta->bits_bytes = (size_t)(bytes < available ? bytes : available);
    delta->at += delta->bits_bytes;
    delta->in_mini = 0;
    delta->mini_left = delta->mini_values;
    return true;
}

bool ft_parquet_delta_next(ft_parquet_delta *delta, int64_t *value)
{
    uint64_t packed = 0;
    if (delta->left == 0) return false;
    if (!delta->first) {
        if (delta->mini_left == 0 && !begin_mini(delta)) return false;
        uint64_t bit = delta->in_mini++ * delta->width;
        if (!ft_parquet_bits(delta->bits, delta->bits_bytes, bit, delta->width, &packed)) return false;
        delta->mini_left--;
        delta->last += delta->min_delta + packed;
    }
    delta->first = false;
    delta->left--;
    *value = (int64_t)delta->last;
    return true;
}

const uint8_t *ft_parquet_delta_end(const ft_parquet_delta *delta)
{
    ft_parquet_delta scan = *delta;
    if (scan.left > 0 && scan.first) scan.left--;
    while (scan.left > 0) {
        if (!begin_mini(&scan)) return NULL;
        scan.left -= scan.left < scan.mini_values ? scan.left : scan.mini_values;
    }
    return scan.at;
}
