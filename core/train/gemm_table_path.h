// Where the table of measured GEMM algorithms lies: what `ft-bench calibrate` writes and a run on CUDA reads.
#ifndef FT_TRAIN_GEMM_TABLE_PATH_H
#define FT_TRAIN_GEMM_TABLE_PATH_H

#include "common/status.h"

// *path: ${XDG_CONFIG_HOME:-$HOME/.config}/ft-single/gemm.txt, heap; the environment variable FT_GEMM_TABLE names another file. NULL
// (and FT_OK) where there is no home directory.
ft_status ft_gemm_table_path(char **path);

#endif
