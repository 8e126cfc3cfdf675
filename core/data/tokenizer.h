// Tokenizers as Hugging Face's tokenizer.json describes them. Here: byte-level BPE of the Llama 3 kind (Split by regex +
// ByteLevel) and the GPT-2 / SmolLM kind (Digits, ByteLevel with its own regex), added and special tokens, ignore_merges.
// Anything in the file that would change the ids and is not implemented is FT_E_UNSUPPORTED and names the component.
#ifndef FT_DATA_TOKENIZER_H
#define FT_DATA_TOKENIZER_H

#include "common/status.h"

typedef struct ft_tokenizer ft_tokenizer;

// Reads DIRECTORY/tokenizer.json and, for names of special tokens, tokenizer_config.json / special_tokens_map.json /
// config.json beside it. DIRECTORY may also be the path of a tokenizer.json.
ft_status ft_tokenizer_open(ft_tokenizer **tokenizer, const char *directory);
void ft_tokenizer_free(ft_tokenizer *tokenizer);

typedef struct {
    int32_t *items;
    int64_t n, capacity;
} ft_ids;
ft_status ft_ids_add(ft_ids *ids, const int32_t *items, int64_t n);
void ft_ids_free(ft_ids *ids);

enum {
    FT_TOKENIZE_BOS = 1,      // put the BOS token first, if the tokenizer has one
    FT_TOKENIZE_SPECIAL = 2,  // text of special tokens inside `text` becomes their id (else it is ordinary text)
};
// Appends the ids of `text` (UTF-8; invalid bytes are tokenized as bytes). Thread-safe on one tokenizer.
ft_status ft_tokenize(const ft_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, ft_ids *ids);
// The bytes of ids as one heap string with its length. skip_special drops special tokens.
ft_status ft_detokenize(const ft_tokenizer *tokenizer, const int32_t *ids, int64_t n, bool skip_special, char **text, size_t *bytes);
// The raw bytes of one token (for viewers), pointing into the tokenizer.
const char *ft_token_bytes(const ft_tokenizer *tokenizer, int32_t id, size_t *bytes);

int32_t ft_tokenizer_vocab(const ft_tokenizer *tokenizer);         // number of ids, added tokens included
int32_t ft_tokenizer_id(const ft_tokenizer *tokenizer, const char *token);  // -1 if absent
int32_t ft_tokenizer_bos(const ft_tokenizer *tokenizer);           // -1 if none
int32_t ft_tokenizer_eos(const ft_tokenizer *tokenizer);
int32_t ft_tokenizer_pad(const ft_tokenizer *tokenizer);           // eos if none is named
// special_tokens of the config; FT_E_INPUT if the token is not in the vocabulary.
ft_status ft_tokenizer_set_special(ft_tokenizer *tokenizer, const char *role /* bos|eos|pad */, const char *token);
bool ft_tokenizer_is_special(const ft_tokenizer *tokenizer, int32_t id);
const char *ft_tokenizer_path(const ft_tokenizer *tokenizer);      // the file it came from
uint64_t ft_tokenizer_hash(const ft_tokenizer *tokenizer);         // of the file's bytes, for caches

#endif
