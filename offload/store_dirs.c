// The drive directories of one store id: paths, locks, space.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "io/commit.h"
#include "offload/store_internal.h"

static ft_status make_paths(ft_store_directory *directory, const char *path, const char *absolute, const char *id)
{
    directory->path = ft_strdup(path);
    FT_ALLOC_CHECK(directory->path);
    directory->real = ft_strdup(absolute);
    FT_ALLOC_CHECK(directory->real);
    directory->root = ft_path_join(absolute, "ft-store");
    FT_ALLOC_CHECK(directory->root);
    directory->building = ft_format("%s/.%s.building", directory->root, id);
    FT_ALLOC_CHECK(directory->building);
    directory->final = ft_path_join(directory->root, id);
    FT_ALLOC_CHECK(directory->final);
    directory->lock_path = ft_format("%s/.%s.lock", directory->root, id);
    FT_ALLOC_CHECK(directory->lock_path);
    return FT_OK;
}

static ft_status add_directory(ft_store_directories *directories, const char *path, const char *id)
{
    char absolute[PATH_MAX];
    struct stat info;
    if (realpath(path, absolute) == NULL || stat(absolute, &info) != 0)
        return ft_error_errno(FT_E_INPUT, errno, "--nvme directory %s: create it or mount its drive", path);
    if (!S_ISDIR(info.st_mode)) return ft_error(FT_E_INPUT, "--nvme %s is not a directory", path);
    ft_store_directory *directory = &directories->item[directories->n++];
    *directory = (ft_store_directory){.lock = -1, .device = info.st_dev, .inode = info.st_ino};
    return make_paths(directory, path, absolute, id);
}

static int by_real_path(const void *a, const void *b)
{
    return strcmp(((const ft_store_directory *)a)->real, ((const ft_store_directory *)b)->real);
}

static ft_status check_distinct(const ft_store_directories *directories)
{
    for (int i = 0; i < directories->n; i++)
        for (int j = 0; j < i; j++) {
            const ft_store_directory *a = &directories->item[j], *b = &directories->item[i];
            if (a->device == b->device && a->inode == b->inode)
                return ft_error(FT_E_INPUT, "--nvme names one directory twice: %s and %s", a->path, b->path);
        }
    return FT_OK;
}

static ft_status open_all(ft_store_directories *directories, const char *const *nvme, int n_nvme, const char *id)
{
    ft_hash128 parsed;
    if (n_nvme < 1 || n_nvme > FT_MAX_DRIVES)
        return ft_error(FT_E_USAGE, "--nvme takes 1 to %d directories, %d are given", FT_MAX_DRIVES, n_nvme);
    if (ft_hash128_parse(id, &parsed) != FT_OK) return ft_error(FT_E_USAGE, "%s is not the id of a base store: 32 hex digits", id);
    ft_hash128_text(parsed, directories->id);
    for (int i = 0; i < n_nvme; i++) FT_TRY(add_directory(directories, nvme[i], directories->id));
    qsort(directories->item, (size_t)directories->n, sizeof *directories->item, by_real_path);
    return check_distinct(directories);
}

ft_status ft_store_directories_open(ft_store_directories *directories, const char *const *nvme, int n_nvme, const char *id)
{
    *directories = (ft_store_directories){0};
    ft_status status = open_all(directories, nvme, n_nvme, id);
    if (status != FT_OK) ft_store_directories_close(directories);
    return status;
}

// The lock file is removed while it is held; ft_store_lock looks whether the file it locked is still the one of that name.
void ft_store_unlock(const char *path, int *lock)
{
    if (*lock < 0) return;
    unlink(path);
    ft_unlock_file(*lock);
    *lock = -1;
}

void ft_store_directories_close(ft_store_directories *directories)
{
    for (int i = 0; i < directories->n; i++) {
        ft_store_directory *directory = &directories->item[i];
        ft_store_unlock(directory->lock_path, &directory->lock);
        ft_free(directory->path);
        ft_free(directory->real);
        ft_free(directory->root);
        ft_free(directory->building);
        ft_free(directory->final);
        ft_free(directory->lock_path);
    }
    directories->n = 0;
}

