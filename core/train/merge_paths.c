#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "train/merge_internal.h"

static ft_status split(const char *output, char **parent, char **name)
{
    size_t length = strlen(output);
    while (length > 1 && output[length - 1] == '/') length--;
    size_t base = length;
    while (base > 0 && output[base - 1] != '/') base--;
    *parent = base == 0 ? ft_strdup(".") : ft_strndup(output, base > 1 ? base - 1 : 1);
    *name = ft_strndup(output + base, length - base);
    if (*parent == NULL || *name == NULL) return FT_E_NOMEM;
    if ((*name)[0] == 0 || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
        return ft_error(FT_E_USAGE, "output \"%s\": give the name of a directory to be made", output);
    return FT_OK;
}

// Replacing `output` would take `input` away: it is the same directory or lies inside.
static ft_status check_apart(const char *output, const char *input, const char *what)
{
    char outer[PATH_MAX], inner[PATH_MAX];
    if (realpath(output, outer) == NULL) return ft_error_errno(FT_E_IO, errno, "%s", output);
    if (realpath(input, inner) == NULL) return ft_error_errno(FT_E_NOT_FOUND, errno, "%s", input);
    size_t length = strcmp(outer, "/") == 0 ? 0 : strlen(outer);
    if (strncmp(outer, inner, length) != 0 || (inner[length] != 0 && inner[length] != '/')) return FT_OK;
    return ft_error(FT_E_USAGE, "output %s is or contains the %s %s: choose another --output", output, what, input);
}

// Only what is empty or looks like a model may be replaced as a whole.
static bool is_replaceable(const char *output)
{
    char *config = ft_path_join(output, "config.json");
    bool is_model = config && ft_path_exists(config);
    ft_free(config);
    DIR *stream = opendir(output);
    if (is_model || stream == NULL) {
        if (stream) closedir(stream);
        return is_model;
    }
    int entries = 0;
    while (readdir(stream) != NULL) entries++;
    closedir(stream);
    return entries <= 2;
}

static ft_status check_existing(const ft_merge_options *options)
{
    FT_TRY(check_apart(options->output, options->model, "model"));
    FT_TRY(check_apart(options->output, options->adapter, "adapter"));
    if (!options->overwrite) return ft_error(FT_E_EXISTS, "%s: is there already; use --overwrite or another --output", options->output);
    if (is_replaceable(options->output)) return FT_OK;
    return ft_error(FT_E_EXISTS, "%s: holds something that is not a model (no config.json) and is not replaced; choose another --output",
                    options->output);
}

ft_status ft_merge_check_output(const ft_merge_options *options, char **parent, char **name)
{
    FT_TRY(split(options->output, parent, name));
    if (ft_path_exists(options->output)) return check_existing(options);
    return FT_OK;
}

ft_status ft_merge_check_space(const char *parent, int64_t bytes)
{
    struct statvfs fs;
    char needed[FT_HUMAN_BYTES], short_by[FT_HUMAN_BYTES];
    if (statvfs(parent, &fs) != 0) return ft_error_errno(FT_E_IO, errno, "%s", parent);
    double available = (double)fs.f_bavail * (double)fs.f_frsize;
    if (available >= (double)bytes) return FT_OK;
    return ft_error(FT_E_IO, "%s: the merged model needs %s, %s more than there is free", parent, ft_human_bytes(needed, (double)bytes),
                    ft_human_bytes(short_by, (double)bytes - available));
}
