// Added tokens: strings that become one id wherever they stand in the text, before any splitting. The leftmost, then longest
// match wins. Tokens marked `normalized` are looked for in what the others left (the order of Hugging Face's tokenizers).
#ifndef FT_DATA_ADDED_TOKENS_H
#define FT_DATA_ADDED_TOKENS_H

#include "data/vocab.h"

typedef struct {
    int32_t id;
    uint32_t bytes;
    bool normalized;
} ft_added_token;

typedef struct {
    ft_added_token *items;   // after ft_added_tokens_sort: by first byte, the longest first
    int n, capacity;
    int first[257];          // items[first[b] .. first[b + 1]) start with byte b
} ft_added_tokens;

// The token's bytes are those of `id` in the vocabulary.
ft_status ft_added_tokens_add(ft_added_tokens *added, const ft_vocab *vocab, int32_t id, bool normalized);
void ft_added_tokens_sort(ft_added_tokens *added, const ft_vocab *vocab);
void ft_added_tokens_free(ft_added_tokens *added);

// The next match of the pass (`normalized` or not) at or after `from`: its id with [*begin, *end), or -1.
int32_t ft_added_tokens_find(const ft_added_tokens *added, const ft_vocab *vocab, bool normalized, const char *text,
                             size_t bytes, size_t from, size_t *begin, size_t *end);

#endif
