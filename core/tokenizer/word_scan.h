// Hand-written matchers of the regular expressions that published tokenizers split text with. Each finds the words that PCRE2
// finds for the same expression (tests/tokenizer/test_word_scan.c compares them); they are several times faster.
#ifndef FT_TOKENIZER_WORD_SCAN_H
#define FT_TOKENIZER_WORD_SCAN_H

#include "common/status.h"

// GPT-2's expression (encoder.py), which ByteLevel uses of itself, and Llama 3's, which its tokenizer.model takes for granted.
#define FT_PATTERN_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define FT_PATTERN_LLAMA(digits)                                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" \
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define FT_PATTERN_LLAMA3 FT_PATTERN_LLAMA("{1,3}")

// The next match at or after `from` in `text` (well-formed UTF-8, from < bytes): sets *begin and returns its end;
// *begin = bytes if there is none.
typedef size_t ft_word_scan(const uint8_t *classes, const char *text, size_t bytes, size_t from, size_t *begin);

// The matcher of an expression, NULL unless its text is exactly a known one: GPT-2's, Llama 3's, Qwen2's, tekken's (Mistral
// Nemo), single digits.
ft_word_scan *ft_word_scan_for(const char *pattern);

#endif
