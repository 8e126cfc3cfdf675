#include "data/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

ft_status ft_added_tokens_add(ft_added_tokens *added, const ft_vocab *vocab, int32_t id, bool normalized)
{
    size_t bytes;
    ft_vocab_bytes(vocab, id, &bytes);
    if (added->n == added->capacity) {
        int capacity = added->capacity ? 2 * added->capacity : 64;
        ft_added_token *items = ft_realloc(added->items, (size_t)capacity * sizeof *items);
        FT_ALLOC_CHECK(items);
        added->items = items;
        added->capacity = capacity;
    }
    added->items[added->n++] = (ft_added_token){.id = id, .bytes = (uint32_t)bytes, .normalized = normalized};
    return FT_OK;
}

static uint8_t first_byte(const ft_vocab *vocab, const ft_added_token *token)
{
    size_t bytes;
    return (uint8_t)ft_vocab_bytes(vocab, token->id, &bytes)[0];
}

static int compare(const void *a, const void *b, void *vocab)
{
    const ft_added_token *left = a, *right = b;
    int by_byte = first_byte(vocab, left) - first_byte(vocab, right);
    if (by_byte != 0) return by_byte;
    if (left->bytes != right->bytes) return left->bytes > right->bytes ? -1 : 1;
    return left->id - right->id;
}

void ft_added_tokens_sort(ft_added_tokens *added, const ft_vocab *vocab)
{
    if (added->n > 0) qsort_r(added->items, (size_t)added->n, sizeof *added->items, compare, (void *)vocab);
    int item = 0;
    for (int byte = 0; byte <= 256; byte++) {
        while (item < added->n && first_byte(vocab, &added->items[item]) < byte) item++;
        added->first[byte] = item;
    }
}

void ft_added_tokens_free(ft_added_tokens *added)
{
    ft_free(added->items);
    *added = (ft_added_tokens){0};
}

static const ft_added_token *match_at(const ft_added_tokens *added, const ft_vocab *vocab, bool normalized, const char *text,
                                      size_t bytes)
{
    uint8_t byte = (uint8_t)text[0];
    for (int i = added->first[byte]; i < added->first[byte + 1]; i++) {
        const ft_added_token *token = &added->items[i];
        size_t n;
        if (token->normalized != normalized || token->bytes > bytes) continue;
        if (memcmp(ft_vocab_bytes(vocab, token->id, &n), text, token->bytes) == 0) return token;
    }
    return NULL;
}

int32_t ft_added_tokens_find(const ft_added_tokens *added, const ft_vocab *vocab, bool normalized, const char *text,
                             size_t bytes, size_t from, size_t *begin, size_t *end)
{
    if (added->n == 0) return -1;
    for (size_t i = from; i < bytes; i++) {
        uint8_t byte = (uint8_t)text[i];
        if (added->first[byte] == added->first[byte + 1]) continue;
        const ft_added_token *token = match_at(added, vocab, normalized, text + i, bytes - i);
        if (token == NULL) continue;
        *begin = i;
        *end = i + token->bytes;
        return token->id;
    }
    return -1;
}
