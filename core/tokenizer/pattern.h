// Regular expressions of tokenizer.json, written for Oniguruma (Unicode 16), as PCRE2 patterns with the same matches.
//
// The two engines differ where it changes token ids: PCRE2's \s takes U+180E, its Unicode tables may be years older, and
// possessive braces, nested classes and \h mean different things. Properties and spaces are therefore spelled out, and syntax
// outside the part on which both agree is refused by name.
#ifndef FT_TOKENIZER_PATTERN_H
#define FT_TOKENIZER_PATTERN_H

#include "common/text.h"

// Appends the translation. FT_E_UNSUPPORTED names what is outside the common part.
ft_status ft_pattern_translate(const char *pattern, ft_text *out);

#endif
