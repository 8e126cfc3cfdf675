// What a tokenizer is made of. Private to its sources: tokenizer.c, tokenize.c and detokenize.c (use), tokenizer_*.c and
// special_names.c (reading).
#ifndef FT_TOKENIZER_TOKENIZER_IMPL_H
#define FT_TOKENIZER_TOKENIZER_IMPL_H

#include <jansson.h>
#include <pthread.h>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pretokenize.h"

// State one call of ft_tokenize needs for itself; kept for the next call.
typedef struct ft_tokenizer_work {
    struct ft_tokenizer_work *next;
    ft_bpe_work bpe;
    ft_pretokenize_work pretokenize;
    ft_normalize_work normalize;
    ft_rewrite spaced;         // what Metaspace makes of a piece
} ft_tokenizer_work;

typedef struct {
    pthread_mutex_t lock;
    ft_tokenizer_work *idle;   // a stack: the one used last has the warmest cache
} ft_tokenizer_works;

// How tokens become text again. Byte-level tokens are their bytes; the rest is for vocabularies of characters.
typedef struct {
    char *from, *to;           // Replace, NULL: none
    bool byte_fallback;        // "<0xE2>" is a byte
    bool drops_first_spaces;   // Metaspace: U+2581 vanishes from the first token
    char *strip;               // dropped from the start of the text, up to strip_most times; NULL: none
    int strip_most;
} ft_decoder;

// A text is cut at added tokens that are not `normalized`; pieces are normalized, cut at the other added tokens, then either
// (byte-level) cut into words by expressions or (bpe.characters) given to Metaspace and cut where no merge joins; words are merged.
struct ft_tokenizer {
    char *path;
    uint64_t hash;
    ft_vocab vocab;            // bytes of byte-level tokens, else their text as the file has it
    ft_vocab shown;            // bpe.characters: the bytes that tokens decode to
    ft_added_tokens added;
    ft_normalizer normalizer;
    ft_pretokenizer pretokenizer;
    ft_metaspace_kind metaspace;
    bool metaspace_splits;     // every U+2581 starts a word
    ft_decoder decoder;
    ft_bpe bpe;
    int32_t bos, eos, pad;     // -1 if none
    bool adds_bos;
    bool is_spm;               // came from a SentencePiece model
    ft_tokenizer_works *works; // changes under a const tokenizer; has its own lock
};

// A tokenizer of the contents of a tokenizer.json or tokenizer.model, told apart by what they are, in memory: names of special
// tokens in files beside it are left out. Any bytes either make a tokenizer or are FT_E_INPUT or FT_E_UNSUPPORTED.
ft_status ft_tokenizer_from_bytes(ft_tokenizer **tokenizer, const char *bytes, size_t n);

// tokenizer_json.c, tokenizer_tiktoken.c, tokenizer_spm.c: each fills a fresh tokenizer.
ft_status ft_tokenizer_parse(ft_tokenizer *tokenizer, const char *text, size_t bytes);
bool ft_tokenizer_is_tiktoken(const char *text, size_t bytes);
ft_status ft_tokenizer_read_tiktoken(ft_tokenizer *tokenizer, const char *text, size_t bytes);
ft_status ft_tokenizer_read_spm(ft_tokenizer *tokenizer, const char *bytes, size_t n);
ft_status ft_tokenizer_set_spm_prefix(ft_tokenizer *tokenizer, bool legacy);  // transformers' setting of that name

ft_status ft_tokenizer_read_normalizer(ft_tokenizer *tokenizer, const json_t *normalizer);
ft_status ft_tokenizer_read_pretokenizer(ft_tokenizer *tokenizer, const json_t *pre_tokenizer);
ft_status ft_tokenizer_read_model(ft_tokenizer *tokenizer, const json_t *model);
ft_status ft_tokenizer_read_added(ft_tokenizer *tokenizer, const json_t *added_tokens);
ft_status ft_tokenizer_read_decoder(ft_tokenizer *tokenizer, const json_t *decoder);
ft_status ft_tokenizer_read_post_processor(ft_tokenizer *tokenizer, const json_t *post_processor);
// An added token; `flags` has its lstrip, rstrip, single_word and normalized.
ft_status ft_tokenizer_add_token(ft_tokenizer *tokenizer, int64_t id, const char *text, bool special, ft_added_token flags);
// Once the vocabulary is complete: what tokens decode to.
ft_status ft_tokenizer_fill_shown(ft_tokenizer *tokenizer);
void ft_decoder_free(ft_decoder *decoder);
// Names of special tokens from the files in `directory`.
ft_status ft_tokenizer_read_special(ft_tokenizer *tokenizer, const char *directory);

// Members of JSON objects. Absent and null are alike.
const char *ft_json_string(const json_t *object, const char *key); // NULL if absent or not a string
const char *ft_json_type(const json_t *object);                    // "(no type)" if absent
bool ft_json_true(const json_t *object, const char *key, bool absent);
// FT_E_UNSUPPORTED "WHAT: KEY is not implemented" if the member is present with a value that does something.
ft_status ft_json_refuse(const json_t *object, const char *key, const char *what);

ft_status ft_tokenizer_works_new(ft_tokenizer_works **works);
void ft_tokenizer_works_free(ft_tokenizer_works *works);
ft_status ft_tokenizer_work_take(ft_tokenizer_works *works, ft_tokenizer_work **work);
void ft_tokenizer_work_give(ft_tokenizer_works *works, ft_tokenizer_work *work);

#endif
