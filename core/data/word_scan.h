// Hand-written matchers of the regular expressions that published tokenizers split text with. Each finds the words that PCRE2
// finds for the same expression (tests/data/test_word_scan.c compares them); they are several times faster.
#ifndef FT_DATA_WORD_SCAN_H
#define FT_DATA_WORD_SCAN_H

#include "common/status.h"

// The next match at or after `from` in `text` (well-formed UTF-8, from < bytes): sets *begin and returns its end;
// *begin = bytes if there is none.
typedef size_t ft_word_scan(const uint8_t *classes, const char *text, size_t bytes, size_t from, size_t *begin);

// The matcher of an expression, NULL unless its text is exactly a known one: GPT-2's, Llama 3's, Qwen2's, tekken's (Mistral
// Nemo), single digits.
ft_word_scan *ft_word_scan_for(const char *pattern);

#endif
