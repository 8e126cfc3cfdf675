#include "train/gemm_table_path.h"

#include "common/user_config.h"

char *ft_gemm_table_path(void)
{
    return ft_user_config_path("FT_GEMM_TABLE", "gemm.txt");
}
