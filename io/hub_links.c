// The links of a snapshot: snapshots/COMMIT/PATH leads to blobs/HASH.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/hub_internal.h"

// "../../blobs/HASH" as seen from snapshots/COMMIT/PATH.
static char *link_target(const ft_hub_file *file)
{
    ft_text text = {0};
    ft_status status = ft_text_puts(&text, "../../");
    for (const char *c = file->path; *c && status == FT_OK; c++)
        if (*c == '/') status = ft_text_puts(&text, "../");
    if (status == FT_OK) status = ft_text_printf(&text, "blobs/%s", file->hash);
    if (status != FT_OK) ft_text_free(&text);
    return text.data;
}

static bool leads_to(const char *path, const char *target)
{
    char text[512];
    ssize_t n = readlink(path, text, sizeof text - 1);
    if (n < 0) return false;
    text[n] = 0;
    return strcmp(text, target) == 0;
}

// Made beside and renamed, so that the name never leads elsewhere for a moment.
static ft_status replace_link(const char *target, const char *path)
{
    if (leads_to(path, target)) return FT_OK;
    char *beside = ft_format("%s.%d.link", path, (int)gettid());
    FT_ALLOC_CHECK(beside);
    unlink(beside);
    bool made = symlink(target, beside) == 0 && rename(beside, path) == 0;
    ft_status status = made ? FT_OK : ft_error_errno(FT_E_IO, errno, "%s: cannot be made", path);
    if (!made) unlink(beside);
    ft_free(beside);
    return status;
}

// A real file is a copy that a tool without links has made.
static bool is_copy(const char *path, const ft_hub_file *file)
{
    struct stat there;
    return lstat(path, &there) == 0 && S_ISREG(there.st_mode) && there.st_size == file->bytes;
}

ft_status ft_hub_make_parent(const char *path)
{
    char *parent = ft_path_parent(path);
    FT_ALLOC_CHECK(parent);
    ft_status status = ft_make_directories(parent);
    ft_free(parent);
    return status;
}

ft_status ft_hub_link(const char *snapshot, const ft_hub_file *file)
{
    char *path = ft_path_join(snapshot, file->path), *target = link_target(file);
    ft_status status = path && target ? ft_hub_make_parent(path) : FT_E_NOMEM;
    if (status == FT_OK && !is_copy(path, file)) status = replace_link(target, path);
    ft_free(path);
    ft_free(target);
    return status;
}

bool ft_hub_is_linked(const char *snapshot, const ft_hub_file *file)
{
    int64_t bytes;
    char *path = ft_path_join(snapshot, file->path), *target = link_target(file);
    bool linked = path && target && ft_path_size(path, &bytes) == FT_OK && bytes == file->bytes && (leads_to(path, target) || is_copy(path, file));
    ft_free(path);
    ft_free(target);
    return linked;
}
