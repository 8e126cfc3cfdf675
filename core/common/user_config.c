#include "common/user_config.h"

#include <stdlib.h>

#include "common/memory.h"

// An empty variable counts as unset.
static const char *value_of(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0] ? value : NULL;
}

char *ft_user_config_path(const char *variable, const char *name)
{
    const char *path = value_of(variable), *config = value_of("XDG_CONFIG_HOME"), *home = value_of("HOME");
    if (path) return ft_strdup(path);
    if (config) return ft_format("%s/ft-single/%s", config, name);
    return home ? ft_format("%s/.config/ft-single/%s", home, name) : NULL;
}
