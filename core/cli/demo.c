#include "cli/demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"

// PREFIX/bin/ft-single -> PREFIX/share/ft-single/configs/demo, then the source tree this was built from.
ft_status ft_demo_directory(char **directory)
{
    char executable[4096];
    ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
    executable[length > 0 ? length : 0] = 0;
    for (int level = 0; level < 2; level++) {
        char *slash = strrchr(executable, '/');
        if (slash) *slash = 0;
    }
    char *candidates[] = {getenv("FT_CONFIGS") ? ft_path_join(getenv("FT_CONFIGS"), "demo") : NULL,
                          ft_path_join(executable, FT_INSTALL_CONFIGS "/demo"), ft_strdup(FT_SOURCE_CONFIGS "/demo")};
    *directory = NULL;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        if (*directory == NULL && candidates[i] && ft_path_is_directory(candidates[i])) *directory = candidates[i];
        else ft_free(candidates[i]);
    }
    return *directory ? FT_OK : ft_error(FT_E_NOT_FOUND, "the demo's files are not installed; set FT_CONFIGS to the configs directory, or give --model and --data");
}

ft_status ft_demo_run(ft_invocation *in, ft_status (*run)(ft_invocation *))
{
    char *directory, *path;
    FT_TRY(ft_demo_directory(&directory));
    path = ft_path_join(directory, "demo.yaml");
    ft_status status = path ? FT_OK : FT_E_NOMEM;
    if (status == FT_OK) {
        ft_info("no model and no data given: running the bundled demo (%s)", path);
        status = ft_args_with_config(in, path, run);
    }
    ft_free(path);
    ft_free(directory);
    return status;
}
