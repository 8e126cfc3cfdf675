#include "train/gemm_table_path.h"

#include <stdlib.h>

char *ft_gemm_table_path(void)
{
    const char *path = getenv("FT_GEMM_TABLE"), *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (path && path[0]) return ft_strdup(path);
    if (config && config[0]) return ft_format("%s/ft-single/gemm.txt", config);
    return home && home[0] ? ft_format("%s/.config/ft-single/gemm.txt", home) : NULL;
}
