// Tokenizers as Hugging Face's tokenizer.json describes them: BPE models, of bytes (Llama 3, GPT-2, SmolLM, Qwen, Mistral's
// tekken: Split by regex, Digits, ByteLevel) or of characters with byte_fallback (Llama 2, TinyLlama, Mistral: Metaspace or no
// pre-tokenizer); normalizers NFC, Prepend, Replace of a string; added and special tokens with all their flags; ignore_merges.
// Anything in the file that would change the ids and is not implemented is FT_E_UNSUPPORTED and names the component: other
// normalizers and models, Split behaviors other than Isolated, ... Ids are those of Hugging Face's `tokenizers`: units for which
// the vocabulary has no token become their bytes or unk_token or, without one, vanish.
#ifndef FT_TOKENIZER_H
#define FT_TOKENIZER_H

#include "common/status.h"

typedef struct ft_tokenizer ft_tokenizer;

// Reads DIRECTORY/tokenizer.json or, if there is none, tokenizer.model: Llama 3's in tiktoken's format, or a SentencePiece BPE
// model, with the ids transformers' conversion of it gives. Names of special tokens are taken from tokenizer_config.json /
// special_tokens_map.json / config.json beside it. DIRECTORY may also be the path of such a file.
ft_status ft_tokenizer_open(ft_tokenizer **tokenizer, const char *directory);
void ft_tokenizer_free(ft_tokenizer *tokenizer);

typedef struct {
    int32_t *items;
    int64_t n, capacity;
} ft_ids;
ft_status ft_ids_add(ft_ids *ids, const int32_t *items, int64_t n);
void ft_ids_free(ft_ids *ids);

enum {
    FT_TOKENIZE_BOS = 1,      // put the BOS token first, if the tokenizer adds one and the text does not start with it
    FT_TOKENIZE_SPECIAL = 2,  // text of special tokens inside `text` becomes their id (else it is ordinary text); added
                              // tokens that are not special become their id either way
};
// Appends the ids of `text` (UTF-8; invalid bytes are tokenized as bytes). Thread-safe on one tokenizer. On failure `ids` may
// hold part of the text.
ft_status ft_tokenize(const ft_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, ft_ids *ids);
// Byte offsets, one for each id.
typedef struct {
    int64_t *items;
    int64_t n, capacity;
} ft_ends;
ft_status ft_ends_add(ft_ends *ends, const int64_t *items, int64_t n);
void ft_ends_free(ft_ends *ends);
// As ft_tokenize, and appends to `ends`, for every id it appends, the byte offset in `text` at which the text of that id ends.
// Offsets never decrease; a BOS put in front ends at 0, as does a prefix the tokenizer invents. What NFC rewrites ends, as a
// whole, where its source does, so several ids may share an end; and an end may lie inside a UTF-8 character where a token does.
// On failure both lists may hold part of the text.
ft_status ft_tokenize_ends(const ft_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags, ft_ids *ids,
                           ft_ends *ends);
// The bytes of ids as one heap string with its length (terminated past it). skip_special drops special tokens; ids without a
// token are nothing. Byte tokens that are not UTF-8 together stay as they are.
ft_status ft_detokenize(const ft_tokenizer *tokenizer, const int32_t *ids, int64_t n, bool skip_special, char **text,
                        size_t *bytes);
// The raw bytes of one token (for viewers), pointing into the tokenizer, not terminated. NULL and 0 for an unknown id.
const char *ft_token_bytes(const ft_tokenizer *tokenizer, int32_t id, size_t *bytes);

int32_t ft_tokenizer_vocab(const ft_tokenizer *tokenizer);         // number of ids, added tokens included
// The id of an added token or of a token as the file writes it ("Ġthe"); -1 if absent.
int32_t ft_tokenizer_id(const ft_tokenizer *tokenizer, const char *token);
int32_t ft_tokenizer_bos(const ft_tokenizer *tokenizer);           // -1 if none
int32_t ft_tokenizer_eos(const ft_tokenizer *tokenizer);
int32_t ft_tokenizer_pad(const ft_tokenizer *tokenizer);           // eos if none is named
// Whether texts start with BOS: the post_processor of the file puts it there, or tokenizer_config.json says add_bos_token. Some
// tokenizers name a BOS token and never add it.
bool ft_tokenizer_adds_bos(const ft_tokenizer *tokenizer);
// special_tokens of the config; FT_E_INPUT if the token is not in the vocabulary. Another BOS does not change whether one is
// added.
ft_status ft_tokenizer_set_special(ft_tokenizer *tokenizer, const char *role /* bos|eos|pad */, const char *token);
bool ft_tokenizer_is_special(const ft_tokenizer *tokenizer, int32_t id);
const char *ft_tokenizer_path(const ft_tokenizer *tokenizer);      // the file it came from
uint64_t ft_tokenizer_hash(const ft_tokenizer *tokenizer);         // of what decides the ids, for caches

#endif
