// JSON strings of bytes that may be anything: names of files, words of other programs, messages that were cut to a length.
#ifndef FT_COMMON_JSON_TEXT_H
#define FT_COMMON_JSON_TEXT_H

#include <jansson.h>

// A new reference; every byte that is no UTF-8 is U+FFFD in it. NULL when out of memory.
json_t *ft_json_any_text(const char *text);

#endif
