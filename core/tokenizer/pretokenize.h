// Pre-tokenization: text -> words, the units in which byte pairs may merge. A tokenizer's stages (Split by a regular
// expression, Digits, ByteLevel's own expression) run one after the other, each inside the pieces of the one before; matches
// and what lies between them are both pieces (behavior "Isolated").
#ifndef FT_TOKENIZER_PRETOKENIZE_H
#define FT_TOKENIZER_PRETOKENIZE_H

#include "common/status.h"
#include "tokenizer/word_scan.h"

#define FT_PRETOKENIZE_STAGES 8

// Either a hand-written matcher or a compiled expression.
typedef struct {
    ft_word_scan *scan;
    struct pcre2_real_code_8 *code;
} ft_pretokenize_stage;

typedef struct {
    ft_pretokenize_stage stages[FT_PRETOKENIZE_STAGES];
    int n;
} ft_pretokenizer;

// Adds a stage that isolates the matches of a regular expression in Oniguruma syntax (see pattern.h). FT_E_UNSUPPORTED for an
// expression that is outside the common syntax, may match nothing, or one stage too many.
ft_status ft_pretokenizer_add(ft_pretokenizer *pretokenizer, const char *pattern);
// The same, always by PCRE2: what the hand-written matchers are measured against.
ft_status ft_pretokenizer_add_compiled(ft_pretokenizer *pretokenizer, const char *pattern);
void ft_pretokenizer_free(ft_pretokenizer *pretokenizer);

// Matching state of one thread.
typedef struct {
    struct pcre2_real_match_data_8 *match;
    struct pcre2_real_match_context_8 *context;
    struct pcre2_real_jit_stack_8 *stack;
} ft_pretokenize_work;

ft_status ft_pretokenize_work_init(ft_pretokenize_work *work);
void ft_pretokenize_work_free(ft_pretokenize_work *work);

typedef ft_status (*ft_word_visit)(void *context, const char *word, size_t bytes);
// Calls visit for every word of `text` (well-formed UTF-8), in order; the words concatenated are the text.
ft_status ft_pretokenize(const ft_pretokenizer *pretokenizer, ft_pretokenize_work *work, const char *text, size_t bytes,
                         ft_word_visit visit, void *context);

#endif
