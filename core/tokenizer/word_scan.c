// An expression is a list of alternatives, tried in order at one position; the comments name the alternative a step stands for.
#include "tokenizer/word_scan.h"

#include <string.h>

#include "tokenizer/unicode.h"
#include "common/utf8.h"

typedef struct {
    const uint8_t *classes;
    const char *text;
    size_t bytes;
} subject;

// Class and length of the character at `at`; class 0 and length 0 at the end.
static inline uint8_t class_at(const subject *s, size_t at, size_t *n)
{
    if (at >= s->bytes) return *n = 0, 0;
    if ((uint8_t)s->text[at] < 0x80) return *n = 1, s->classes[(uint8_t)s->text[at]];
    return s->classes[ft_utf8_decode(s->text + at, n)];
}

static inline bool is_newline(char c)
{
    return c == '\r' || c == '\n';
}

// End of the run of characters that have one of the classes.
static inline size_t run_of(const subject *s, size_t at, uint8_t wanted)
{
    size_t n;
    while (class_at(s, at, &n) & wanted) at += n;
    return at;
}

// End of the run of characters that have none of the classes.
static inline size_t run_without(const subject *s, size_t at, uint8_t unwanted)
{
    size_t n;
    while (at < s->bytes && !(class_at(s, at, &n) & unwanted)) at += n;
    return at;
}

// \p{N}{1,most}
static inline size_t digits(const subject *s, size_t at, int most)
{
    size_t n;
    for (; most > 0 && (class_at(s, at, &n) & FT_NUMBER); most--) at += n;
    return at;
}

// The apostrophe at `at` with 's 't 're 've 'm 'll 'd, else `at`. U+017F is an s in any case.
static size_t contraction(const subject *s, size_t at, bool any_case)
{
    size_t left = s->bytes - at;
    if (left < 2) return at;
    const char *text = s->text + at;
    char a = text[1], b = left > 2 ? text[2] : 0;
    if (any_case && (uint8_t)a == 0xC5 && (uint8_t)b == 0xBF) return at + 3;
    if (any_case && a >= 'A' && a <= 'Z') a += 'a' - 'A';
    if (any_case && b >= 'A' && b <= 'Z') b += 'a' - 'A';
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    bool two = (b == 'e' && (a == 'r' || a == 'v')) || (a == 'l' && b == 'l');
    return two ? at + 3 : at;
}

// \s*[\r\n]+ (if `newlines`) | \s+(?!\S) | \s+, at a space.
static size_t spaces(const subject *s, size_t at, bool newlines)
{
    size_t i = at, last = at, after_newline = 0, n;
    while (class_at(s, i, &n) & FT_SPACE) {
        last = i;
        i += n;
        if (is_newline(s->text[last])) after_newline = i;
    }
    if (newlines && after_newline > 0) return after_newline;
    return i == s->bytes || last == at ? i : last;
}

static size_t newline_run(const subject *s, size_t at, char also)
{
    while (at < s->bytes && (is_newline(s->text[at]) || (also && s->text[at] == also))) at++;
    return at;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,most}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
static inline size_t scan_llama(const subject *s, size_t at, int most)
{
    size_t n, after;
    uint8_t class = class_at(s, at, &n);
    char c = s->text[at];
    if (class & FT_LETTER) return run_of(s, at + n, FT_LETTER);
    if (class & FT_NUMBER) return digits(s, at, most);
    if (c == '\'' && (after = contraction(s, at, true)) > at) return after;
    if (!is_newline(c) && (after = run_of(s, at + n, FT_LETTER)) > at + n) return after;
    after = run_without(s, c == ' ' ? at + 1 : at, FT_SPACE | FT_LETTER | FT_NUMBER);
    if (after > at + (c == ' ')) return newline_run(s, after, 0);
    return spaces(s, at, true);
}

