// Where the tokens of a word end in it. Tokens are as long as their text, except where the vocabulary lacks bytes: a token for
// the unknown stands for one byte or a run of them, and bytes that vanish lie before, after or inside other tokens.
#include "data/bpe.h"

static bool known(const ft_bpe *bpe, char byte)
{
    return bpe->byte_id[(uint8_t)byte] >= 0;
}

// Adds up lengths; whether they come out at the length of the word.
static bool ends_by_length(const ft_bpe *bpe, size_t bytes, const int32_t *ids, int64_t n, int64_t *ends)
{
    size_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        at += bpe->vocab->tokens[ids[i]].bytes;
        ends[i] = (int64_t)at;
    }
    return at == bytes;
}

static size_t skip_vanished(const ft_bpe *bpe, const char *word, size_t bytes, size_t at)
{
    while (at < bytes && bpe->unknown < 0 && !known(bpe, word[at])) at++;
    return at;
}

static size_t skip_unknown(const ft_bpe *bpe, const char *word, size_t bytes, size_t at)
{
    do at++;
    while (bpe->fuse_unknown && at < bytes && !known(bpe, word[at]));
    return at;
}

static size_t skip_token(const ft_bpe *bpe, const char *word, size_t bytes, size_t at, uint32_t token_bytes)
{
    at = skip_vanished(bpe, word, bytes, at);
    if (at < bytes && !known(bpe, word[at])) return skip_unknown(bpe, word, bytes, at);
    for (uint32_t i = 0; i < token_bytes; i++) at = skip_vanished(bpe, word, bytes, at < bytes ? at + 1 : at);
    return at;
}

void ft_bpe_ends(const ft_bpe *bpe, const char *word, size_t bytes, const int32_t *ids, int64_t n, int64_t *ends)
{
    if (n == 0 || ends_by_length(bpe, bytes, ids, n, ends)) return;
    size_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        at = skip_token(bpe, word, bytes, at, bpe->vocab->tokens[ids[i]].bytes);
        ends[i] = (int64_t)at;
    }
    ends[n - 1] = (int64_t)bytes;
}
