#include "tokenizer/vocab.h"

#include <string.h>

#include "common/memory.h"
#include "io/hash.h"

static ft_status grow_tokens(ft_vocab *vocab, int32_t n)
{
    if (n <= vocab->capacity) return FT_OK;
    int32_t capacity = vocab->capacity ? vocab->capacity : 1024;
    while (capacity < n) capacity *= 2;
    ft_token *tokens = ft_realloc(vocab->tokens, (size_t)capacity * sizeof *tokens);
    FT_ALLOC_CHECK(tokens);
    memset(tokens + vocab->capacity, 0, (size_t)(capacity - vocab->capacity) * sizeof *tokens);
    vocab->tokens = tokens;
    vocab->capacity = capacity;
    return FT_OK;
}

static ft_status grow_pool(ft_vocab *vocab, size_t bytes)
{
    if (bytes <= vocab->pool_capacity) return FT_OK;
    size_t capacity = vocab->pool_capacity ? vocab->pool_capacity : 1 << 16;
    while (capacity < bytes) capacity *= 2;
    if (capacity > UINT32_MAX) return ft_error(FT_E_INPUT, "the tokens hold more than 4 GiB of text");
    char *pool = ft_realloc(vocab->pool, capacity);
    FT_ALLOC_CHECK(pool);
    vocab->pool = pool;
    vocab->pool_capacity = capacity;
    return FT_OK;
}

ft_status ft_vocab_put(ft_vocab *vocab, int64_t id, const char *bytes, size_t n)
{
    if (id < 0 || id > FT_VOCAB_MAX_ID) {
        return ft_error(FT_E_INPUT, "token '%.*s' has id %lld, outside 0..%d", (int)n, bytes, (long long)id, FT_VOCAB_MAX_ID);
    }
    FT_TRY(grow_tokens(vocab, (int32_t)id + 1));
    FT_TRY(grow_pool(vocab, vocab->pool_bytes + n + 1));  // one more: there is a pool even if every token is empty
    if (n > 0) memcpy(vocab->pool + vocab->pool_bytes, bytes, n);
    ft_token *token = &vocab->tokens[id];
    token->offset = (uint32_t)vocab->pool_bytes;
    token->bytes = (uint32_t)n;
    token->present = true;
    vocab->pool_bytes += n;
    if (id >= vocab->n) vocab->n = (int32_t)id + 1;
    return FT_OK;
}

ft_status ft_vocab_index_init(ft_vocab *vocab, size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    vocab->index = ft_malloc(slots * sizeof *vocab->index);
    FT_ALLOC_CHECK(vocab->index);
    memset(vocab->index, -1, slots * sizeof *vocab->index);
    vocab->index_mask = slots - 1;
    return FT_OK;
}

// The slot that holds these bytes, or the free one where they belong.
static size_t find_slot(const ft_vocab *vocab, const char *bytes, size_t n)
{
    size_t slot = ft_hash64(bytes, n) & vocab->index_mask;
    for (; vocab->index[slot] >= 0; slot = (slot + 1) & vocab->index_mask) {
        const ft_token *token = &vocab->tokens[vocab->index[slot]];
        if (token->bytes == n && (n == 0 || memcmp(vocab->pool + token->offset, bytes, n) == 0)) break;
    }
    return slot;
}

void ft_vocab_index(ft_vocab *vocab, int32_t id)
{
    size_t n;
    const char *bytes = ft_vocab_bytes(vocab, id, &n);
    vocab->index[find_slot(vocab, bytes, n)] = id;
}

int32_t ft_vocab_find(const ft_vocab *vocab, const char *bytes, size_t n)
{
    return vocab->index[find_slot(vocab, bytes, n)];
}

const char *ft_vocab_bytes(const ft_vocab *vocab, int32_t id, size_t *n)
{
    *n = 0;
    if (id < 0 || id >= vocab->n || !vocab->tokens[id].present) return NULL;
    *n = vocab->tokens[id].bytes;
    return vocab->pool + vocab->tokens[id].offset;
}

void ft_vocab_free(ft_vocab *vocab)
{
    ft_free(vocab->tokens);
    ft_free(vocab->pool);
    ft_free(vocab->index);
    *vocab = (ft_vocab){0};
}
