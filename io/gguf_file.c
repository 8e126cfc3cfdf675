// A GGUF file on disk: mapped for its header, read by pread for its tensors.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "io/gguf.h"

// O_NONBLOCK: a FIFO of that name must not hang the program; for a regular file it means nothing.
static ft_status map(const char *path, int *fd, void **data, size_t *bytes)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return ft_error_errno(errno == ENOENT ? FT_E_NOT_FOUND : FT_E_IO, errno, "%s: cannot be opened", path);
    if (fstat(*fd, &info) != 0) return ft_error_errno(FT_E_IO, errno, "%s", path);
    if (!S_ISREG(info.st_mode)) return ft_error(FT_E_INPUT, "%s: is not a regular file", path);
    if (info.st_size == 0) return ft_error(FT_E_INPUT, "%s: is empty", path);
    *bytes = (size_t)info.st_size;
    *data = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, *fd, 0);
    return *data == MAP_FAILED ? ft_error_errno(FT_E_IO, errno, "%s: mmap", path) : FT_OK;
}

ft_status ft_gguf_open(ft_gguf *file, const char *path)
{
    int fd = -1;
    void *data = NULL;
    size_t bytes = 0;
    *file = (ft_gguf){.fd = -1};
    ft_status status = map(path, &fd, &data, &bytes);
    if (status != FT_OK) {
        if (fd >= 0) close(fd);
        return status;
    }
    status = ft_gguf_parse(file, path, data, bytes);
    file->fd = fd;
    if (status != FT_OK) ft_gguf_close(file);
    return status;
}

void ft_gguf_close(ft_gguf *file)
{
    if (file->fd >= 0) {
        munmap((void *)file->data, file->bytes);
        close(file->fd);
    }
    ft_free(file->values);
    ft_free(file->tensors);
    ft_free(file->path);
    *file = (ft_gguf){.fd = -1};
}

ft_status ft_gguf_read(const ft_gguf *file, const ft_gguf_tensor *tensor, int64_t begin, int64_t n, void *dst)
{
    FT_ASSERT(begin >= 0 && n >= 0 && begin <= tensor->bytes && n <= tensor->bytes - begin);
    char *to = dst;
    for (int64_t at = tensor->offset + begin, end = at + n; at < end;) {
        size_t most = (size_t)1 << 30, want = (uint64_t)(end - at) < most ? (size_t)(end - at) : most;
        ssize_t got = pread(file->fd, to, want, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ft_error_errno(FT_E_IO, errno, "%s: read of %zu bytes at offset %" PRId64, file->path, want, at);
        if (got == 0) return ft_error(FT_E_IO, "%s: ends at offset %" PRId64 " while being read; was it replaced?", file->path, at);
        at += got;
        to += got;
    }
    return FT_OK;
}
