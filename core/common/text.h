// Small text helpers: sizes, durations, string building, nearest word.
#ifndef FT_COMMON_TEXT_H
#define FT_COMMON_TEXT_H

#include "common/status.h"

// "512M", "1.5G", "4096", "2T", "1.50 GiB": K, M, G, T = 1024^n in either case, with an optional "iB" or "B". Fractions of a
// byte are dropped. FT_E_USAGE for anything else, negative and beyond 2^63 - 1 included.
ft_status ft_parse_bytes(const char *text, int64_t *bytes);
// "1.50 GiB"; returns buffer.
#define FT_HUMAN_BYTES 32
char *ft_human_bytes(char buffer[FT_HUMAN_BYTES], double bytes);
// "2m 05s", "1h 12m"; returns buffer.
char *ft_human_seconds(char buffer[FT_HUMAN_BYTES], double seconds);

// The candidate with the smallest edit distance to `word` (insert, delete, replace, swap of neighbours; case, '_' and '-'
// alike) if that is at most a third of the word, at least 1; else NULL. The first of equals wins.
const char *ft_nearest_word(const char *word, const char *const *candidates, size_t n);

// Whether `name` is one of `names`, "a,b" or NULL. "" and a name with a comma are none.
bool ft_names_have(const char *names, const char *name);

// A growable string, initialised to {0}. `data` is always terminated once something was added (also zero bytes); free with
// ft_text_free, which leaves {0}. A failed addition (FT_E_NOMEM) changes nothing.
typedef struct {
    char *data;
    size_t length, capacity;
} ft_text;

ft_status ft_text_add(ft_text *text, const char *bytes, size_t n);
ft_status ft_text_puts(ft_text *text, const char *literal);
ft_status ft_text_printf(ft_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ft_text_free(ft_text *text);

// Replaces $NAME and ${NAME} by the environment, $$ by $; a $ before anything else stays. An unset variable, or a ${ without
// name or brace, is FT_E_USAGE and is named. *out is a heap string, untouched on failure.
ft_status ft_expand_variables(const char *text, char **out);

#endif
