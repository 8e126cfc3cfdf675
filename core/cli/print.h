// What verbs print: a text or JSON that was made for it, and is freed by it.
#ifndef FT_CLI_PRINT_H
#define FT_CLI_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "common/text.h"

// `status` is that of making the text, which is printed if it is FT_OK, and is passed on.
ft_status ft_print_text(ft_status status, ft_text *text, FILE *stream);
// On standard output, indented. NULL, which jansson gives without memory, is FT_E_NOMEM.
ft_status ft_print_json(json_t *json);

#endif
