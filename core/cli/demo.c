#include "cli/demo.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"

// The directory of the running program; heap, NULL when out of memory.
static char *program_directory(void)
{
    char executable[4096];
    ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
    executable[length > 0 ? length : 0] = 0;
    char *slash = strrchr(executable, '/');
    return ft_strndup(executable, slash ? (size_t)(slash - executable) : 0);
}

// PREFIX/bin/ft-single -> PREFIX/share/ft-single/configs, wherever PREFIX has been moved to. A build tree has the same shape: a link
// to the source's configs stands there.
static ft_status find_configs(char **directory)
{
    const char *named = getenv("FT_CONFIGS");
    char *program = program_directory();
    FT_ALLOC_CHECK(program);
    char *path = named && *named ? ft_strdup(named) : ft_path_join(program, FT_CONFIGS_FROM_PROGRAM);
    ft_free(program);
    FT_ALLOC_CHECK(path);
    char real[PATH_MAX];
    bool found = realpath(path, real) != NULL && ft_path_is_directory(real);
    ft_status status = found ? FT_OK : ft_error(FT_E_NOT_FOUND, "%s: no such directory, so the bundled demo is not there; set FT_CONFIGS to the configs directory, or give --model and --data", path);
    ft_free(path);
    if (!found) return status;
    *directory = ft_strdup(real);
    return *directory ? FT_OK : FT_E_NOMEM;
}

ft_status ft_demo_directory(char **directory)
{
    char *configs;
    FT_TRY(find_configs(&configs));
    *directory = ft_path_join(configs, "demo");
    ft_free(configs);
    return *directory ? FT_OK : FT_E_NOMEM;
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
