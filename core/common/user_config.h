// Where this user's files lie that runs read: measured rates of the machine, measured GEMM algorithms.
#ifndef FT_COMMON_USER_CONFIG_H
#define FT_COMMON_USER_CONFIG_H

// ${XDG_CONFIG_HOME:-$HOME/.config}/ft-single/NAME, heap; the environment variable `variable`, where it is set, names another file.
// NULL where there is no home directory, or no memory.
char *ft_user_config_path(const char *variable, const char *name);

#endif
