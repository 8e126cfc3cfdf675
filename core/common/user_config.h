// Where this user's files lie that runs read: measured rates of the machine, measured GEMM algorithms.
#ifndef FT_COMMON_USER_CONFIG_H
#define FT_COMMON_USER_CONFIG_H

#include "common/status.h"

// *path: ${XDG_CONFIG_HOME:-$HOME/.config}/ft-single/NAME, heap; the environment variable `variable`, where it is set, names another
// file. NULL (and FT_OK) where there is no home directory.
ft_status ft_user_config_path(const char *variable, const char *name, char **path);

#endif
