#include "common/json_text.h"

#include <string.h>

#include "common/text.h"
#include "common/utf8.h"

json_t *ft_json_any_text(const char *text)
{
    json_t *json = json_string(text);
    if (json != NULL) return json;
    ft_text valid = {0};
    ft_status status = FT_OK;
    for (size_t n = strlen(text), at = 0, bytes; at < n && status == FT_OK; at += bytes ? bytes : 1) {
        bytes = ft_utf8_char(text + at, n - at);
        status = bytes ? ft_text_add(&valid, text + at, bytes) : ft_text_puts(&valid, "\uFFFD");
    }
    if (status == FT_OK && valid.data) json = json_string(valid.data);
    ft_text_free(&valid);
    return json;
}