static bool same_file(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

ft_status ft_store_lock(const char *path, int *lock)
{
    for (;;) {
        FT_TRY(ft_lock_file(path, lock));
        if (same_file(*lock, path)) return FT_OK;
        ft_unlock_file(*lock);  // its last holder removed it between our open and our lock
        *lock = -1;
    }
}

static ft_status lock_directory(ft_store_directory *directory)
{
    FT_TRY(ft_make_directories(directory->root));
    return ft_store_lock(directory->lock_path, &directory->lock);
}

// Every process takes the locks in the order of real paths, so overlapping sets of directories exclude one another.
ft_status ft_store_directories_lock(ft_store_directories *directories)
{
    for (int i = 0; i < directories->n; i++) FT_TRY(lock_directory(&directories->item[i]));
    return FT_OK;
}

static int64_t allocated_bytes(const ft_store_directory *directory)
{
    struct stat info;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/" FT_STORE_DATA, directory->building);
    return stat(path, &info) == 0 ? (int64_t)info.st_blocks * 512 : 0;
}

// What the scratch directory still needs; the files in it are there already.
static int64_t scratch_needed(const ft_store_directories *directories, uint64_t *device)
{
    struct stat info;
    int64_t bytes = directories->scratch_bytes;
    if (directories->scratch == NULL || stat(directories->scratch, &info) != 0) return 0;
    *device = info.st_dev;
    DIR *stream = opendir(directories->scratch);
    for (struct dirent *item; stream != NULL && (item = readdir(stream)) != NULL;)
        if (fstatat(dirfd(stream), item->d_name, &info, 0) == 0 && S_ISREG(info.st_mode)) bytes -= (int64_t)info.st_blocks * 512;
    if (stream != NULL) closedir(stream);
    return bytes > 0 ? bytes : 0;
}

// Bytes that the data files of every directory on a file system, and the scratch directory if it is there, still need.
static int64_t bytes_needed(const ft_store_directories *directories, const ft_stripe_table *table, uint64_t device)
{
    uint64_t scratch_device = 0;
    int64_t scratch = scratch_needed(directories, &scratch_device), bytes = scratch_device == device ? scratch : 0;
    for (int i = 0; i < directories->n; i++) {
        if (directories->item[i].device != device) continue;
        int64_t missing = table->drive_bytes[i] - allocated_bytes(&directories->item[i]);
        if (missing > 0) bytes += missing;
    }
    return bytes;
}

static ft_status check_room(const char *path, const char *real, int64_t need, const char *what, const char *remedy)
{
    struct statvfs space;
    char needed[FT_HUMAN_BYTES], short_by[FT_HUMAN_BYTES];
    if (statvfs(real, &space) != 0) return ft_error_errno(FT_E_IO, errno, "%s: free space", path);
    int64_t room = (int64_t)space.f_bavail * (int64_t)space.f_frsize;
    if (need <= room) return FT_OK;
    return ft_error(FT_E_IO, "%s: %s needs %s more there, %s (%lld bytes) are missing: free space or %s", path, what,
                    ft_human_bytes(needed, (double)need), ft_human_bytes(short_by, (double)(need - room)), (long long)(need - room), remedy);
}

ft_status ft_store_directories_space(const ft_store_directories *directories, const ft_stripe_table *table)
{
    uint64_t device = 0;
    int64_t scratch = scratch_needed(directories, &device);
    const char *what = scratch > 0 ? "the base store with its scratch" : "the base store";
    const char *remedy = scratch > 0 ? "add a drive to --nvme, or give --scratch DIR" : "add a drive to --nvme";
    for (int i = 0; i < directories->n; i++) {
        const ft_store_directory *item = &directories->item[i];
        bool shares = scratch > 0 && item->device == device;
        FT_TRY(check_room(item->path, item->real, bytes_needed(directories, table, item->device), shares ? what : "the base store", remedy));
    }
    if (scratch == 0) return FT_OK;
    return check_room(directories->scratch, directories->scratch, bytes_needed(directories, table, device), "scratch", "give --scratch DIR");
}

char *ft_store_remove_command(const ft_store_directories *directories, char text[FT_STORE_COMMAND_TEXT])
{
    int n = snprintf(text, FT_STORE_COMMAND_TEXT, "ft-single store remove %s --nvme ", directories->id);
    for (int i = 0; i < directories->n && n < FT_STORE_COMMAND_TEXT; i++)
        n += snprintf(text + n, FT_STORE_COMMAND_TEXT - (size_t)n, "%s%s", i > 0 ? "," : "", directories->item[i].path);
    return text;
}

ft_status ft_store_step(const char *step)
{
    return ft_commit_hook != NULL ? ft_commit_hook(step) : FT_OK;
}

ft_status ft_store_rename(const char *from, const char *to, const char *parent)
{
    FT_TRY(ft_store_step("rename"));
    if (rename(from, to) != 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be renamed to %s", from, to);
    return ft_sync_directory(parent);
}
