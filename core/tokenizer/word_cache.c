#include "tokenizer/word_cache.h"

#include <string.h>

#include "common/memory.h"

#define SLOTS 16384       // 2 MiB: stays in the second-level cache of a core
#define WORD_BYTES 62
#define WORD_TOKENS 16

// Two cache lines. bytes = 0: empty (no word is).
typedef struct {
    uint8_t bytes, n;
    char word[WORD_BYTES];
    int32_t ids[WORD_TOKENS];
} slot;
_Static_assert(sizeof(slot) == 128, "an entry is two cache lines");

struct ft_word_cache {
    slot slots[SLOTS];
};

ft_status ft_word_cache_new(ft_word_cache **cache)
{
    *cache = FT_NEW(ft_word_cache);
    FT_ALLOC_CHECK(*cache);
    return FT_OK;
}

void ft_word_cache_free(ft_word_cache *cache)
{
    ft_free(cache);
}

static uint64_t load(const char *bytes, size_t n)
{
    uint64_t word = 0;
    memcpy(&word, bytes, n);
    return word;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

static size_t slot_of(const char *word, size_t bytes)
{
    uint64_t hash = bytes;
    for (; bytes >= 8; word += 8, bytes -= 8) hash = mix(hash, load(word, 8));
    return mix(hash, load(word, bytes)) >> 8 & (SLOTS - 1);
}

const int32_t *ft_word_cache_find(const ft_word_cache *cache, const char *word, size_t bytes, int *n)
{
    if (bytes > WORD_BYTES) return NULL;
    const slot *entry = &cache->slots[slot_of(word, bytes)];
    if (entry->bytes != bytes || memcmp(entry->word, word, bytes) != 0) return NULL;
    *n = entry->n;
    return entry->ids;
}

void ft_word_cache_put(ft_word_cache *cache, const char *word, size_t bytes, const int32_t *ids, int64_t n)
{
    if (bytes == 0 || bytes > WORD_BYTES || n > WORD_TOKENS) return;
    slot *entry = &cache->slots[slot_of(word, bytes)];
    entry->bytes = (uint8_t)bytes;
    entry->n = (uint8_t)n;
    memcpy(entry->word, word, bytes);
    if (n > 0) memcpy(entry->ids, ids, (size_t)n * sizeof *ids);
}
