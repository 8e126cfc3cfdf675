#include "train/gemm_table_path.h"

#include "common/user_config.h"

ft_status ft_gemm_table_path(char **path)
{
    return ft_user_config_path("FT_GEMM_TABLE", "gemm.txt", path);
}
