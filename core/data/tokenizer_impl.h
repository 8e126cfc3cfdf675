// What a tokenizer is made of. Private to its sources: tokenizer.c (use), tokenizer_json.c, tokenizer_model.c,
// tokenizer_pretokenizer.c and special_names.c (reading).
#ifndef FT_DATA_TOKENIZER_IMPL_H
#define FT_DATA_TOKENIZER_IMPL_H

#include <jansson.h>
#include <pthread.h>

#include "data/added_tokens.h"
#include "data/bpe.h"
#include "data/pretokenize.h"

// State one call of ft_tokenize needs for itself; kept for the next call.
typedef struct ft_tokenizer_work {
    struct ft_tokenizer_work *next;
    ft_bpe_work bpe;
    ft_pretokenize_work pretokenize;
} ft_tokenizer_work;

typedef struct {
    pthread_mutex_t lock;
    ft_tokenizer_work *idle;   // a stack: the one used last has the warmest cache
} ft_tokenizer_works;

struct ft_tokenizer {
    char *path;
    uint64_t hash;
    ft_vocab vocab;
    ft_added_tokens added;
    ft_pretokenizer pretokenizer;
    ft_bpe bpe;
    int32_t bos, eos, pad;     // -1 if none
    bool adds_bos;
    ft_tokenizer_works *works; // changes under a const tokenizer; has its own lock
};

// Fills the tokenizer from the text of a tokenizer.json, except the names of special tokens.
ft_status ft_tokenizer_parse(ft_tokenizer *tokenizer, const char *text, size_t bytes);
ft_status ft_tokenizer_read_model(ft_tokenizer *tokenizer, const json_t *model);
ft_status ft_tokenizer_read_pretokenizer(ft_tokenizer *tokenizer, const json_t *pre_tokenizer);
// Names of special tokens from the files in `directory`.
ft_status ft_tokenizer_read_special(ft_tokenizer *tokenizer, const char *directory);

// Members of JSON objects. Absent and null are alike.
const char *ft_json_text(const json_t *object, const char *key);   // NULL if absent or not a string
bool ft_json_true(const json_t *object, const char *key, bool absent);
// FT_E_UNSUPPORTED "WHAT: KEY is not implemented" if the member is present with a value that does something.
ft_status ft_json_refuse(const json_t *object, const char *key, const char *what);

ft_status ft_tokenizer_works_new(ft_tokenizer_works **works);
void ft_tokenizer_works_free(ft_tokenizer_works *works);
ft_status ft_tokenizer_work_take(ft_tokenizer_works *works, ft_tokenizer_work **work);
void ft_tokenizer_work_give(ft_tokenizer_works *works, ft_tokenizer_work *work);

#endif
