// What the output directory may be, and whether the disk can take it.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "import/import_internal.h"

#define SPACE_BESIDE_WEIGHTS ((int64_t)64 << 20)  // config, tokenizer, headers

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

// Replacing the output would take the input away.
static ft_status check_apart(const char *output, const char *input)
{
    char outer[PATH_MAX], inner[PATH_MAX];
    if (realpath(output, outer) == NULL) return ft_error_errno(FT_E_IO, errno, "%s", output);
    if (realpath(input, inner) == NULL) return ft_error_errno(FT_E_NOT_FOUND, errno, "%s", input);
    size_t length = strcmp(outer, "/") == 0 ? 0 : strlen(outer);
    if (strncmp(outer, inner, length) != 0 || (inner[length] != 0 && inner[length] != '/')) return FT_OK;
    return ft_error(FT_E_USAGE, "output %s is or contains the input %s: choose another --output", output, input);
}

static bool is_empty_directory(const char *path)
{
    DIR *stream = opendir(path);
    if (stream == NULL) return false;
    int entries = 0;
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

ft_status ft_import_check_output(import *im)
{
    const char *output = im->options->output;
    FT_TRY(split(output, &im->parent, &im->name));
    im->replace = ft_path_exists(output);
    if (!im->replace || is_empty_directory(output)) return FT_OK;
    FT_TRY(check_apart(output, im->options->input));
    if (!im->options->overwrite) return ft_error(FT_E_EXISTS, "%s: is there already; use --overwrite or another --output", output);
    if (is_model(output)) return FT_OK;
    return ft_error(FT_E_EXISTS, "%s: holds something that is not a model (no config.json) and is not replaced; choose another --output",
                    output);
}

ft_status ft_import_check_space(const import *im)
{
    struct statvfs fs;
    char needed[FT_HUMAN_BYTES], short_by[FT_HUMAN_BYTES];
    double bytes = (double)(im->total_bytes + SPACE_BESIDE_WEIGHTS);
    if (statvfs(im->parent, &fs) != 0) return ft_error_errno(FT_E_IO, errno, "%s", im->parent);
    double available = (double)fs.f_bavail * (double)fs.f_frsize;
    if (available >= bytes) return FT_OK;
    return ft_error(FT_E_IO, "%s: the imported model needs %s, %s more than there is free", im->parent, ft_human_bytes(needed, bytes),
                    ft_human_bytes(short_by, bytes - available));
}
