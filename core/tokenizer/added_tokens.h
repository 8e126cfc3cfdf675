// Added tokens: strings that become one id wherever they stand in the text, before any splitting. The leftmost, then longest
// match wins. Tokens marked `normalized` are looked for in what the others left, after it was normalized (the order of Hugging
// Face's tokenizers, added_vocabulary.rs).
#ifndef FT_TOKENIZER_ADDED_TOKENS_H
#define FT_TOKENIZER_ADDED_TOKENS_H

#include "common/status.h"

typedef struct {
    char *text;
    size_t bytes;
    int32_t id;
    bool normalized;
    bool lstrip, rstrip;     // takes the white space before / after it along
    bool single_word;        // matches only where no word character stands beside it
} ft_added_token;

typedef struct {
    ft_added_token *items;   // after ft_added_tokens_sort: by first byte, the longest first
    int n, capacity;
    int first[257];          // items[first[b] .. first[b + 1]) start with byte b
    uint32_t starts[256][8]; // bit y of row x: some token starts with bytes x y, or is x alone
} ft_added_tokens;

// Copies token.text[bytes], which is not empty.
ft_status ft_added_tokens_add(ft_added_tokens *added, ft_added_token token);
void ft_added_tokens_sort(ft_added_tokens *added);
void ft_added_tokens_free(ft_added_tokens *added);

// The next match of the pass (`normalized` or not) at or after `from`, which begins at *begin; NULL if there is none.
const ft_added_token *ft_added_tokens_find(const ft_added_tokens *added, bool normalized, const char *text, size_t bytes,
                                           size_t from, size_t *begin);
// Whether a match at *begin counts, where text before `done` is taken, and [*begin, *end) with the white space it takes along.
bool ft_added_token_span(const ft_added_token *token, const char *text, size_t bytes, size_t done, size_t *begin, size_t *end);

#endif
