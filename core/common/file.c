#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"

static ft_status path_error(int errno_value, const char *verb, const char *path)
{
    bool absent = errno_value == ENOENT || errno_value == ENOTDIR;
    return ft_error_errno(absent ? FT_E_NOT_FOUND : FT_E_IO, errno_value, "%s: cannot %s", path, verb);
}

char *ft_path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory);
    bool separated = length == 0 || directory[length - 1] == '/';
    return ft_format("%s%s%s", directory, separated ? "" : "/", name);
}

const char *ft_path_base(const char *path)
{
    const char *base = path;
    for (const char *at = path; *at; at++) {
        if (at[0] == '/' && at[1] != '/' && at[1] != 0) base = at + 1;
    }
    return base;
}

const char *ft_path_last(const char *path, size_t length, size_t *bytes)
{
    size_t end = length;
    while (end > 0 && (path[end - 1] == '/' || (path[end - 1] == '.' && (end == 1 || path[end - 2] == '/')))) end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    *bytes = end - begin;
    return path + begin;
}

bool ft_name_ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

bool ft_path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool ft_path_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

ft_status ft_path_size(const char *path, int64_t *bytes)
{
    struct stat st;
    if (stat(path, &st) != 0) return path_error(errno, "read its size", path);
    *bytes = st.st_size;
    return FT_OK;
}

// One more level. Another process may create it at the same time.
static ft_status make_directory(const char *path)
{
    if (mkdir(path, 0777) == 0) return FT_OK;
    int error = errno;
    if (ft_path_is_directory(path)) return FT_OK;
    if (error == EEXIST || error == ENOTDIR) {
        return ft_error(FT_E_EXISTS, "%s: a file is in the way of a directory: remove it or choose another path", path);
    }
    return path_error(error, "create the directory", path);
}

ft_status ft_make_directories(const char *path)
{
    ft_status status = FT_OK;
    char *prefix = ft_strdup(path);
    FT_ALLOC_CHECK(prefix);
    for (char *at = prefix + (*prefix == '/'); *at && status == FT_OK; at++) {
        if (*at != '/') continue;
        *at = 0;
        status = make_directory(prefix);
        *at = '/';
    }
    if (status == FT_OK) status = make_directory(prefix);
    ft_free(prefix);
    return status;
}

char *ft_path_parent(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    return length > 0 ? ft_strndup(path, length) : ft_strdup(".");
}

ft_status ft_path_expect_place(const char *path)
{
    if (ft_path_is_directory(path)) return ft_error(FT_E_EXISTS, "%s is a directory: name a file", path);
    char *parent = ft_path_parent(path);
    FT_ALLOC_CHECK(parent);
    bool there = ft_path_is_directory(parent);
    ft_status status = there ? FT_OK : ft_error(FT_E_NOT_FOUND, "%s: there is no directory %s to write it to", path, parent);
    ft_free(parent);
    return status;
}

ft_status ft_make_directory(const char *path)
{
    char *parent = ft_path_parent(path);
    FT_ALLOC_CHECK(parent);
    ft_status status = FT_OK;
    if (!ft_path_is_directory(parent))
        status = ft_error(FT_E_NOT_FOUND, "%s: there is no directory %s to make it in; is the drive mounted?", path, parent);
    ft_free(parent);
    return status == FT_OK ? make_directory(path) : status;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    if (remove(path) == 0 || errno == ENOENT) return 0;
    path_error(errno, "remove", path);
    return 1;
}

// The last component, without the slashes behind it, is what would be removed.
static bool is_removable(const char *path)
{
    const char *base = ft_path_base(path);
    size_t length = strcspn(base, "/");
    bool dots = (length == 1 && base[0] == '.') || (length == 2 && base[0] == '.' && base[1] == '.');
    return length > 0 && !dots;
}

ft_status ft_remove_tree(const char *path)
{
    enum { OPEN_DIRECTORIES = 16 };
    if (!is_removable(path)) return ft_error(FT_E_USAGE, "refusing to remove \"%s\"", path);
    int result = nftw(path, remove_entry, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS);
    if (result == 0 || (result < 0 && errno == ENOENT)) return FT_OK;
    return result > 0 ? FT_E_IO : path_error(errno, "remove", path);
}

// Makes room for one more byte and the terminator. The size of a /proc file or a pipe is not known before it is read.
static ft_status make_room(int fd, char **data, size_t used, size_t *capacity)
{
    struct stat st;
    if (used + 1 < *capacity) return FT_OK;
    size_t wanted = 2 * *capacity;
    if (wanted == 0) wanted = fstat(fd, &st) == 0 && st.st_size > 0 ? (size_t)st.st_size + 2 : 4096;
    char *grown = ft_realloc(*data, wanted);
    FT_ALLOC_CHECK(grown);
    *data = grown;
    *capacity = wanted;
    return FT_OK;
}

static ft_status read_all(int fd, const char *path, size_t max_bytes, char **data, size_t *bytes)
{
    struct stat st = {0};
    size_t capacity = 0;
    ssize_t n = 1;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) return ft_error(FT_E_INPUT, "%s: is a directory, not a file", path);
    bool too_large = st.st_size > 0 && (size_t)st.st_size > max_bytes;
    while (n != 0 && !too_large) {
        FT_TRY(make_room(fd, data, *bytes, &capacity));
        n = read(fd, *data + *bytes, capacity - 1 - *bytes);
        if (n < 0 && errno != EINTR) return path_error(errno, "read", path);
        if (n > 0) *bytes += (size_t)n;
        too_large = *bytes > max_bytes;
    }
    return too_large ? ft_error(FT_E_INPUT, "%s: larger than the %zu bytes allowed", path, max_bytes) : FT_OK;
}

ft_status ft_file_read(const char *path, size_t max_bytes, char **data, size_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return path_error(errno, "open", path);
    char *contents = NULL;
    size_t length = 0;
    ft_status status = read_all(fd, path, max_bytes, &contents, &length);
    close(fd);
    if (status != FT_OK) {
        ft_free(contents);
        return status;
    }
    contents[length] = 0;
    *data = contents;
    *bytes = length;
    return FT_OK;
}

static ft_status write_all(int fd, const char *path, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return path_error(errno, "write", path);
        data += n;
        bytes -= (size_t)n;
    }
    return fsync(fd) == 0 || errno == EINVAL ? FT_OK : path_error(errno, "sync", path);
}

ft_status ft_file_write(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return path_error(errno, "open", path);
    ft_status status = write_all(fd, path, data, bytes);
    if (close(fd) != 0 && status == FT_OK) status = path_error(errno, "close", path);
    return status;
}
