#include "import/vocab.h"

#include <inttypes.h>
#include <string.h>

#include "common/memory.h"
#include "io/hash.h"

static size_t slot_of(const ft_vocab_source *vocab, const char *text, size_t bytes)
{
    size_t slot = (size_t)ft_hash64(text, bytes) & (vocab->index_size - 1);
    for (;; slot = (slot + 1) & (vocab->index_size - 1)) {
        int32_t id = vocab->index[slot];
        if (id < 0) return slot;
        if (vocab->tokens[id].bytes == bytes && memcmp(vocab->tokens[id].data, text, bytes) == 0) return slot;
    }
}

int32_t ft_vocab_source_find(const ft_vocab_source *vocab, const char *text, size_t bytes)
{
    return vocab->index[slot_of(vocab, text, bytes)];
}

ft_token_type ft_vocab_source_type(const ft_vocab_source *vocab, int32_t id)
{
    if (vocab->types == NULL) return FT_TOKEN_NORMAL;
    int64_t type = ft_gguf_integer(vocab->types, (uint64_t)id);
    return type >= FT_TOKEN_UNKNOWN && type <= FT_TOKEN_BYTE ? (ft_token_type)type : FT_TOKEN_NORMAL;
}

bool ft_vocab_source_is_filler(const ft_vocab_source *vocab, int32_t id)
{
    char name[32];
    snprintf(name, sizeof name, "[PAD%" PRId32 "]", id);
    return ft_vocab_source_type(vocab, id) == FT_TOKEN_UNUSED && ft_gguf_text_is(vocab->tokens[id], name);
}

static ft_status index_tokens(ft_vocab_source *vocab)
{
    for (vocab->index_size = 16; vocab->index_size < 2 * (size_t)vocab->n;) vocab->index_size *= 2;
    FT_ALLOC_CHECK(vocab->index = FT_NEW_ARRAY(int32_t, vocab->index_size));
    memset(vocab->index, 0xff, vocab->index_size * sizeof *vocab->index);
    for (int32_t id = 0; id < vocab->n; id++) {
        size_t slot = slot_of(vocab, vocab->tokens[id].data, vocab->tokens[id].bytes);
        if (vocab->index[slot] >= 0)
            return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.tokens: %" PRId32 " and %" PRId32 " are the same text", vocab->file->path,
                            vocab->index[slot], id);
        vocab->index[slot] = id;
    }
    return FT_OK;
}

static ft_status read_tokens(ft_vocab_source *vocab, const ft_metadata *data)
{
    const ft_gguf_value *tokens = ft_metadata_find(data, "tokens");
    if (tokens == NULL || !tokens->is_array || tokens->type != FT_GGUF_TEXT || tokens->count == 0 || tokens->count > INT32_MAX / 2)
        return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.tokens is missing or not a list of texts", vocab->file->path);
    FT_ALLOC_CHECK(vocab->tokens = FT_NEW_ARRAY(ft_gguf_text, tokens->count));
    const unsigned char *at = tokens->data;
    for (vocab->n = 0; vocab->n < (int32_t)tokens->count; vocab->n++) vocab->tokens[vocab->n] = ft_gguf_next_text(&at);
    return index_tokens(vocab);
}

// NULL if absent; otherwise one element per token.
static ft_status read_per_token(const ft_vocab_source *vocab, const ft_metadata *data, const char *name, bool real,
                                const ft_gguf_value **value)
{
    *value = ft_metadata_find(data, name);
    if (*value == NULL) return FT_OK;
    bool typed = real ? ft_gguf_is_real(*value) : ft_gguf_is_integer(*value);
    if ((*value)->is_array && typed && (*value)->count == (uint64_t)vocab->n) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.%s is not one number for each of the %" PRId32 " tokens", vocab->file->path, name,
                    vocab->n);
}

