#include "common/yaml_text.h"

#include <string.h>

#include "common/utf8.h"

struct fy_diag *ft_yaml_diag(void)
{
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&quiet);
    if (diag) fy_diag_set_collect_errors(diag, true);
    return diag;
}

ft_status ft_yaml_error(struct fy_diag *diag, const char *path)
{
    void *iterator = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diag, &iterator);
    if (error == NULL || error->msg == NULL) return ft_error(FT_E_USAGE, "%s: not a YAML file", path);
    int line = error->line > 0 ? error->line : 1;
    size_t bytes = 0;
    const char *token = error->fyt ? fy_token_get_text(error->fyt, &bytes) : NULL;
    const char *end = token ? memchr(token, '\n', bytes) : NULL;
    if (end) bytes = (size_t)(end - token);
    return ft_error(FT_E_USAGE, "%s:%d: not YAML: %.*s%s%.*s", path, line, (int)strcspn(error->msg, "\n"), error->msg,
                    bytes ? ": " : "", (int)bytes, token ? token : "");
}

// What YAML allows a file to be made of. The parser does not check it everywhere: it can hang on such bytes in a comment.
ft_status ft_yaml_check_bytes(const char *path, const char *text, size_t bytes)
{
    int line = 1;
    for (size_t at = 0, n; at < bytes; at += n) {
        uint8_t byte = (uint8_t)text[at];
        n = ft_utf8_char(text + at, bytes - at);
        if (n == 0) return ft_error(FT_E_USAGE, "%s:%d: byte 0x%02X is not UTF-8; save the file as UTF-8", path, line, byte);
        if (byte == '\n') line++;
        else if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7F)
            return ft_error(FT_E_USAGE, "%s:%d: control character 0x%02X; is this a text file?", path, line, byte);
    }
    return FT_OK;
}
