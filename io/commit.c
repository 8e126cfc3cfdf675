// Sync order of a directory commit:
//   1. the caller's files are written in PARENT/.NAME.tmp-PID
//   2. fsync of every regular file and every directory in it, contents before the directory that names them
//   3. rename to PARENT/NAME (or exchange with it)
//   4. fsync of PARENT; only then is an old NAME removed
// Until 3 a crash leaves a temporary that the next sweep removes; from 3 on the new directory is complete. A rename that the
// crash undoes (4 not reached) gives the old state back, whose files are still there.
#include "io/commit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"

ft_status (*ft_commit_hook)(const char *step);

static atomic_int steps_taken;

static ft_status durable_step(const char *step)
{
    const char *crash_at = getenv("FT_CRASH_AT");
    int number = atomic_fetch_add(&steps_taken, 1) + 1;
    if (crash_at != NULL && atoi(crash_at) == number) raise(SIGKILL);
    return ft_commit_hook != NULL ? ft_commit_hook(step) : FT_OK;
}

static ft_status sync_descriptor(int fd, const char *path, const char *step)
{
    FT_TRY(durable_step(step));
    while (fsync(fd) != 0) {
        if (errno == EINVAL) return FT_OK;  // a file system that cannot sync directories orders them itself
        if (errno != EINTR) return ft_error_errno(FT_E_IO, errno, "%s: fsync", path);
    }
    return FT_OK;
}

static ft_status sync_path(const char *path, int flags, const char *step)
{
    int fd = open(path, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be opened for fsync", path);
    ft_status status = sync_descriptor(fd, path, step);
    close(fd);
    return status;
}

ft_status ft_sync_directory(const char *path)
{
    return sync_path(path, O_DIRECTORY, "fsync-parent");
}

static ft_status sync_tree(const char *directory);

static ft_status sync_entry(const char *directory, const char *name)
{
    struct stat info;
    char *path = ft_path_join(directory, name);
    FT_ALLOC_CHECK(path);
    ft_status status = FT_OK;
    if (lstat(path, &info) != 0) status = ft_error_errno(FT_E_IO, errno, "%s", path);
    else if (S_ISDIR(info.st_mode)) status = sync_tree(path);
    else if (S_ISREG(info.st_mode)) status = sync_path(path, 0, "fsync");
    ft_free(path);
    return status;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static ft_status sync_tree(const char *directory)
{
    DIR *stream = opendir(directory);
    if (stream == NULL) return ft_error_errno(FT_E_IO, errno, "%s", directory);
    ft_status status = FT_OK;
    struct dirent *entry;
    while (status == FT_OK && (entry = readdir(stream)) != NULL) {
        if (!is_dots(entry->d_name)) status = sync_entry(directory, entry->d_name);
    }
    if (status == FT_OK) status = sync_descriptor(dirfd(stream), directory, "fsync");
    closedir(stream);
    return status;
}

static char *hidden_path(const char *parent, const char *name, const char *kind)
{
    return ft_format("%s/.%s.%s-%d", parent, name, kind, (int)getpid());
}

static void free_members(ft_commit *commit)
{
    ft_free(commit->parent);
    ft_free(commit->name);
    ft_free(commit->temporary);
    *commit = (ft_commit){0};
}

ft_status ft_commit_begin(ft_commit *commit, const char *parent, const char *name)
{
    FT_ASSERT(name[0] != 0 && strchr(name, '/') == NULL, "commit of \"%s\"", name);
    *commit = (ft_commit){.parent = ft_strdup(parent), .name = ft_strdup(name), .temporary = hidden_path(parent, name, "tmp")};
    ft_status status = FT_E_NOMEM;
    if (commit->parent == NULL || commit->name == NULL || commit->temporary == NULL) goto fail;
    ft_commit_sweep(parent);
    // A leftover under our own pid is from before a reboot: whoever wrote it is gone.
    FT_TRY_GOTO(status, fail, ft_remove_tree(commit->temporary));
    if (mkdir(commit->temporary, 0777) == 0) return FT_OK;
    status = ft_error_errno(FT_E_IO, errno, "%s: cannot be created", commit->temporary);
fail:
    free_members(commit);
    return status;
}

char *ft_commit_path(const ft_commit *commit, const char *file)
{
    return ft_path_join(commit->temporary, file);
}

void ft_commit_abort(ft_commit *commit)
{
    if (commit->temporary != NULL) ft_remove_tree(commit->temporary);
    free_members(commit);
}

static ft_status rename_step(const char *from, const char *to)
{
    FT_TRY(durable_step("rename"));
    return rename(from, to) == 0 ? FT_OK : ft_error_errno(FT_E_IO, errno, "%s: cannot be renamed to %s", from, to);
}

// Both names exist before and after; no moment shows neither.
static ft_status exchange(const char *a, const char *b)
{
    FT_TRY(durable_step("exchange"));
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0) return FT_OK;
    bool refused = errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
    return ft_error_errno(refused ? FT_E_UNSUPPORTED : FT_E_IO, errno, "%s: cannot be exchanged with %s", a, b);
}

// Where exchange does not exist. A crash between the renames leaves NAME missing and .NAME.old-PID for the sweep to put back.
static ft_status replace_in_two_steps(const ft_commit *commit, const char *final, const char *old)
{
    FT_TRY(ft_remove_tree(old));
    FT_TRY(rename_step(final, old));
    ft_status status = rename_step(commit->temporary, final);
    if (status != FT_OK && rename(old, final) != 0) ft_error_prefix(status, "%s is the old state", old);
    return status;
}

// Puts the new directory in place; *left is set to the path that then holds the old one, NULL if there was none.
static ft_status put_in_place(const ft_commit *commit, const char *final, const char *old, bool replace, const char **left)
{
    *left = NULL;
    if (!ft_path_exists(final)) return rename_step(commit->temporary, final);
    if (!replace) return ft_error(FT_E_EXISTS, "%s: exists already", final);
    ft_status status = exchange(commit->temporary, final);
    *left = commit->temporary;
    if (status != FT_E_UNSUPPORTED) return status;
    *left = old;
    return replace_in_two_steps(commit, final, old);
}

static ft_status finish(const ft_commit *commit, const char *final, const char *old, bool replace, bool *placed)
{
    const char *left;
    FT_TRY(sync_tree(commit->temporary));
    FT_TRY(put_in_place(commit, final, old, replace, &left));
    *placed = true;
    FT_TRY(ft_sync_directory(commit->parent));
    if (left != NULL && ft_remove_tree(left) != FT_OK) ft_warn("%s: the replaced state stays: %s", left, ft_error_message());
    return FT_OK;
}

ft_status ft_commit_finish(ft_commit *commit, bool replace)
{
    char *final = ft_path_join(commit->parent, commit->name);
    char *old = hidden_path(commit->parent, commit->name, "old");
    bool placed = false;
    ft_status status = FT_E_NOMEM;
    if (final != NULL && old != NULL) status = finish(commit, final, old, replace, &placed);
    ft_free(final);
    ft_free(old);
    // Once in place but not known to be durable, the old state must stay: a crash may bring its name back.
    if (placed) free_members(commit);
    else ft_commit_abort(commit);
    return status;
}

static ft_status write_all(int fd, const char *path, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ft_error_errno(FT_E_IO, n == 0 ? ENOSPC : errno, "%s: write of %zu bytes", path, bytes);
        data += n;
        bytes -= (size_t)n;
    }
    return FT_OK;
}