static size_t scan_llama3(const uint8_t *classes, const char *text, size_t bytes, size_t from, size_t *begin)
{
    const subject s = {classes, text, bytes};
    return scan_llama(&s, *begin = from, 3);
}

static size_t scan_qwen2(const uint8_t *classes, const char *text, size_t bytes, size_t from, size_t *begin)
{
    const subject s = {classes, text, bytes};
    return scan_llama(&s, *begin = from, 1);
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
static size_t scan_gpt2(const uint8_t *classes, const char *text, size_t bytes, size_t from, size_t *begin)
{
    const subject s = {classes, text, bytes};
    size_t n, after, word = *begin = from;
    if (text[from] == '\'' && (after = contraction(&s, from, false)) > from) return after;
    if (text[from] == ' ') word++;
    uint8_t class = class_at(&s, word, &n);
    if (n == 0 || (class & FT_SPACE)) return spaces(&s, from, false);
    if (class & (FT_LETTER | FT_NUMBER)) return run_of(&s, word + n, class & (FT_LETTER | FT_NUMBER));
    return run_without(&s, word + n, FT_SPACE | FT_LETTER | FT_NUMBER);
}

// \p{N}
static size_t scan_digit(const uint8_t *classes, const char *text, size_t bytes, size_t from, size_t *begin)
{
    const subject s = {classes, text, bytes};
    *begin = run_without(&s, from, FT_NUMBER);
    return digits(&s, *begin, 1);
}

// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+, else `at`. The first part takes all it can and gives back as
// little as the second needs.
static size_t capitalised(const subject *s, size_t at)
{
    size_t i = at, n, both = at;
    for (uint8_t class; (class = class_at(s, i, &n)) & FT_UPPER; i += n) {
        if (class & FT_LOWER) both = i + n;
    }
    size_t after = run_of(s, i, FT_LOWER);
    return after > i ? after : both;
}

// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*, else `at`
static size_t uppercase(const subject *s, size_t at)
{
    size_t after = run_of(s, at, FT_UPPER);
    return after > at ? run_of(s, after, FT_LOWER) : at;
}

// With [^\r\n\p{L}\p{N}]? before them, taken if that leads to a match.
static size_t tekken_word(const subject *s, size_t at)
{
    size_t n, after;
    bool prefix = !(class_at(s, at, &n) & (FT_LETTER | FT_NUMBER)) && !is_newline(s->text[at]);
    if (prefix && (after = capitalised(s, at + n)) > at + n) return after;
    if ((after = capitalised(s, at)) > at) return after;
    if (prefix && (after = uppercase(s, at + n)) > at + n) return after;
    return uppercase(s, at);
}

// the two above|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
static size_t scan_tekken(const uint8_t *classes, const char *text, size_t bytes, size_t from, size_t *begin)
{
    const subject s = {classes, text, bytes};
    size_t n, word = *begin = from, after = tekken_word(&s, from);
    if (after > from) return after;
    if (class_at(&s, from, &n) & FT_NUMBER) return from + n;
    if (text[from] == ' ') word++;
    after = run_without(&s, word, FT_SPACE | FT_LETTER | FT_NUMBER);
    return after > word ? newline_run(&s, after, '/') : spaces(&s, from, true);
}

#define UPPER_LETTERS "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER_LETTERS "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

ft_word_scan *ft_word_scan_for(const char *pattern)
{
    static const struct { const char *pattern; ft_word_scan *scan; } known[] = {
        {FT_PATTERN_LLAMA3, scan_llama3},
        {FT_PATTERN_LLAMA(""), scan_qwen2},
        {FT_PATTERN_GPT2, scan_gpt2},
        {"\\p{N}", scan_digit},
        {"[^\\r\\n\\p{L}\\p{N}]?" UPPER_LETTERS "*" LOWER_LETTERS "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER_LETTERS "+" LOWER_LETTERS
         "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", scan_tekken},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].pattern, pattern) == 0) return known[i].scan;
    }
    return NULL;
}
