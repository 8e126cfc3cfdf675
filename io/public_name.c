#include "io/public_name.h"

#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hub_cache.h"

char *ft_public_id(const char *path_or_id)
{
    char *id = ft_hub_repository_id(path_or_id);
    if (id) return id;
    return ft_hub_is_id(path_or_id) && strchr(path_or_id, '/') && !ft_path_exists(path_or_id) ? ft_strdup(path_or_id) : NULL;
}

char *ft_public_name(const char *path_or_id)
{
    char *id = ft_public_id(path_or_id);
    if (id) return id;
    size_t bytes;
    const char *name = ft_path_last(path_or_id, strlen(path_or_id), &bytes);
    return bytes > 0 ? ft_strndup(name, bytes) : ft_strdup("the model");
}
