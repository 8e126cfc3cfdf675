#include "device/cuda_search.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"

// A place is a folder below the value of a variable, or a fixed one; %s stands for the value, and a list a:b is one folder each.
typedef struct {
    const char *variable, *folder;
} place;

#define PIP "/lib/python3*/{site,dist}-packages/nvidia/*/lib"

static const place places[] = {
    {"FT_CUDA_LIBRARY_PATH", ""},
    {"LD_LIBRARY_PATH", ""},
    {NULL, "/usr/lib/{x86_64,aarch64}-linux-gnu"},
    {NULL, "/usr/lib64"},
    {"CUDA_HOME", "/lib{64,}"},
    {"CUDA_PATH", "/lib{64,}"},
    {NULL, "/usr/local/cuda*/lib{64,}"},
    {"VIRTUAL_ENV", PIP},
    {"CONDA_PREFIX", PIP},
    {NULL, "/opt/*/.venv" PIP},
    {"HOME", "/.local" PIP},
    {NULL, "/usr{/local,}" PIP},
};
enum { PLACES = sizeof places / sizeof *places };

// The next folder pattern of a place: *rest runs through the variable's list. false at its end.
static bool next_folder(const place *p, const char **rest, char folder[FT_CUDA_PATH_BYTES])
{
    if (*rest == NULL) return false;
    if (p->variable == NULL) {
        snprintf(folder, FT_CUDA_PATH_BYTES, "%s", p->folder);
        *rest = NULL;
        return true;
    }
    *rest += strspn(*rest, ":");
    size_t length = strcspn(*rest, ":");
    if (length == 0) return false;
    snprintf(folder, FT_CUDA_PATH_BYTES, "%.*s%s", (int)length, *rest, p->folder);
    *rest += length;
    return true;
}

static const char *first_folder(const place *p)
{
    return p->variable == NULL ? p->folder : getenv(p->variable);
}

static void add(ft_cuda_files *files, const char *path, bool asked_for)
{
    struct stat is = {0};
    bool bare = strchr(path, '/') == NULL;
    if (files->n == FT_CUDA_MOST_FILES || strlen(path) >= FT_CUDA_PATH_BYTES || (!bare && stat(path, &is) != 0)) return;
    for (int i = 0; i < files->n && !bare; i++) {
        if (files->file[i].device == is.st_dev && files->file[i].inode == is.st_ino) return;
    }
    ft_cuda_file *file = &files->file[files->n++];
    *file = (ft_cuda_file){.device = is.st_dev, .inode = is.st_ino, .asked_for = asked_for};
    strcpy(file->path, path);
}

static void add_matches(ft_cuda_files *files, const char *folder, const char *name, bool asked_for)
{
    char pattern[FT_CUDA_PATH_BYTES + 64];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/%s", folder, name);
    if (glob(pattern, GLOB_BRACE, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) add(files, found.gl_pathv[i], asked_for);
        globfree(&found);
    }
}

void ft_cuda_search(ft_cuda_files *files, const char *name)
{
    char folder[FT_CUDA_PATH_BYTES];
    for (int i = 0; i < PLACES; i++) {
        const char *rest = first_folder(&places[i]);
        while (next_folder(&places[i], &rest, folder)) add_matches(files, folder, name, i == 0);
    }
    add(files, name, false);
}

ft_status ft_cuda_search_places(ft_text *out)
{
    char folder[FT_CUDA_PATH_BYTES];
    for (int i = 0; i < PLACES; i++) {
        const char *rest = first_folder(&places[i]);
        while (next_folder(&places[i], &rest, folder)) FT_TRY(ft_text_printf(out, "%s%s", out->length > 0 ? ", " : "", folder));
    }
    return FT_OK;
}

static int version_in_name(const char *path)
{
    int major, minor, patch;
    char real[PATH_MAX];
    if (realpath(path, real) == NULL) return 0;
    const char *suffix = strstr(ft_path_base(real), ".so.");
    if (suffix == NULL || sscanf(suffix, ".so.%d.%d.%d", &major, &minor, &patch) != 3) return 0;
    return major * 10000 + minor * 100 + patch;
}

static int version_in_header(const char *path)
{
    char header[FT_CUDA_PATH_BYTES + 64], line[256];
    int major = 0, minor = 0, patch = 0;
    snprintf(header, sizeof header, "%.*s/../include/cudnn_version.h", (int)(ft_path_base(path) - path), path);
    FILE *file = fopen(header, "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "#define CUDNN_MAJOR %d", &major);
        sscanf(line, "#define CUDNN_MINOR %d", &minor);
        sscanf(line, "#define CUDNN_PATCHLEVEL %d", &patch);
    }
    fclose(file);
    return major * 10000 + minor * 100 + patch;
}

int ft_cuda_file_version(const char *path)
{
    int version = version_in_name(path);
    return version != 0 ? version : version_in_header(path);
}
