#include "tokenizer/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tokenizer/unicode.h"
#include "common/utf8.h"

ft_status ft_added_tokens_add(ft_added_tokens *added, ft_added_token token)
{
    if (added->n == added->capacity) {
        int capacity = added->capacity ? 2 * added->capacity : 64;
        ft_added_token *items = ft_realloc(added->items, (size_t)capacity * sizeof *items);
        FT_ALLOC_CHECK(items);
        added->items = items;
        added->capacity = capacity;
    }
    token.text = ft_strndup(token.text, token.bytes);
    FT_ALLOC_CHECK(token.text);
    added->items[added->n++] = token;
    return FT_OK;
}

static int compare(const void *a, const void *b)
{
    const ft_added_token *left = a, *right = b;
    int by_byte = (uint8_t)left->text[0] - (uint8_t)right->text[0];
    if (by_byte != 0) return by_byte;
    if (left->bytes != right->bytes) return left->bytes > right->bytes ? -1 : 1;
    return left->id - right->id;
}

static void note_start(ft_added_tokens *added, const ft_added_token *token)
{
    uint32_t *row = added->starts[(uint8_t)token->text[0]];
    uint8_t second = token->bytes > 1 ? (uint8_t)token->text[1] : 0;
    if (token->bytes == 1) memset(row, -1, sizeof added->starts[0]);
    else row[second >> 5] |= 1u << (second & 31);
}

void ft_added_tokens_sort(ft_added_tokens *added)
{
    if (added->n > 0) qsort(added->items, (size_t)added->n, sizeof *added->items, compare);
    int item = 0;
    for (int byte = 0; byte <= 256; byte++) {
        while (item < added->n && (uint8_t)added->items[item].text[0] < byte) item++;
        added->first[byte] = item;
    }
    for (int i = 0; i < added->n; i++) note_start(added, &added->items[i]);
}

void ft_added_tokens_free(ft_added_tokens *added)
{
    for (int i = 0; i < added->n; i++) ft_free(added->items[i].text);
    ft_free(added->items);
    *added = (ft_added_tokens){0};
}

static const ft_added_token *match_at(const ft_added_tokens *added, bool normalized, const char *text, size_t bytes)
{
    uint8_t byte = (uint8_t)text[0];
    for (int i = added->first[byte]; i < added->first[byte + 1]; i++) {
        const ft_added_token *token = &added->items[i];
        if (token->normalized != normalized || token->bytes > bytes) continue;
        if (memcmp(token->text, text, token->bytes) == 0) return token;
    }
    return NULL;
}

const ft_added_token *ft_added_tokens_find(const ft_added_tokens *added, bool normalized, const char *text, size_t bytes,
                                           size_t from, size_t *begin)
{
    if (added->n == 0) return NULL;
    for (size_t i = from; i < bytes; i++) {
        uint8_t second = i + 1 < bytes ? (uint8_t)text[i + 1] : 0;
        if (!(added->starts[(uint8_t)text[i]][second >> 5] >> (second & 31) & 1)) continue;
        const ft_added_token *token = match_at(added, normalized, text + i, bytes - i);
        if (token == NULL) continue;
        *begin = i;
        return token;
    }
    return NULL;
}

// Whether the character that begins at `at` has the class, and its length.
static bool starts_with(const char *text, size_t bytes, size_t at, uint8_t class, size_t *n)
{
    *n = ft_utf8_char(text + at, bytes - at);
    return *n > 0 && (ft_unicode_classes()[ft_utf8_decode(text + at, n)] & class);
}

// The same of the character that ends at `at`.
static bool ends_with(const char *text, size_t at, uint8_t class, size_t *n)
{
    for (*n = 1; *n <= 4 && *n <= at; ++*n) {
        size_t length;
        if (((uint8_t)text[at - *n] & 0xC0) != 0x80) return starts_with(text, at, at - *n, class, &length) && length == *n;
    }
    return false;
}

bool ft_added_token_span(const ft_added_token *token, const char *text, size_t bytes, size_t done, size_t *begin, size_t *end)
{
    size_t n;
    *end = *begin + token->bytes;
    if (token->lstrip && *end <= done) return false;  // white space that a token before took along
    if (token->single_word && (ends_with(text, *begin, FT_WORD, &n) || starts_with(text, bytes, *end, FT_WORD, &n))) return false;
    while (token->lstrip && *begin > done && ends_with(text, *begin, FT_SPACE, &n)) *begin -= n;
    while (token->rstrip && starts_with(text, bytes, *end, FT_SPACE, &n)) *end += n;
    return true;
}
