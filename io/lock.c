// Locks are flock(2): they belong to the open descriptor, end with the process however it ends, and hold between threads too.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "io/commit.h"

// The holder's pid stands in the file as text; 0 if it has not written it yet.
static long read_holder(int fd)
{
    char text[24];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0) return 0;
    text[n] = 0;
    return strtol(text, NULL, 10);
}

static ft_status write_holder(int fd, const char *path)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n) return FT_OK;
    return ft_error_errno(FT_E_IO, errno, "%s: cannot be written", path);
}

static ft_status take(int fd, const char *path)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return ft_error(FT_E_BUSY, "%s: locked by process %ld; wait for it or stop it", path, read_holder(fd));
        if (errno != EINTR) return ft_error_errno(FT_E_IO, errno, "%s: cannot be locked", path);
    }
    return write_holder(fd, path);
}

ft_status ft_lock_file(const char *path, int *lock)
{
    *lock = -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return ft_error_errno(FT_E_IO, errno, "%s: cannot be opened for locking", path);
    ft_status status = take(fd, path);
    if (status == FT_OK) *lock = fd;
    else close(fd);
    return status;
}

// The file stays: removing it would let two processes lock two files of one name.
void ft_unlock_file(int lock)
{
    if (lock >= 0) close(lock);
}
