#include "io/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
// Header-only: static libfyaml carries an xxHash of its own, and two of them do not link.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/memory.h"

struct ft_hasher {
    XXH3_state_t *state;
};

uint64_t ft_hash64(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

ft_hash128 ft_hash128_of(const void *data, size_t bytes)
{
    XXH128_hash_t hash = XXH3_128bits(data, bytes);
    return (ft_hash128){.high = hash.high64, .low = hash.low64};
}

bool ft_hash128_equal(ft_hash128 a, ft_hash128 b)
{
    return a.high == b.high && a.low == b.low;
}

// Most significant digit first: the text `xxhsum -H128` prints.
char *ft_hash128_text(ft_hash128 hash, char text[FT_HASH_TEXT])
{
    snprintf(text, FT_HASH_TEXT, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
    return text;
}

ft_status ft_hash128_parse(const char *text, ft_hash128 *hash)
{
    static const char digits[] = "0123456789abcdef";
    ft_hash128 parsed = {0};
    if (strlen(text) != FT_HASH_TEXT - 1) return ft_error(FT_E_INPUT, "\"%.40s\" is not a hash of 32 hexadecimal digits", text);
    for (int i = 0; i < FT_HASH_TEXT - 1; i++) {
        const char *digit = strchr(digits, text[i]);
        if (digit == NULL) return ft_error(FT_E_INPUT, "\"%.40s\" is not a hash: digit %d", text, i + 1);
        parsed.high = parsed.high << 4 | parsed.low >> 60;
        parsed.low = parsed.low << 4 | (uint64_t)(digit - digits);
    }
    *hash = parsed;
    return FT_OK;
}

ft_status ft_hasher_new(ft_hasher **hasher)
{
    *hasher = FT_NEW(ft_hasher);
    FT_ALLOC_CHECK(*hasher);
    (*hasher)->state = XXH3_createState();  // aligned to 64, which ft_malloc does not promise
    if ((*hasher)->state == NULL) {
        ft_free(*hasher);
        *hasher = NULL;
        return ft_error(FT_E_NOMEM, "out of memory: no state for a hash");
    }
    XXH3_128bits_reset((*hasher)->state);
    return FT_OK;
}

void ft_hasher_add(ft_hasher *hasher, const void *data, size_t bytes)
{
    XXH3_128bits_update(hasher->state, data, bytes);
}

ft_hash128 ft_hasher_finish(const ft_hasher *hasher)
{
    XXH128_hash_t hash = XXH3_128bits_digest(hasher->state);
    return (ft_hash128){.high = hash.high64, .low = hash.low64};
}

void ft_hasher_free(ft_hasher *hasher)
{
    if (hasher == NULL) return;
    XXH3_freeState(hasher->state);
    ft_free(hasher);
}
