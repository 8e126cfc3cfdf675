// The directories of --nvme: whether they take and give back bytes past the page cache, what stands behind them, how much room
// they have. What they deliver: check_drive_rates.c.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "doctor/check.h"
#include "doctor/mount.h"
#include "io/engine.h"

enum { TRIAL_BYTES = 4 << 20 };

static const char *drive(const ft_doctor *doctor, int i)
{
    return doctor->config->nvme.items[i];
}

const char *ft_check_drive_place(const ft_doctor *doctor, int i, char place[PATH_MAX])
{
    const char *directory = drive(doctor, i);
    char *parent = ft_path_exists(directory) ? ft_strdup(directory) : ft_path_parent(directory);
    bool usable = parent && ft_path_is_directory(parent) && snprintf(place, PATH_MAX, "%s", parent) < PATH_MAX;
    ft_free(parent);
    return usable ? place : NULL;
}

// ---- bytes there and back

static ft_status transfer(const char *path, int fd, char *buffer, bool write)
{
    for (int64_t at = 0; at < TRIAL_BYTES;) {
        ssize_t n = write ? pwrite(fd, buffer + at, (size_t)(TRIAL_BYTES - at), at) : pread(fd, buffer + at, (size_t)(TRIAL_BYTES - at), at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ft_error_errno(FT_E_IO, n < 0 ? errno : EIO, "%s: a file of 4 MiB cannot be %s", path, write ? "written" : "read back");
        at += n;
    }
    return FT_OK;
}

static ft_status there_and_back(const char *path, int fd, char *buffer)
{
    for (int i = 0; i < TRIAL_BYTES; i++) buffer[i] = (char)(i * 2654435761u >> 24);
    FT_TRY(transfer(path, fd, buffer, true));
    if (fdatasync(fd) != 0) return ft_error_errno(FT_E_IO, errno, "%s: a file cannot be synced", path);
    memset(buffer, 0, TRIAL_BYTES);
    FT_TRY(transfer(path, fd, buffer, false));
    for (int i = 0; i < TRIAL_BYTES; i++)
        if (buffer[i] != (char)(i * 2654435761u >> 24)) return ft_error(FT_E_CORRUPT, "%s: byte %d of a file came back as another one", path, i);
    return FT_OK;
}

// The file has no name while it is used: nothing stays if the doctor is killed.
static ft_status try_directory(const char *directory, bool *direct)
{
    char path[PATH_MAX];
    void *buffer = NULL;
    snprintf(path, sizeof path, "%s/.ft-doctor-%d", directory, (int)getpid());
    int fd = ft_io_open_file(path, O_RDWR | O_CREAT | O_EXCL, direct);
    if (fd < 0) return fd;
    unlink(path);
    ft_status status = posix_memalign(&buffer, FT_IO_ALIGN, TRIAL_BYTES) == 0 ? there_and_back(directory, fd, buffer) : ft_error(FT_E_NOMEM, "out of memory");
    free(buffer);
    close(fd);
    return status;
}

static void check_drive(ft_doctor *doctor, int i)
{
    bool direct = false;
    char at[PATH_MAX];
    const char *name = drive(doctor, i), *place = ft_check_drive_place(doctor, i, at), *made = "";
    if (place && strcmp(place, name) != 0) made = "not there yet, a run makes it; where it would be: ";
    ft_status status = place ? try_directory(place, &direct) : ft_error(FT_E_NOT_FOUND, "%s: no such directory; mkdir -p it on a fast drive", name);
    if (status != FT_OK) ft_check_error(doctor, name, true, "make it writable for this user (chown, mount -o remount,rw), or name another directory");
    else if (direct) ft_check_ok(doctor, name, "%swritten and read back with O_DIRECT", made);
    else
        ft_check_note(doctor, name, "ext4 and xfs on a drive have O_DIRECT; without it reads go through the page cache, and cost memory and CPU time",
                      "%swritten and read back, no O_DIRECT", made);
}

void ft_check_drives(ft_doctor *doctor)
{
    ft_text usable = {0};
    if (doctor->config->nvme.n == 0)
        ft_check_note(doctor, NULL, "name the directories for base stores and spills: --nvme DIR[,DIR...], one on each drive", "none named");
    for (int i = 0; i < doctor->config->nvme.n; i++) {
        check_drive(doctor, i);
        ft_text_printf(&usable, "%s%s", i ? "," : "", drive(doctor, i));
    }
    if (usable.length) ft_check_fact(doctor, "drives", "%s", usable.data);
    ft_text_free(&usable);
}

// ---- devices

// false of a directory that cannot be: its own row says so.
static bool find(const ft_doctor *doctor, int i, ft_mount *mount)
{
    char real[PATH_MAX], at[PATH_MAX];
    const char *place = ft_check_drive_place(doctor, i, at);
    return place && realpath(place, real) && ft_mount_find(mount, doctor->options->root, real);
}

static const char *remedy_of(const ft_mount *mount)
{
    switch (mount->behind) {
    case FT_BEHIND_MEMORY: return "name a directory on a drive: what lies here is taken from the host memory that the run needs";
    case FT_BEHIND_NETWORK: return "name a directory on a local NVMe drive: every layer is read from here in every sweep";
    case FT_BEHIND_OVERLAY: return "mount a directory of a drive into the container (docker -v /DRIVE:/DRIVE) and name that";
    case FT_BEHIND_DISK: return "name a directory on an NVMe drive: a rotating disk delivers a twentieth of one";
    case FT_BEHIND_NVME: return mount->link_best[0] ? "look at the slot, its bifurcation and the riser: the drive could have the faster link" : NULL;
    default: return NULL;
    }
}

static void describe(const ft_mount *mount, char text[512])
{
    int n = snprintf(text, 512, "%s on %s (%s", mount->type, mount->device[0] ? mount->device : mount->source, ft_behind_name(mount->behind));
    if (mount->model[0]) n += snprintf(text + n, 512 - (size_t)n, ", %s", mount->model);
    if (mount->parts[0]) n += snprintf(text + n, 512 - (size_t)n, ": %s", mount->parts);
    if (mount->link[0]) n += snprintf(text + n, 512 - (size_t)n, ", PCIe %s", mount->link);
    if (mount->link_best[0]) n += snprintf(text + n, 512 - (size_t)n, " where it could have %s", mount->link_best);
    snprintf(text + n, 512 - (size_t)n, ")");
}

// Two directories on one device are as fast as one.
static int same_device(const ft_doctor *doctor, int i, const ft_mount *mount)
{
    ft_mount other;
    for (int k = 0; k < i && mount->device[0]; k++)
        if (find(doctor, k, &other) && strcmp(other.device, mount->device) == 0) return k;
    return -1;
}

void ft_check_drive_devices(ft_doctor *doctor)
{
    for (int i = 0; i < doctor->config->nvme.n; i++) {
        ft_mount mount;
        char text[512];
        const char *name = drive(doctor, i);
        if (!find(doctor, i, &mount)) continue;
        describe(&mount, text);
        int other = same_device(doctor, i, &mount);
        if (remedy_of(&mount)) ft_check_note(doctor, name, remedy_of(&mount), "%s", text);
        else if (other >= 0)
            ft_check_note(doctor, name, "one directory for each drive: these two are no faster than one", "%s, as %s", text, drive(doctor, other));
        else ft_check_ok(doctor, name, "%s", text);
    }
}

// ---- room

void ft_check_drive_space(ft_doctor *doctor)
{
    for (int i = 0; i < doctor->config->nvme.n; i++) {
        struct statvfs fs;
        char free_text[FT_HUMAN_BYTES], all_text[FT_HUMAN_BYTES];
        char at[PATH_MAX];
        const char *place = ft_check_drive_place(doctor, i, at);
        if (place == NULL || statvfs(place, &fs) != 0) continue;  // the row of the directory says so
        int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize, all = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
        ft_human_bytes(free_text, (double)room);
        ft_human_bytes(all_text, (double)all);
        if (room < (int64_t)16 << 30)
            ft_check_note(doctor, drive(doctor, i), "make room, or remove stores that are not used: ft-single store list --nvme DIR", "%s of %s free",
                          free_text, all_text);
        else
            ft_check_ok(doctor, drive(doctor, i), "%s of %s free", free_text, all_text);
    }
}
