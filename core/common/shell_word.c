#include "common/shell_word.h"

#include <string.h>

ft_status ft_text_add_word(ft_text *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:=@%";
    if (word[0] && word[strspn(word, plain)] == 0) return ft_text_puts(out, word);
    FT_TRY(ft_text_puts(out, "'"));
    for (; *word; word++) FT_TRY(*word == '\'' ? ft_text_puts(out, "'\\''") : ft_text_add(out, word, 1));
    return ft_text_puts(out, "'");
}
