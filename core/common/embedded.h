// Files that are compiled into a program by ft_embed (cmake/ft_embed.cmake): a table of them, ended by a row without a name. Who
// embeds files declares the table: extern const ft_embedded NAME[].
#ifndef FT_COMMON_EMBEDDED_H
#define FT_COMMON_EMBEDDED_H

#include <stddef.h>

typedef struct {
    const char *name;  // without its directory
    const char *text;  // NUL-terminated
    size_t bytes;
} ft_embedded;

#endif
