#include "cli/bundled.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"

#define HERE "configs/"

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
ft_status ft_bundled_directory(char **directory)
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

ft_status ft_bundled_find(const char *path, char **found)
{
    char *directory;
    *found = NULL;
    if (strncmp(path, HERE, strlen(HERE)) != 0 || ft_path_exists(path) || ft_bundled_directory(&directory) != FT_OK) return FT_OK;
    char *file = ft_path_join(directory, path + strlen(HERE));
    ft_free(directory);
    FT_ALLOC_CHECK(file);
    if (ft_path_exists(file)) {
        ft_info("%s: %s", path, file);
        *found = file;
        return FT_OK;
    }
    ft_free(file);
    return FT_OK;
}
