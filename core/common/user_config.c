#include "common/user_config.h"

#include <stdlib.h>

#include "common/memory.h"

// An empty variable counts as unset.
static const char *value_of(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0] ? value : NULL;
}

ft_status ft_user_config_path(const char *variable, const char *name, char **path)
{
    const char *given = value_of(variable), *config = value_of("XDG_CONFIG_HOME"), *home = value_of("HOME");
    *path = NULL;
    if (given == NULL && config == NULL && home == NULL) return FT_OK;
    *path = given    ? ft_strdup(given)
            : config ? ft_format("%s/ft-single/%s", config, name)
                     : ft_format("%s/.config/ft-single/%s", home, name);
    FT_ALLOC_CHECK(*path);
    return FT_OK;
}
