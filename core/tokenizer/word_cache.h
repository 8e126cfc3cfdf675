// A direct-mapped cache from words to their tokens, for one thread. Text repeats its words: most of them are found here.
#ifndef FT_TOKENIZER_WORD_CACHE_H
#define FT_TOKENIZER_WORD_CACHE_H

#include "common/status.h"

typedef struct ft_word_cache ft_word_cache;

ft_status ft_word_cache_new(ft_word_cache **cache);
void ft_word_cache_free(ft_word_cache *cache);
// The tokens of a word and their number, NULL if it is not there. Valid until the next put.
const int32_t *ft_word_cache_find(const ft_word_cache *cache, const char *word, size_t bytes, int *n);
// Keeps a word, unless it or its tokens are too long for an entry.
void ft_word_cache_put(ft_word_cache *cache, const char *word, size_t bytes, const int32_t *ids, int64_t n);

#endif
