// Where the tokens of a word end in it. Tokens are as long as their text, except where the vocabulary lacks units: a token for
// the unknown stands for one unit or a run of them, one for a byte is written "<0xE2>", and units that vanish lie before, after
// or inside other tokens.
#include "tokenizer/bpe.h"

typedef struct {
    const ft_bpe *bpe;
    const char *word;
    size_t bytes;
} subject;

// Whether the unit at `at` has a token, and its length.
static bool known(const subject *s, size_t at, size_t *n)
{
    int32_t id;
    *n = ft_bpe_unit(s->bpe, s->word + at, s->bytes - at, &id);
    return id >= 0;
}

// Adds up lengths; whether they come out at the length of the word, so that no unit vanished.
static bool ends_by_length(const subject *s, const int32_t *ids, int64_t n, int64_t *ends)
{
    size_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ft_bpe_is_substitute(s->bpe, ids[i])) return false;
        at += s->bpe->vocab->tokens[ids[i]].bytes;
        ends[i] = (int64_t)at;
    }
    return at == s->bytes;
}

static size_t skip_vanished(const subject *s, size_t at)
{
    size_t n;
    while (at < s->bytes && s->bpe->unknown < 0 && !known(s, at, &n)) {
        if (ft_bpe_falls_back(s->bpe, s->word + at, n)) break;
        at += n;
    }
    return at;
}

static size_t skip_unknown(const subject *s, size_t at)
{
    size_t n;
    known(s, at, &n);
    do at += n;
    while (s->bpe->fuse_unknown && at < s->bytes && !known(s, at, &n) && !ft_bpe_falls_back(s->bpe, s->word + at, n));
    return at;
}

// One token; *left is what the unit at `at` still has of bytes to fall back to.
static size_t skip_token(const subject *s, size_t at, uint32_t token_bytes, size_t *left)
{
    size_t n;
    if (*left > 0) return --*left, at + 1;
    at = skip_vanished(s, at);
    if (at < s->bytes && !known(s, at, &n)) {
        if (!ft_bpe_falls_back(s->bpe, s->word + at, n)) return skip_unknown(s, at);
        *left = n - 1;
        return at + 1;
    }
    for (size_t end = 0; end < token_bytes && at < s->bytes; at = skip_vanished(s, at)) {
        known(s, at, &n);
        at += n;
        end += n;
    }
    return at;
}

void ft_bpe_ends(const ft_bpe *bpe, const char *word, size_t bytes, const int32_t *ids, int64_t n, int64_t *ends)
{
    const subject s = {bpe, word, bytes};
    size_t at = 0, left = 0;
    if (n == 0 || ends_by_length(&s, ids, n, ends)) return;
    for (int64_t i = 0; i < n; i++) {
        if (at < bytes) at = skip_token(&s, at, bpe->vocab->tokens[ids[i]].bytes, &left);
        ends[i] = (int64_t)at;
    }
    ends[n - 1] = (int64_t)bytes;
}
