// The files of a drive: opening and growing them.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "io/drive_internal.h"

void ft_drive_describe(ft_drive *drive)
{
    bool direct = drive->n_files > 0;
    for (int i = 0; i < drive->n_files; i++) direct = direct && drive->files[i].direct;
    snprintf(drive->description, sizeof drive->description, "%s%s%s", drive->engine != NULL ? drive->engine->row->name : "none",
             direct ? "+direct" : "", drive->n_buffers > 0 ? "+registered" : "");
}

static ft_status open_file(const ft_drive *drive, const char *name, bool writable, ft_drive_file *file)
{
    *file = (ft_drive_file){.fd = -1, .writable = writable, .name = ft_strdup(name)};
    FT_ALLOC_CHECK(file->name);
    if (drive->caps & FT_IO_CAP_NO_DATA) return FT_OK;
    char *path = ft_path_join(drive->directory, name);
    if (path != NULL) file->fd = ft_io_open_file(path, writable ? O_RDWR | O_CREAT : O_RDONLY, &file->direct);
    ft_status status = path == NULL ? FT_E_NOMEM : file->fd < 0 ? file->fd : FT_OK;
    ft_free(path);
    if (status != FT_OK) ft_free(file->name);
    return status;
}

// The lock is held while the file is opened: files are opened at set-up, and two of them must not get the same index.
ft_status ft_drive_open_file(ft_drive *drive, const char *name, bool writable, int *index)
{
    ft_status status = FT_OK;
    pthread_mutex_lock(&drive->lock);
    if (drive->n_files == FT_DRIVE_FILES)
        status = ft_error(FT_E_INTERNAL, "%s/%s: more than %d files on a drive", drive->directory, name, FT_DRIVE_FILES);
    if (status == FT_OK) status = open_file(drive, name, writable, &drive->files[drive->n_files]);
    if (status == FT_OK) *index = drive->n_files++;
    ft_drive_describe(drive);
    pthread_mutex_unlock(&drive->lock);
    return status;
}

// A file stays where it is until the drive closes.
static const ft_drive_file *get_file(ft_drive *drive, int index)
{
    pthread_mutex_lock(&drive->lock);
    FT_ASSERT(index >= 0 && index < drive->n_files, "%s: no file %d", drive->directory, index);
    pthread_mutex_unlock(&drive->lock);
    return &drive->files[index];
}

// Asked before fallocate, which would fill the device before it finds out. Allowance for metadata is the file system's.
static ft_status check_space(const ft_drive *drive, const ft_drive_file *file, const struct stat *info, int64_t bytes)
{
    struct statvfs space;
    char wanted[FT_HUMAN_BYTES], missing[FT_HUMAN_BYTES];
    if (fstatvfs(file->fd, &space) != 0) return ft_error_errno(FT_E_IO, errno, "%s/%s: statvfs", drive->directory, file->name);
    double need = (double)bytes - 512.0 * (double)info->st_blocks;
    double room = (double)space.f_bavail * (double)space.f_frsize;
    if (need <= room) return FT_OK;
    return ft_error(FT_E_IO, "%s/%s: no room for %s: free %s more there or choose another directory", drive->directory,
                    file->name, ft_human_bytes(wanted, (double)bytes), ft_human_bytes(missing, need - room));
}

// Where blocks cannot be reserved, the size at least is set; blocks come with the writes.
static int extend(int fd, int64_t old_bytes, int64_t bytes)
{
    while (fallocate(fd, 0, 0, bytes) != 0) {
        if (errno == EINTR) continue;
        if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
        return old_bytes >= bytes || ftruncate(fd, bytes) == 0 ? 0 : errno;
    }
    return 0;
}

ft_status ft_drive_reserve(ft_drive *drive, int index, int64_t bytes)
{
    const ft_drive_file *file = get_file(drive, index);
    struct stat info;
    if (drive->caps & FT_IO_CAP_NO_DATA) return FT_OK;
    if (fstat(file->fd, &info) != 0) return ft_error_errno(FT_E_IO, errno, "%s/%s: stat", drive->directory, file->name);
    FT_TRY(check_space(drive, file, &info, bytes));
    int code = extend(file->fd, info.st_size, bytes);
    if (code == 0) return FT_OK;
    bool cut = ftruncate(file->fd, info.st_size) == 0;  // gives back what a failed fallocate holds
    return ft_error_errno(FT_E_IO, code, "%s/%s: %" PRId64 " bytes cannot be reserved%s", drive->directory, file->name, bytes,
                          cut ? "" : " and the space taken is not given back");
}

ft_status ft_drive_check_file(ft_drive *drive, int index, int64_t bytes)
{
    const ft_drive_file *file = get_file(drive, index);
    struct stat info;
    if (drive->caps & FT_IO_CAP_NO_DATA) return FT_OK;
    if (fstat(file->fd, &info) != 0) return ft_error_errno(FT_E_IO, errno, "%s/%s: stat", drive->directory, file->name);
    if (info.st_nlink == 0) return ft_error(FT_E_IO, "%s/%s: was removed while it is read", drive->directory, file->name);
    if (info.st_size >= bytes) return FT_OK;
    return ft_error(FT_E_IO, "%s/%s: was cut to %lld of %" PRId64 " bytes while it is read", drive->directory, file->name,
                    (long long)info.st_size, bytes);
}
