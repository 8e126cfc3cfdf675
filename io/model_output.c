#include "io/model_output.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"

static ft_status split(const char *path, char **parent, char **name)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    size_t base = length;
    while (base > 0 && path[base - 1] != '/') base--;
    *parent = base == 0 ? ft_strdup(".") : ft_strndup(path, base > 1 ? base - 1 : 1);
    *name = ft_strndup(path + base, length - base);
    if (*parent == NULL || *name == NULL) return FT_E_NOMEM;
    if ((*name)[0] == 0 || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
        return ft_error(FT_E_USAGE, "output \"%s\": give the name of a directory to be made", path);
    return FT_OK;
}

// Replacing the output would take the source away: it is the same directory or lies inside.
static ft_status check_apart(const char *path, const ft_output_source *source)
{
    char outer[PATH_MAX], inner[PATH_MAX];
    if (realpath(path, outer) == NULL) return ft_error_errno(FT_E_IO, errno, "%s", path);
    if (realpath(source->path, inner) == NULL) return ft_error_errno(FT_E_NOT_FOUND, errno, "%s", source->path);
    size_t length = strcmp(outer, "/") == 0 ? 0 : strlen(outer);
    if (strncmp(outer, inner, length) != 0 || (inner[length] != 0 && inner[length] != '/')) return FT_OK;
    return ft_error(FT_E_USAGE, "output %s is or contains the %s %s: choose another --output", path, source->what, source->path);
}

static bool is_empty_directory(const char *path)
{
    DIR *stream = opendir(path);
    if (stream == NULL) return false;
    int entries = 0;  // "." and ".." are two
    while (entries <= 2 && readdir(stream) != NULL) entries++;
    closedir(stream);
    return entries <= 2;
}

static bool is_model(const char *path)
{
    char *config = ft_path_join(path, "config.json");
    bool there = config != NULL && ft_path_exists(config);
    ft_free(config);
    return there;
}

ft_status ft_model_output_check(ft_model_output *output, const char *path, const ft_output_source *sources, int n_sources, bool overwrite)
{
    *output = (ft_model_output){0};
    FT_TRY(split(path, &output->parent, &output->name));
    output->replace = ft_path_exists(path);
    if (!output->replace || is_empty_directory(path)) return FT_OK;
    for (int i = 0; i < n_sources; i++) FT_TRY(check_apart(path, &sources[i]));
    if (!overwrite) return ft_error(FT_E_EXISTS, "%s: is there already; use --overwrite or another --output", path);
    if (is_model(path)) return FT_OK;
    return ft_error(FT_E_EXISTS, "%s: holds something that is not a model (no config.json) and is not replaced; choose another --output", path);
}

ft_status ft_model_output_space(const ft_model_output *output, int64_t bytes, const char *what)
{
    struct statvfs fs;
    char needed[FT_HUMAN_BYTES], short_by[FT_HUMAN_BYTES];
    if (statvfs(output->parent, &fs) != 0) return ft_error_errno(FT_E_IO, errno, "%s", output->parent);
    double available = (double)fs.f_bavail * (double)fs.f_frsize;
    if (available >= (double)bytes) return FT_OK;
    return ft_error(FT_E_IO, "%s: %s needs %s, %s more than there is free", output->parent, what, ft_human_bytes(needed, (double)bytes),
                    ft_human_bytes(short_by, (double)bytes - available));
}

void ft_model_output_free(ft_model_output *output)
{
    ft_free(output->parent);
    ft_free(output->name);
    *output = (ft_model_output){0};
}
