// Where the table of measured GEMM algorithms lies: what `ft-bench calibrate` writes and a run on CUDA reads.
#ifndef FT_TRAIN_GEMM_TABLE_PATH_H
#define FT_TRAIN_GEMM_TABLE_PATH_H

#include "common/memory.h"

// ${XDG_CONFIG_HOME:-$HOME/.config}/ft-single/gemm.txt, heap; the environment variable FT_GEMM_TABLE names another file. NULL
// where there is no home directory.
char *ft_gemm_table_path(void);

#endif
