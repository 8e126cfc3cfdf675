#include "data/byte_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "common/memory.h"

typedef enum { AS_IT_IS, GZIP, ZSTD } packing;

struct ft_byte_stream {
    char *path;
    int fd;
    packing packing;
    uint8_t *packed;         // FT_BYTE_STREAM_BUFFER; [at, n) are not unpacked yet
    size_t at, n;
    bool file_ended;
    bool inside;             // a member or frame has begun and not ended
    z_stream gzip;
    bool gzip_ready;
    ZSTD_DCtx *zstd;
};

static packing packing_of(const char *path)
{
    size_t n = strlen(path);
    if (n > 3 && strcasecmp(path + n - 3, ".gz") == 0) return GZIP;
    return n > 4 && strcasecmp(path + n - 4, ".zst") == 0 ? ZSTD : AS_IT_IS;
}

size_t ft_byte_stream_stem(const char *path)
{
    static const size_t extension[] = {[AS_IT_IS] = 0, [GZIP] = 3, [ZSTD] = 4};
    return strlen(path) - extension[packing_of(path)];
}

static ft_status read_file(ft_byte_stream *s, void *bytes, size_t n, size_t *got)
{
    ssize_t result;
    do result = read(s->fd, bytes, n);
    while (result < 0 && errno == EINTR);
    if (result < 0) return ft_error_errno(FT_E_IO, errno, "%s: reading failed", s->path);
    *got = (size_t)result;
    return FT_OK;
}

static ft_status refill(ft_byte_stream *s)
{
    if (s->at < s->n || s->file_ended) return FT_OK;
    s->at = 0;
    FT_TRY(read_file(s, s->packed, FT_BYTE_STREAM_BUFFER, &s->n));
    s->file_ended = s->n == 0;
    return FT_OK;
}

static ft_status prepare(ft_byte_stream *s)
{
    if (s->packing == AS_IT_IS) return FT_OK;
    s->packed = ft_malloc(FT_BYTE_STREAM_BUFFER);
    FT_ALLOC_CHECK(s->packed);
    if (s->packing == GZIP) s->gzip_ready = inflateInit2(&s->gzip, 15 + 16) == Z_OK;  // 16: gzip only
    else s->zstd = ZSTD_createDCtx();
    return s->gzip_ready || s->zstd ? FT_OK : ft_error(FT_E_NOMEM, "out of memory for decompression");
}

ft_status ft_byte_stream_open(ft_byte_stream **stream, const char *path)
{
    ft_byte_stream *s = FT_NEW(ft_byte_stream);
    *stream = NULL;
    FT_ALLOC_CHECK(s);
    s->packing = packing_of(path);
    s->path = ft_strdup(path);
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // else a FIFO would be waited for
    ft_status status = s->fd < 0 ? ft_error_errno(FT_E_INPUT, errno, "%s: cannot be opened", path) : FT_OK;
    struct stat about;
    if (status == FT_OK && fstat(s->fd, &about) == 0 && !S_ISREG(about.st_mode))
        status = ft_error(FT_E_INPUT, "%s: not a regular file; data is read more than once", path);
    if (status == FT_OK && s->path == NULL) status = FT_E_NOMEM;
    if (status == FT_OK) status = prepare(s);
    if (status == FT_OK) *stream = s;
    else ft_byte_stream_close(s);
    return status;
}

void ft_byte_stream_close(ft_byte_stream *s)
{
    if (s == NULL) return;
    if (s->gzip_ready) inflateEnd(&s->gzip);
    ZSTD_freeDCtx(s->zstd);
    if (s->fd >= 0) close(s->fd);
    ft_free(s->packed);
    ft_free(s->path);
    ft_free(s);
}

static ft_status damaged(const ft_byte_stream *s)
{
    return ft_error(FT_E_INPUT, "%s: not the %s data its name says, or damaged", s->path, s->packing == GZIP ? "gzip" : "zstd");
}

// One call of the decompressor, from packed[at, n) into bytes; *got may stay 0.
static ft_status gunzip(ft_byte_stream *s, void *bytes, size_t n, size_t *got)
{
    z_stream *z = &s->gzip;
    if (!s->inside && inflateReset(z) != Z_OK) return damaged(s);
    z->next_in = s->packed + s->at;
    z->avail_in = (uInt)(s->n - s->at);
    z->next_out = bytes;
    z->avail_out = n < UINT32_MAX ? (uInt)n : UINT32_MAX;
    uInt room = z->avail_out;
    int result = inflate(z, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return damaged(s);
    s->at = s->n - z->avail_in;
    s->inside = result != Z_STREAM_END;
    *got = room - z->avail_out;
    return FT_OK;
}

static ft_status unzstd(ft_byte_stream *s, void *bytes, size_t n, size_t *got)
{
    ZSTD_inBuffer in = {s->packed, s->n, s->at};
    ZSTD_outBuffer out = {bytes, n, 0};
    size_t result = ZSTD_decompressStream(s->zstd, &out, &in);
    if (ZSTD_isError(result)) return damaged(s);
    s->at = in.pos;
    s->inside = result != 0;
    *got = out.pos;
    return FT_OK;
}

ft_status ft_byte_stream_read(ft_byte_stream *s, void *bytes, size_t n, size_t *got)
{
    *got = 0;
    if (s->packing == AS_IT_IS) return read_file(s, bytes, n, got);
    while (*got == 0) {
        FT_TRY(refill(s));
        // The end between members is the end. Within one, what was consumed before may still come out.
        if (s->file_ended && !s->inside) return FT_OK;
        size_t before = s->at;
        FT_TRY(s->packing == GZIP ? gunzip(s, bytes, n, got) : unzstd(s, bytes, n, got));
        if (s->file_ended && *got == 0 && s->at == before && s->inside)
            return ft_error(FT_E_INPUT, "%s: the file is cut off", s->path);
    }
    return FT_OK;
}
