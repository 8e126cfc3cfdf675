#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/merge_internal.h"

#define MAX_COPIED ((size_t)1 << 30)

// An index speaks of files that are not copied, and transformers takes a directory with an adapter_config.json for an adapter.
static bool is_copied(const char *name)
{
    static const char *const ends[] = {".json", ".model", ".txt", ".jinja"};
    if (name[0] == '.' || ft_name_ends_with(name, ".index.json") || strcmp(name, FT_ADAPTER_CONFIG) == 0) return false;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ft_name_ends_with(name, ends[i])) return true;
    return strncmp(name, "LICENSE", strlen("LICENSE")) == 0;
}

// Links are followed: a hub cache holds links to its blobs.
static ft_status copy_file(const merge *m, const char *name)
{
    struct stat info;
    char *data = NULL, *from = ft_path_join(m->options->model, name), *to = ft_commit_path(&m->commit, name);
    size_t bytes;
    ft_status status = from && to ? FT_OK : FT_E_NOMEM;
    bool regular = status == FT_OK && (stat(from, &info) != 0 || S_ISREG(info.st_mode));
    if (regular) {
        status = ft_file_read(from, MAX_COPIED, &data, &bytes);
        if (status == FT_OK && strcmp(name, "config.json") == 0) status = ft_merge_config(&data, &bytes);
        if (status == FT_OK) status = ft_file_write(to, data, bytes);
    }
    ft_free(data);
    ft_free(from);
    ft_free(to);
    return status;
}

ft_status ft_merge_copy_files(const merge *m)
{
    DIR *stream = opendir(m->options->model);
    if (stream == NULL) return ft_error_errno(FT_E_IO, errno, "%s", m->options->model);
    ft_status status = FT_OK;
    struct dirent *entry;
    while (status == FT_OK && (entry = readdir(stream)) != NULL)
        if (is_copied(entry->d_name)) status = copy_file(m, entry->d_name);
    closedir(stream);
    return status;
}
