#include "tokenizer/tokenizer.h"

#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/tokenizer_impl.h"
#include "io/hash.h"

#define FILE_BYTES (512u << 20)  // the largest published tokenizer.json is about 33 MB

// *file: the heap path, if there is such a file and none was found before; the path is freed otherwise.
static ft_status take_path(char **file, char *path)
{
    FT_ALLOC_CHECK(path);
    if (*file == NULL && ft_path_exists(path)) *file = path;
    else ft_free(path);
    return FT_OK;
}

static ft_status find_file(const char *path, char **file, char **directory)
{
    if (!ft_path_is_directory(path)) {
        *directory = ft_path_parent(path);
        FT_ALLOC_CHECK(*directory);
        FT_TRY(take_path(file, ft_strdup(path)));
        return *file ? FT_OK : ft_error(FT_E_NOT_FOUND, "%s: no such file", path);
    }
    *directory = ft_strdup(path);
    FT_ALLOC_CHECK(*directory);
    FT_TRY(take_path(file, ft_path_join(path, "tokenizer.json")));
    FT_TRY(take_path(file, ft_path_join(path, "tokenizer.model")));
    if (*file != NULL) return FT_OK;
    return ft_error(FT_E_NOT_FOUND, "%s/tokenizer.json: no such file, nor a tokenizer.model beside it; --tokenizer DIR takes one from "
                    "elsewhere", path);
}

static bool is_json(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && strchr(" \t\r\n", text[at]) != NULL && text[at] != 0) at++;
    return at < bytes && text[at] == '{';
}

static ft_status read_contents(ft_tokenizer *tokenizer, const char *text, size_t bytes)
{
    tokenizer->hash = ft_hash64(text, bytes);
    if (is_json(text, bytes)) return ft_tokenizer_parse(tokenizer, text, bytes);
    if (ft_tokenizer_is_tiktoken(text, bytes)) return ft_tokenizer_read_tiktoken(tokenizer, text, bytes);
    return ft_tokenizer_read_spm(tokenizer, text, bytes);
}

static ft_status read_file(ft_tokenizer *tokenizer)
{
    char *text;
    size_t bytes;
    FT_TRY(ft_file_read(tokenizer->path, FILE_BYTES, &text, &bytes));
    ft_status status = read_contents(tokenizer, text, bytes);
    ft_free(text);
    return status == FT_OK ? FT_OK : ft_error_prefix(status, "%s", tokenizer->path);
}

static ft_status tokenizer_new(ft_tokenizer **result)
{
    ft_tokenizer *tokenizer = FT_NEW(ft_tokenizer);
    FT_ALLOC_CHECK(tokenizer);
    tokenizer->bos = tokenizer->eos = tokenizer->pad = -1;
    ft_status status = ft_tokenizer_works_new(&tokenizer->works);
    if (status == FT_OK) *result = tokenizer;
    else ft_tokenizer_free(tokenizer);
    return status;
}

ft_status ft_tokenizer_from_bytes(ft_tokenizer **result, const char *bytes, size_t n)
{
    ft_tokenizer *tokenizer;
    *result = NULL;
    FT_TRY(tokenizer_new(&tokenizer));
    tokenizer->path = ft_strdup("a tokenizer in memory");
    ft_status status = tokenizer->path ? read_contents(tokenizer, bytes, n) : FT_E_NOMEM;
    if (status == FT_OK) *result = tokenizer;
    else ft_tokenizer_free(tokenizer);
    return status;
}

ft_status ft_tokenizer_open(ft_tokenizer **result, const char *path)
{
    char *directory = NULL;
    ft_tokenizer *tokenizer;
    ft_status status;
    *result = NULL;
    FT_TRY(tokenizer_new(&tokenizer));
    FT_TRY_GOTO(status, out, find_file(path, &tokenizer->path, &directory));
    FT_TRY_GOTO(status, out, read_file(tokenizer));
    status = ft_tokenizer_read_special(tokenizer, directory);
    if (status != FT_OK) ft_error_prefix(status, "%s", directory);
out:
    ft_free(directory);
    if (status == FT_OK) *result = tokenizer;
    else ft_tokenizer_free(tokenizer);
    return status;
}

void ft_tokenizer_free(ft_tokenizer *tokenizer)
{
    if (tokenizer == NULL) return;
    ft_tokenizer_works_free(tokenizer->works);
    ft_normalizer_free(&tokenizer->normalizer);
    ft_pretokenizer_free(&tokenizer->pretokenizer);
    ft_added_tokens_free(&tokenizer->added);
    ft_decoder_free(&tokenizer->decoder);
    ft_bpe_free(&tokenizer->bpe);
    ft_vocab_free(&tokenizer->vocab);
    ft_vocab_free(&tokenizer->shown);
    ft_free(tokenizer->path);
    ft_free(tokenizer);
}

int32_t ft_tokenizer_vocab(const ft_tokenizer *tokenizer)
{
    return tokenizer->vocab.n;
}

static int32_t find_added(const ft_tokenizer *tokenizer, const char *token)
{
    size_t n = strlen(token), bytes;
    for (int i = 0; i < tokenizer->added.n; i++) {
        int32_t id = tokenizer->added.items[i].id;
        const char *content = ft_vocab_bytes(&tokenizer->vocab, id, &bytes);
        if (bytes == n && memcmp(content, token, n) == 0) return id;
    }
    return -1;
}

int32_t ft_tokenizer_id(const ft_tokenizer *tokenizer, const char *token)
{
    char bytes[1024];
    int32_t id = find_added(tokenizer, token);
    if (id >= 0) return id;
    if (tokenizer->bpe.characters) return ft_vocab_find(&tokenizer->vocab, token, strlen(token));
    if (strlen(token) > sizeof bytes) return -1;
    int64_t n = ft_byte_level_decode(token, strlen(token), bytes);
    return n < 0 ? -1 : ft_vocab_find(&tokenizer->vocab, bytes, (size_t)n);
}

int32_t ft_tokenizer_bos(const ft_tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t ft_tokenizer_eos(const ft_tokenizer *tokenizer)
{
    return tokenizer->eos;
}

int32_t ft_tokenizer_pad(const ft_tokenizer *tokenizer)
{
    return tokenizer->pad >= 0 ? tokenizer->pad : tokenizer->eos;
}

bool ft_tokenizer_adds_bos(const ft_tokenizer *tokenizer)
{
    return tokenizer->adds_bos;
}

ft_status ft_tokenizer_set_special(ft_tokenizer *tokenizer, const char *role, const char *token)
{
    int32_t id = ft_tokenizer_id(tokenizer, token);
    if (id < 0) {
        return ft_error(FT_E_INPUT, "special_tokens: %s_token '%.80s' is not in the vocabulary of %s", role, token,
                        tokenizer->path);
    }
    if (strcmp(role, "bos") == 0) tokenizer->bos = id;
    else if (strcmp(role, "eos") == 0) tokenizer->eos = id;
    else if (strcmp(role, "pad") == 0) tokenizer->pad = id;
    else return ft_error(FT_E_USAGE, "special_tokens: '%s_token' is not one of bos_token, eos_token, pad_token", role);
    return FT_OK;
}

bool ft_tokenizer_is_special(const ft_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->vocab.n && tokenizer->vocab.tokens[id].special;
}

const char *ft_tokenizer_path(const ft_tokenizer *tokenizer)
{
    return tokenizer->path;
}

uint64_t ft_tokenizer_hash(const ft_tokenizer *tokenizer)
{
    return tokenizer->hash;
}
