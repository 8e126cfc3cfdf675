// The recipes, machine files and the demo that are installed with the program.
#ifndef FT_CLI_BUNDLED_H
#define FT_CLI_BUNDLED_H

#include "common/status.h"

// The directory of them all. FT_E_NOT_FOUND says where it was looked for. Heap.
ft_status ft_bundled_directory(char **directory);
// A path as the manual writes it, "configs/machines/8xh100.yaml", means the bundled file where there is none below the working
// directory: *found is that file, said on stderr (heap), or NULL where `path` stands as it is.
ft_status ft_bundled_find(const char *path, char **found);

#endif
