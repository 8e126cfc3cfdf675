// The vocabulary of a GGUF file: token texts with a hash index, types, special ids.
#ifndef FT_IMPORT_VOCAB_H
#define FT_IMPORT_VOCAB_H

#include <jansson.h>

#include "import/metadata.h"

// llama.cpp's token types.
typedef enum {
    FT_TOKEN_NORMAL = 1, FT_TOKEN_UNKNOWN, FT_TOKEN_CONTROL, FT_TOKEN_USER_DEFINED, FT_TOKEN_UNUSED, FT_TOKEN_BYTE,
} ft_token_type;

// Byte-level BPE: how text is cut before the merges. A row per tokenizer.ggml.pre.
typedef struct {
    const char *name;
    const char *pattern;   // of a Split; NULL: ByteLevel's own
    bool digits;           // every digit is a word of its own first
    bool nfc;              // texts are normalized
    bool ignore_merges;    // a word that is a token is that token
    bool adds_bos;         // where the file does not say
} ft_pre_tokenizer;

typedef struct {
    const ft_gguf *file;
    bool sentencepiece;             // tokenizer.ggml.model llama, else gpt2
    const ft_pre_tokenizer *pre;    // NULL for sentencepiece
    ft_gguf_text *tokens;
    int32_t n;
    const ft_gguf_value *types;     // NULL: all normal
    const ft_gguf_value *scores;    // sentencepiece
    const ft_gguf_value *merges;    // gpt2
    int32_t bos, eos, unknown, pad; // -1 if absent
    int32_t eot, eom;               // further ends of a turn; -1
    bool add_bos, add_eos, add_space_prefix;
    int32_t *index;                 // hash table of ids, -1 = free
    size_t index_size;              // a power of two
} ft_vocab_source;

// FT_E_UNSUPPORTED names a tokenizer.ggml.model or tokenizer.ggml.pre that has no row; FT_E_INPUT a token that is there twice.
ft_status ft_vocab_source_open(ft_vocab_source *vocab, const ft_gguf *file);
void ft_vocab_source_free(ft_vocab_source *vocab);
int32_t ft_vocab_source_find(const ft_vocab_source *vocab, const char *text, size_t bytes);  // -1 if absent
ft_token_type ft_vocab_source_type(const ft_vocab_source *vocab, int32_t id);
// Filler up to the embedding's rows ("[PAD151665]", unused): no token of the tokenizer.
bool ft_vocab_source_is_filler(const ft_vocab_source *vocab, int32_t id);
const ft_pre_tokenizer *ft_pre_tokenizer_find(ft_gguf_text name);  // NULL if unknown
ft_status ft_pre_tokenizer_refuse(const ft_gguf *file, ft_gguf_text name);  // FT_E_UNSUPPORTED with the list

// tokenizer.json. *root is a new reference.
ft_status ft_tokenizer_build(const ft_vocab_source *vocab, json_t **root);
// Its model.merges: gpt2's as the file has them, checked; sentencepiece's made from the scores (tokenizer_merges.c).
ft_status ft_tokenizer_merges(const ft_vocab_source *vocab, json_t **merges);
// tokenizer_config.json with the chat template, if there is one; `positions` is the context length.
ft_status ft_tokenizer_build_config(const ft_vocab_source *vocab, int64_t positions, json_t **root);
// generation_config.json.
ft_status ft_generation_build_config(const ft_vocab_source *vocab, json_t **root);

#endif