static ft_status write_synced(const char *path, const void *data, size_t bytes)
{
    FT_TRY(durable_step("write"));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be created", path);
    ft_status status = write_all(fd, path, data, bytes);
    if (status == FT_OK) status = sync_descriptor(fd, path, "fsync");
    if (close(fd) != 0 && status == FT_OK) status = ft_error_errno(FT_E_IO, errno, "%s: close", path);
    return status;
}

ft_status ft_commit_file(const char *path, const void *data, size_t bytes)
{
    const char *base = strrchr(path, '/');
    char *parent = base == NULL ? ft_strdup(".") : ft_strndup(path, base == path ? 1 : (size_t)(base - path));
    char *temporary = parent == NULL ? NULL : hidden_path(parent, base == NULL ? path : base + 1, "tmp");
    ft_status status = FT_E_NOMEM;
    if (temporary == NULL) goto out;
    status = write_synced(temporary, data, bytes);
    if (status == FT_OK) status = rename_step(temporary, path);
    if (status != FT_OK) unlink(temporary);
    if (status == FT_OK) status = ft_sync_directory(parent);
out:
    ft_free(temporary);
    ft_free(parent);
    return status;
}

typedef struct {
    char name[NAME_MAX + 1];
    bool is_old;  // ".NAME.old-PID", not ".NAME.tmp-PID"
    long pid;
} leftover;

static bool parse_leftover(const char *entry, leftover *found)
{
    const char *dash = strrchr(entry, '-');
    if (entry[0] != '.' || dash == NULL || dash - entry < 6) return false;
    found->is_old = memcmp(dash - 4, ".old", 4) == 0;
    if (!found->is_old && memcmp(dash - 4, ".tmp", 4) != 0) return false;
    char *end;
    found->pid = strtol(dash + 1, &end, 10);
    if (*end != 0 || found->pid <= 0 || found->pid > INT_MAX) return false;
    snprintf(found->name, sizeof found->name, "%.*s", (int)(dash - 4 - (entry + 1)), entry + 1);
    return true;
}

static void clear_leftover(const char *parent, const char *entry, const leftover *found)
{
    char *path = ft_path_join(parent, entry), *final = ft_path_join(parent, found->name);
    if (path != NULL && final != NULL) {
        bool restore = found->is_old && !ft_path_exists(final);
        if (restore && rename(path, final) != 0) ft_warn("%s: cannot be put back as %s", path, final);
        if (!restore && ft_remove_tree(path) != FT_OK) ft_warn("%s", ft_error_message());
    }
    ft_free(path);
    ft_free(final);
}

void ft_commit_sweep(const char *parent)
{
    DIR *stream = opendir(parent);
    if (stream == NULL) return;
    struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        leftover found;
        if (!parse_leftover(entry->d_name, &found)) continue;
        bool dead = kill((pid_t)found.pid, 0) != 0 && errno == ESRCH;
        if (dead) clear_leftover(parent, entry->d_name, &found);
    }
    closedir(stream);
}
