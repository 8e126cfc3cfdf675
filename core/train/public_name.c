#include "train/public_name.h"

#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hub_cache.h"

// "ORG--NAME" -> "ORG/NAME". The parts of an id hold no "--".
static char *id_of(const char *text, size_t bytes)
{
    char *id = ft_strndup(text, bytes), *border = id ? strstr(id, "--") : NULL;
    if (border == NULL) return id;
    *border = '/';
    memmove(border + 1, border + 2, strlen(border + 2) + 1);
    return id;
}

char *ft_public_id(const char *path_or_id)
{
    static const char *const prefixes[] = {"models--", "datasets--"};
    for (const char *part = path_or_id; *part; part += strcspn(part, "/"), part += *part == '/')
        for (size_t i = 0; i < 2; i++) {
            size_t prefix = strlen(prefixes[i]);
            if (strncmp(part, prefixes[i], prefix) == 0) return id_of(part + prefix, strcspn(part + prefix, "/"));
        }
    return ft_hub_is_id(path_or_id) && strchr(path_or_id, '/') && !ft_path_exists(path_or_id) ? ft_strdup(path_or_id) : NULL;
}

char *ft_public_name(const char *path_or_id)
{
    char *id = ft_public_id(path_or_id);
    if (id) return id;
    size_t end = strlen(path_or_id);
    while (end > 0 && (path_or_id[end - 1] == '/' || (path_or_id[end - 1] == '.' && (end == 1 || path_or_id[end - 2] == '/')))) end--;
    size_t start = end;
    while (start > 0 && path_or_id[start - 1] != '/') start--;
    return start < end ? ft_strndup(path_or_id + start, end - start) : ft_strdup("the model");
}
