// The `model` of tokenizer.json: BPE. Vocabulary and merges are written as text or, if a ByteLevel pre-tokenizer comes before, in
// the byte-level alphabet; merges stand either as "left right" or as ["left", "right"].
#include <string.h>

#include "common/memory.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/tokenizer_impl.h"

// The bytes of the token at hand.
typedef struct {
    char *bytes;
    size_t capacity;
    bool verbatim;  // the text is the bytes
} scratch;

// *out and *n: the bytes `text` stands for, in the scratch; n = -1 if it is not in the byte-level alphabet.
static ft_status decode(scratch *s, const char *text, size_t length, int64_t *n)
{
    if (length >= s->capacity) {  // also for an empty text: the scratch is always there
        char *bytes = ft_realloc(s->bytes, 2 * length + 64);
        FT_ALLOC_CHECK(bytes);
        s->bytes = bytes;
        s->capacity = 2 * length + 64;
    }
    *n = s->verbatim ? (int64_t)length : ft_byte_level_decode(text, length, s->bytes);
    if (s->verbatim) memcpy(s->bytes, text, length);
    return FT_OK;
}

// A token outside the alphabet can only be an added token: it keeps its text and no word finds it.
static ft_status put_token(ft_vocab *vocab, scratch *s, const char *text, size_t length, const json_t *id)
{
    int64_t n;
    if (!json_is_integer(id)) return ft_error(FT_E_INPUT, "model: the id of token '%.80s' is not a number", text);
    FT_TRY(decode(s, text, length, &n));
    if (n < 0) return ft_vocab_put(vocab, json_integer_value(id), text, length);
    FT_TRY(ft_vocab_put(vocab, json_integer_value(id), s->bytes, (size_t)n));
    ft_vocab_index(vocab, (int32_t)json_integer_value(id));
    return FT_OK;
}

static ft_status read_vocab(ft_vocab *vocab, scratch *s, const json_t *tokens)
{
    FT_TRY(ft_vocab_index_init(vocab, json_object_size(tokens)));
    if (json_object_size(tokens) == 0) return ft_error(FT_E_INPUT, "model: 'vocab' is missing or empty");
    const char *text;
    size_t length;
    json_t *id;
    json_object_keylen_foreach((json_t *)tokens, text, length, id) FT_TRY(put_token(vocab, s, text, length, id));
    return FT_OK;
}

typedef struct {
    const char *left, *right;
    size_t left_bytes, right_bytes;
} merge_text;

// The two parts of a merge as the file writes them, NULL where it has no such part.
static merge_text split_merge(const json_t *merge)
{
    const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
    if (json_is_string(left) && json_is_string(right)) {
        return (merge_text){json_string_value(left), json_string_value(right), json_string_length(left),
                            json_string_length(right)};
    }
    const char *text = json_string_value(merge), *space = text ? strchr(text, ' ') : NULL;
    if (space == NULL) return (merge_text){0};
    return (merge_text){text, space + 1, (size_t)(space - text), strlen(space + 1)};
}

static ft_status add_merge(ft_bpe *bpe, scratch s[2], const json_t *merge, int32_t rank)
{
    merge_text parts = split_merge(merge);
    int64_t n_left, n_right;
    if (parts.left == NULL) return ft_error(FT_E_INPUT, "model: merge %d is not a pair of tokens", rank);
    FT_TRY(decode(&s[0], parts.left, parts.left_bytes, &n_left));
    FT_TRY(decode(&s[1], parts.right, parts.right_bytes, &n_right));
    if (n_left < 0 || n_right < 0) return ft_error(FT_E_UNSUPPORTED, "model: merge %d is not byte-level", rank);
    return ft_bpe_add_merge(bpe, rank, s[0].bytes, (size_t)n_left, s[1].bytes, (size_t)n_right);
}

static ft_status read_unknown(ft_tokenizer *tokenizer, scratch *s, const json_t *model)
{
    const char *name = ft_json_string(model, "unk_token");
    tokenizer->bpe.unknown = -1;
    tokenizer->bpe.fuse_unknown = ft_json_true(model, "fuse_unk", false);
    if (name == NULL) return FT_OK;
    int64_t n;
    FT_TRY(decode(s, name, strlen(name), &n));
    if (n >= 0) tokenizer->bpe.unknown = ft_vocab_find(&tokenizer->vocab, s->bytes, (size_t)n);
    if (tokenizer->bpe.unknown < 0) return ft_error(FT_E_INPUT, "model: unk_token '%.80s' is not in the vocabulary", name);
    return FT_OK;
}

static ft_status check_model(const json_t *model, bool characters)
{
    const char *type = ft_json_string(model, "type");
    if (type == NULL && json_is_array(json_object_get(model, "merges"))) type = "BPE";
    if (type == NULL || strcmp(type, "BPE") != 0) {
        return ft_error(FT_E_UNSUPPORTED, "model %s is not implemented, only BPE", type ? type : "(no type)");
    }
    FT_TRY(ft_json_refuse(model, "dropout", "model"));
    FT_TRY(ft_json_refuse(model, "continuing_subword_prefix", "model"));
    FT_TRY(ft_json_refuse(model, "end_of_word_suffix", "model"));
    return characters ? FT_OK : ft_json_refuse(model, "byte_fallback", "model");
}

ft_status ft_tokenizer_read_model(ft_tokenizer *tokenizer, const json_t *model)
{
    bool characters = tokenizer->bpe.characters;
    scratch s[2] = {{.verbatim = characters}, {.verbatim = characters}};
    const json_t *merges = json_object_get(model, "merges");
    ft_status status;
    FT_TRY_GOTO(status, out, check_model(model, characters));
    FT_TRY_GOTO(status, out, read_vocab(&tokenizer->vocab, &s[0], json_object_get(model, "vocab")));
    FT_TRY_GOTO(status, out, read_unknown(tokenizer, &s[0], model));
    tokenizer->bpe.falls_back = ft_json_true(model, "byte_fallback", false);
    tokenizer->bpe.ignore_merges = ft_json_true(model, "ignore_merges", false);
    FT_TRY_GOTO(status, out, ft_bpe_init(&tokenizer->bpe, &tokenizer->vocab, json_array_size(merges)));
    size_t rank;
    json_t *merge;
    json_array_foreach(merges, rank, merge) FT_TRY_GOTO(status, out, add_merge(&tokenizer->bpe, s, merge, (int32_t)rank));
out:
    ft_free(s[0].bytes);
    ft_free(s[1].bytes);
    return status;
}
