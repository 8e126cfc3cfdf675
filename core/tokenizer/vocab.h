// The tokens of a tokenizer: id -> bytes, and bytes -> id for the tokens of the model (added tokens are matched as text,
// see added_tokens.h). Built by one thread, then read-only.
#ifndef FT_TOKENIZER_VOCAB_H
#define FT_TOKENIZER_VOCAB_H

#include "common/status.h"

typedef struct {
    uint32_t offset, bytes;  // in pool
    bool present, special;
} ft_token;

typedef struct {
    ft_token *tokens;        // [n], by id; ids nobody claimed are not `present`
    int32_t n, capacity;
    char *pool;              // bytes of all tokens
    size_t pool_bytes, pool_capacity;
    int32_t *index;          // open addressing over the hash of the bytes; id or -1
    size_t index_mask;
} ft_vocab;

#define FT_VOCAB_MAX_ID (1 << 20)  // four times the largest published vocabulary: a damaged file must not take the memory

// Gives `id` its bytes (copied), replacing what it had. FT_E_INPUT for an id outside 0 .. FT_VOCAB_MAX_ID.
ft_status ft_vocab_put(ft_vocab *vocab, int64_t id, const char *bytes, size_t n);
// Makes room in the index for `count` tokens; once, before ft_vocab_index.
ft_status ft_vocab_index_init(ft_vocab *vocab, size_t count);
// Enters a token that has its bytes.
void ft_vocab_index(ft_vocab *vocab, int32_t id);
// The indexed token with these bytes, -1 if none.
int32_t ft_vocab_find(const ft_vocab *vocab, const char *bytes, size_t n);
const char *ft_vocab_bytes(const ft_vocab *vocab, int32_t id, size_t *n);  // NULL and 0 for an unknown id
void ft_vocab_free(ft_vocab *vocab);

#endif