static ft_status read_kind(ft_vocab_source *vocab, const ft_metadata *data)
{
    ft_gguf_text model, pre;
    FT_TRY(ft_metadata_text(data, "model", &model));
    FT_TRY(ft_metadata_text(data, "pre", &pre));
    if (model.data == NULL) return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.model is missing", vocab->file->path);
    vocab->sentencepiece = ft_gguf_text_is(model, "llama");
    if (vocab->sentencepiece) return FT_OK;
    if (!ft_gguf_text_is(model, "gpt2"))
        return ft_error(FT_E_UNSUPPORTED, "%s: tokenizer.ggml.model '%.*s' is not supported, only gpt2 and llama", vocab->file->path,
                        FT_GGUF_SHOWN(model));
    vocab->pre = ft_pre_tokenizer_find(pre);
    return vocab->pre != NULL ? FT_OK : ft_pre_tokenizer_refuse(vocab->file, pre);
}

// llama.cpp's, where a SentencePiece vocabulary names none.
static void set_piece_defaults(ft_vocab_source *vocab)
{
    if (!vocab->sentencepiece || vocab->n < 3) return;
    if (vocab->unknown < 0) vocab->unknown = 0;
    if (vocab->bos < 0) vocab->bos = 1;
    if (vocab->eos < 0) vocab->eos = 2;
}

static ft_status read_special(ft_vocab_source *vocab, const ft_metadata *data)
{
    int64_t n = vocab->n;
    FT_TRY(ft_metadata_token(data, "bos_token_id", n, &vocab->bos));
    FT_TRY(ft_metadata_token(data, "eos_token_id", n, &vocab->eos));
    FT_TRY(ft_metadata_token(data, "unknown_token_id", n, &vocab->unknown));
    FT_TRY(ft_metadata_token(data, "padding_token_id", n, &vocab->pad));
    set_piece_defaults(vocab);
    FT_TRY(ft_metadata_token(data, "eot_token_id", n, &vocab->eot));
    FT_TRY(ft_metadata_token(data, "eom_token_id", n, &vocab->eom));
    bool adds_bos = vocab->sentencepiece || vocab->pre->adds_bos;  // llama.cpp's defaults
    FT_TRY(ft_metadata_bool_or(data, "add_bos_token", adds_bos, &vocab->add_bos));
    FT_TRY(ft_metadata_bool_or(data, "add_eos_token", false, &vocab->add_eos));
    FT_TRY(ft_metadata_bool_or(data, "add_space_prefix", vocab->sentencepiece, &vocab->add_space_prefix));
    if ((vocab->add_bos && vocab->bos < 0) || (vocab->add_eos && vocab->eos < 0))
        return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.add_%s_token is in force but %s_token_id is missing", vocab->file->path,
                        vocab->add_bos && vocab->bos < 0 ? "bos" : "eos", vocab->add_bos && vocab->bos < 0 ? "bos" : "eos");
    return FT_OK;
}

static ft_status read_rest(ft_vocab_source *vocab, const ft_metadata *data)
{
    FT_TRY(read_kind(vocab, data));
    FT_TRY(read_tokens(vocab, data));
    FT_TRY(read_per_token(vocab, data, "token_type", false, &vocab->types));
    FT_TRY(read_per_token(vocab, data, "scores", true, &vocab->scores));
    vocab->merges = ft_metadata_find(data, "merges");
    if (vocab->sentencepiece && vocab->scores == NULL)
        return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.scores is missing", vocab->file->path);
    if (!vocab->sentencepiece && (vocab->merges == NULL || !vocab->merges->is_array || vocab->merges->type != FT_GGUF_TEXT))
        return ft_error(FT_E_INPUT, "%s: tokenizer.ggml.merges is missing or not a list of texts", vocab->file->path);
    return read_special(vocab, data);
}

ft_status ft_vocab_source_open(ft_vocab_source *vocab, const ft_gguf *file)
{
    ft_metadata data = {file, "tokenizer.ggml"};
    *vocab = (ft_vocab_source){.file = file, .bos = -1, .eos = -1, .unknown = -1, .pad = -1, .eot = -1, .eom = -1};
    ft_status status = read_rest(vocab, &data);
    if (status != FT_OK) ft_vocab_source_free(vocab);
    return status;
}

void ft_vocab_source_free(ft_vocab_source *vocab)
{
    ft_free(vocab->tokens);
    ft_free(vocab->index);
    *vocab = (ft_vocab_source){0};
}
