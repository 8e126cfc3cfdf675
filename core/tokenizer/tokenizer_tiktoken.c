// tokenizer.model as Meta ships it with Llama 3, in tiktoken's format: a line "base64-of-the-token rank" for every token, id and
// rank being the same. The file has neither the pattern nor the special tokens; Llama 3's are put in (names as in Hugging Face's
// tokenizer.json of Llama 3.1), and a file of another size is refused.
//
// tiktoken merges the neighbours whose concatenation has the lowest rank, the leftmost of equals: every split of a token into two
// tokens is a merge with the token's own rank. A word that is a token is not merged.
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tokenizer/tokenizer_impl.h"

#define LLAMA3_TOKENS 128000
#define LLAMA3_SPECIAL 256
#define TOKEN_BYTES 1024

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Decodes base64 up to the space after it; returns what follows it, NULL if it is not base64.
static const char *decode(const char *at, const char *end, char token[TOKEN_BYTES], size_t *bytes)
{
    uint32_t bits = 0;
    int n_bits = 0;
    *bytes = 0;
    for (; at < end && sextet(*at) >= 0; at++) {
        bits = bits << 6 | (uint32_t)sextet(*at);
        n_bits += 6;
        if (n_bits < 8) continue;
        if (*bytes == TOKEN_BYTES) return NULL;
        n_bits -= 8;
        token[(*bytes)++] = (char)(bits >> n_bits);
    }
    while (at < end && *at == '=') at++;
    return at < end && *at == ' ' && *bytes > 0 ? at + 1 : NULL;
}

// One line; returns the start of the next, NULL if this is none of the format.
static const char *read_line(const char *at, const char *end, char token[TOKEN_BYTES], size_t *bytes, int64_t *rank)
{
    at = decode(at, end, token, bytes);
    const char *digits = at;
    for (*rank = 0; at != NULL && at < end && *at >= '0' && *at <= '9' && at - digits < 9; at++) *rank = *rank * 10 + (*at - '0');
    if (at == NULL || at == digits) return NULL;
    if (at < end && *at == '\r') at++;
    if (at == end) return at;
    return *at == '\n' ? at + 1 : NULL;
}

bool ft_tokenizer_is_tiktoken(const char *text, size_t bytes)
{
    char token[TOKEN_BYTES];
    size_t n;
    int64_t rank;
    return bytes > 0 && read_line(text, text + bytes, token, &n, &rank) != NULL;
}

static size_t count_lines(const char *text, size_t bytes)
{
    size_t lines = bytes > 0 && text[bytes - 1] != '\n';
    for (const char *at = text; (at = memchr(at, '\n', bytes - (size_t)(at - text))) != NULL; at++) lines++;
    return lines;
}

static ft_status read_tokens(ft_vocab *vocab, const char *text, size_t bytes)
{
    char token[TOKEN_BYTES];
    size_t n;
    int64_t rank;
    int line = 0;
    for (const char *at = text, *end = text + bytes; at < end;) {
        at = read_line(at, end, token, &n, &rank);
        line++;
        if (at == NULL) return ft_error(FT_E_INPUT, "line %d is not a token in base64 and its rank", line);
        if (rank >= LLAMA3_TOKENS || vocab->tokens[rank].present)
            return ft_error(FT_E_INPUT, "line %d: rank %lld is not free", line, (long long)rank);
        FT_TRY(ft_vocab_put(vocab, rank, token, n));
        ft_vocab_index(vocab, (int32_t)rank);
    }
    return FT_OK;
}

// Calls for every way to split a token into two; merges are entered if `bpe` is there, and counted.
static ft_status visit_splits(const ft_vocab *vocab, ft_bpe *bpe, size_t *count)
{
    *count = 0;
    for (int32_t id = 0; id < vocab->n; id++) {
        size_t n;
        const char *token = ft_vocab_bytes(vocab, id, &n);
        for (size_t left = 1; left < n; left++) {
            if (ft_vocab_find(vocab, token, left) < 0 || ft_vocab_find(vocab, token + left, n - left) < 0) continue;
            ++*count;
            if (bpe) FT_TRY(ft_bpe_add_merge(bpe, id, token, left, token + left, n - left));
        }
    }
    return FT_OK;
}

static void special_name(int i, char name[64])
{
    static const char *const names[] = {"begin_of_text", "end_of_text", NULL, NULL, "finetune_right_pad_id", NULL,
                                        "start_header_id", "end_header_id", "eom_id", "eot_id", "python_tag"};
    const int named = sizeof names / sizeof *names;
    int reserved = i < 4 ? i - 2 : i < named ? 2 : i - 8;
    if (i < named && names[i] != NULL) snprintf(name, 64, "<|%s|>", names[i]);
    else snprintf(name, 64, "<|reserved_special_token_%d|>", reserved);
}

static ft_status add_specials(ft_tokenizer *tokenizer)
{
    for (int i = 0; i < LLAMA3_SPECIAL; i++) {
        char name[64];
        special_name(i, name);
        FT_TRY(ft_tokenizer_add_token(tokenizer, LLAMA3_TOKENS + i, name, true, (ft_added_token){0}));
    }
    ft_added_tokens_sort(&tokenizer->added);
    tokenizer->bos = LLAMA3_TOKENS;
    tokenizer->eos = LLAMA3_TOKENS + 1;
    tokenizer->adds_bos = true;
    return FT_OK;
}

ft_status ft_tokenizer_read_tiktoken(ft_tokenizer *tokenizer, const char *text, size_t bytes)
{
    size_t lines = count_lines(text, bytes), merges;
    ft_vocab *vocab = &tokenizer->vocab;
    ft_bpe *bpe = &tokenizer->bpe;
    if (lines != LLAMA3_TOKENS) {
        return ft_error(FT_E_UNSUPPORTED, "tiktoken's format with %zu tokens: only Llama 3's %d are known; save a tokenizer.json "
                        "with transformers' AutoTokenizer", lines, LLAMA3_TOKENS);
    }
    FT_TRY(ft_vocab_index_init(vocab, lines));
    FT_TRY(ft_vocab_put(vocab, LLAMA3_TOKENS + LLAMA3_SPECIAL - 1, "", 0));  // makes room for all
    FT_TRY(read_tokens(vocab, text, bytes));
    FT_TRY(visit_splits(vocab, NULL, &merges));
    bpe->unknown = -1;
    bpe->ignore_merges = true;
    FT_TRY(ft_bpe_init(bpe, vocab, merges));
    FT_TRY(visit_splits(vocab, bpe, &merges));
    FT_TRY(ft_pretokenizer_add(&tokenizer->pretokenizer, FT_PATTERN_LLAMA3));
    return add_specials(tokenizer);
}
