// Words of command lines that are shown to be typed or handed to a shell.
#ifndef FT_COMMON_SHELL_WORD_H
#define FT_COMMON_SHELL_WORD_H

#include "common/text.h"

// Appends `word` so that a POSIX shell reads it as one word, the same: as it is where every character of it is plain, else within
// single quotes.
ft_status ft_text_add_word(ft_text *out, const char *word);

#endif
