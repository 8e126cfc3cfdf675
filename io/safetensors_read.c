#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "io/safetensors_header.h"

#define MAX_PREAD ((size_t)1 << 30)  // Linux moves at most 2^31 - 4096 bytes a call

static ft_status read_exact(const ft_safetensors *file, void *dst, int64_t offset, int64_t bytes)
{
    char *at = dst;
    while (bytes > 0) {
        size_t want = (uint64_t)bytes < MAX_PREAD ? (size_t)bytes : MAX_PREAD;
        ssize_t n = pread(file->fd, at, want, offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return ft_error_errno(FT_E_IO, errno, "%s: read of %zu bytes at offset %" PRId64, file->path, want, offset);
        if (n == 0)
            return ft_error(FT_E_IO, "%s: ends at offset %" PRId64 " while being read; was it replaced?", file->path, offset);
        at += n;
        offset += n;
        bytes -= n;
    }
    return FT_OK;
}

// O_NONBLOCK: a FIFO of that name must not hang the program; for a regular file it means nothing.
static ft_status open_regular(ft_safetensors *file)
{
    struct stat info;
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return ft_error_errno(errno == ENOENT ? FT_E_NOT_FOUND : FT_E_IO, errno, "%s: cannot be opened", file->path);
    if (fstat(file->fd, &info) != 0) return ft_error_errno(FT_E_IO, errno, "%s", file->path);
    if (!S_ISREG(info.st_mode)) return ft_error(FT_E_INPUT, "%s: is not a regular file", file->path);
    file->file_bytes = info.st_size;
    file->mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return FT_OK;
}

static ft_status read_header_length(ft_safetensors *file)
{
    unsigned char length[8];
    if (file->file_bytes < 8)
        return ft_error(FT_E_INPUT, "%s: %" PRId64 " bytes are no safetensors file", file->path, file->file_bytes);
    FT_TRY(read_exact(file, length, 0, 8));
    if (memcmp(length, "version ", 8) == 0)
        return ft_error(FT_E_INPUT, "%s: a Git LFS pointer, not the file it stands for: fetch it with `git lfs pull`", file->path);
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | length[i];
    if (n > FT_SAFETENSORS_MAX_HEADER)
        return ft_error(FT_E_INPUT, "%s: a header of %" PRIu64 " bytes; at most %d are allowed (is it a safetensors file?)",
                        file->path, n, FT_SAFETENSORS_MAX_HEADER);
    if ((int64_t)n > file->file_bytes - 8)
        return ft_error(FT_E_INPUT, "%s: the header has %" PRIu64 " bytes but the file ends at byte %" PRId64 "; download it again",
                        file->path, n, file->file_bytes);
    file->header_bytes = (int64_t)n;
    return FT_OK;
}

static ft_status read_header(const ft_safetensors *file, char **json)
{
    *json = ft_malloc((size_t)file->header_bytes);
    FT_ALLOC_CHECK(*json);
    ft_status status = read_exact(file, *json, 8, file->header_bytes);
    if (status != FT_OK) {
        ft_free(*json);
        *json = NULL;
    }
    return status;
}

static ft_status parse_header(ft_safetensors *file)
{
    char *json;
    FT_TRY(read_header(file, &json));
    size_t bytes = (size_t)file->header_bytes;
    int64_t data_begin = 8 + file->header_bytes;
    file->header_hash = ft_hash128_of(json, bytes);
    ft_status status = ft_safetensors_parse(file->path, json, bytes, data_begin, file->file_bytes - data_begin, &file->tensors,
                                            &file->n_tensors);
    ft_free(json);
    return status;
}

ft_status ft_safetensors_open(ft_safetensors *file, const char *path)
{
    *file = (ft_safetensors){.fd = -1, .path = ft_strdup(path)};
    FT_ALLOC_CHECK(file->path);
    ft_status status = open_regular(file);
    if (status == FT_OK) status = read_header_length(file);
    if (status == FT_OK) status = parse_header(file);
    if (status != FT_OK) ft_safetensors_close(file);
    return status;
}

void ft_safetensors_close(ft_safetensors *file)
{
    if (file->path != NULL && file->fd >= 0) close(file->fd);
    ft_safetensors_free_tensors(file->tensors, file->n_tensors);
    ft_free(file->path);
    *file = (ft_safetensors){.fd = -1};
}

const ft_tensor_info *ft_safetensors_find(const ft_safetensors *file, const char *name)
{
    for (int i = 0; i < file->n_tensors; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    }
    return NULL;
}

ft_status ft_safetensors_metadata(const ft_safetensors *file, const char *key, char **value)
{
    char *json;
    *value = NULL;
    FT_TRY(read_header(file, &json));
    ft_status status = ft_safetensors_parse_metadata(file->path, json, (size_t)file->header_bytes, key, value);
    ft_free(json);
    return status;
}

ft_status ft_safetensors_read(const ft_safetensors *file, const ft_tensor_info *tensor, int64_t begin, int64_t n, void *dst)
{
    FT_ASSERT(begin >= 0 && n >= 0 && begin <= tensor->bytes && n <= tensor->bytes - begin,
              "%s: %s: bytes %" PRId64 " + %" PRId64 " of %" PRId64, file->path, tensor->name, begin, n, tensor->bytes);
    ft_status status = read_exact(file, dst, tensor->offset + begin, n);
    return status == FT_OK ? FT_OK : ft_error_prefix(status, "tensor %.160s", tensor->name);
}
