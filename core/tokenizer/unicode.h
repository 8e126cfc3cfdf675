// Unicode as the reference tokenizer knows it: the classes its regular expressions are made of, and canonical composition
// (Unicode Standard Annex 15). unicode_tables.c, which holds the data, is written by tests/golden/tokenizers/make_unicode.py.
#ifndef FT_TOKENIZER_UNICODE_H
#define FT_TOKENIZER_UNICODE_H

#include "common/status.h"

enum {
    FT_LETTER = 1,      // \p{L}
    FT_NUMBER = 2,      // \p{N}
    FT_SPACE = 4,       // \s
    FT_UPPER = 8,       // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
    FT_LOWER = 16,      // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
    FT_NFC_CHECK = 32,  // may change, or change what stands before it, under NFC; all others are starters and stay
    FT_WORD = 64,       // part of a word, for added tokens that are `single_word`
};

#define FT_CODE_POINTS 0x110000

// The classes of every code point, as one table of FT_CODE_POINTS bytes. Thread-safe.
const uint8_t *ft_unicode_classes(void);
// Canonical combining class.
uint8_t ft_unicode_combining(uint32_t code_point);
// The full canonical decomposition of a code point, into `out`; returns how many (itself if it has none).
#define FT_DECOMPOSITION_MAX 4
int ft_unicode_decompose(uint32_t code_point, uint32_t out[FT_DECOMPOSITION_MAX]);
// What a pair composes to, 0 if nothing.
uint32_t ft_unicode_compose(uint32_t first, uint32_t second);

// The data: code points from `first` up to the next run have `value`.
typedef struct {
    uint32_t first;
    uint8_t value;
} ft_unicode_run;

typedef struct {
    uint32_t code_point, first, second;  // second = 0: a decomposition into one
} ft_unicode_parts;

typedef struct {
    uint32_t first, second, composite;
} ft_unicode_pair;

extern const ft_unicode_run ft_unicode_class_runs[], ft_unicode_combining_runs[];
extern const ft_unicode_parts ft_unicode_decompositions[];  // by code_point
extern const ft_unicode_pair ft_unicode_compositions[];     // by (first, second)
extern const int ft_unicode_class_runs_n, ft_unicode_combining_runs_n, ft_unicode_decompositions_n, ft_unicode_compositions_n;

#endif
