// Decompression of pages. The size a page claims is no reason to allocate it: memory doubles with what really comes out, and
// snappy, which must be given all of it at once, cannot expand a byte to more than SNAPPY_RATIO.
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "common/memory.h"
#include "io/parquet_internal.h"

#define SNAPPY_RATIO 64
#define STEP (256u << 10)

enum { UNCOMPRESSED = 0, SNAPPY = 1, GZIP = 2, ZSTD = 6 };

static const char *const names[] = {"UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW"};

ft_status ft_parquet_codec_check(int codec)
{
    if (codec == UNCOMPRESSED || codec == SNAPPY || codec == GZIP || codec == ZSTD) return FT_OK;
    if (codec < 0 || (size_t)codec >= sizeof names / sizeof *names)
        return ft_error(FT_E_INPUT, "compression codec %d is not one", codec);
    return ft_error(FT_E_UNSUPPORTED, "compression codec %s is not implemented; there are UNCOMPRESSED, SNAPPY, GZIP and ZSTD",
                    names[codec]);
}

ft_status ft_parquet_buffer_reserve(ft_parquet_buffer *buffer, size_t capacity)
{
    if (capacity <= buffer->capacity) return FT_OK;
    uint8_t *data = ft_realloc(buffer->data, capacity);
    FT_ALLOC_CHECK(data);
    buffer->data = data;
    buffer->capacity = capacity;
    return FT_OK;
}

void ft_parquet_buffer_free(ft_parquet_buffer *buffer)
{
    ft_free(buffer->data);
    *buffer = (ft_parquet_buffer){0};
}

static ft_status damaged(int codec)
{
    return ft_error(FT_E_INPUT, "a page is not the %s data it is said to be", names[codec]);
}

// Room for more bytes, at most up to `end`.
static ft_status grow(ft_parquet_buffer *out, size_t end)
{
    size_t more = out->n < STEP ? STEP : out->n, capacity = more < end - out->n ? out->n + more : end;
    return ft_parquet_buffer_reserve(out, capacity);
}

static ft_status copy(const uint8_t *bytes, size_t n, size_t size, ft_parquet_buffer *out)
{
    if (n != size) return damaged(UNCOMPRESSED);
    FT_TRY(ft_parquet_buffer_reserve(out, out->n + n));
    memcpy(out->data + out->n, bytes, n);
    out->n += n;
    return FT_OK;
}

static ft_status snappy(const uint8_t *bytes, size_t n, size_t size, ft_parquet_buffer *out)
{
    size_t length;
    if (size / SNAPPY_RATIO > n || snappy_uncompressed_length((const char *)bytes, n, &length) != SNAPPY_OK || length != size)
        return damaged(SNAPPY);
    FT_TRY(ft_parquet_buffer_reserve(out, out->n + size));
    if (snappy_uncompress((const char *)bytes, n, (char *)out->data + out->n, &length) != SNAPPY_OK) return damaged(SNAPPY);
    out->n += size;
    return FT_OK;
}

// One call of inflate. *ended: no input is left and the last member is whole.
static ft_status gunzip_step(z_stream *z, ft_parquet_buffer *out, bool *ended)
{
    z->next_out = out->data + out->n;
    z->avail_out = (uInt)(out->capacity - out->n);
    uInt before = z->avail_out;
    int result = inflate(z, Z_NO_FLUSH);
    out->n += before - z->avail_out;
    *ended = result == Z_STREAM_END && z->avail_in == 0;
    if (result == Z_STREAM_END && !*ended) return inflateReset(z) == Z_OK ? FT_OK : damaged(GZIP);
    return result == Z_OK || result == Z_STREAM_END ? FT_OK : damaged(GZIP);
}

static ft_status gunzip(const uint8_t *bytes, size_t n, size_t size, ft_parquet_buffer *out)
{
    z_stream z = {.next_in = (Bytef *)bytes, .avail_in = (uInt)n};
    size_t end = out->n + size;
    bool ended = false;
    if (inflateInit2(&z, 15 + 32) != Z_OK) return ft_error(FT_E_NOMEM, "out of memory for decompression");  // 32: gzip or zlib
    ft_status status = FT_OK;
    while (status == FT_OK && !ended) {
        // One byte more than declared tells that too much comes out.
        if (out->n > end) status = damaged(GZIP);
        if (status == FT_OK && out->n == out->capacity) status = grow(out, end + 1);
        if (status == FT_OK) status = gunzip_step(&z, out, &ended);
    }
    inflateEnd(&z);
    if (status == FT_OK && out->n != end) status = damaged(GZIP);
    return status;
}

static ft_status unzstd_step(ZSTD_DCtx *context, ZSTD_inBuffer *in, ft_parquet_buffer *out, bool *ended)
{
    ZSTD_outBuffer to = {out->data, out->capacity, out->n};
    size_t in_before = in->pos, result = ZSTD_decompressStream(context, &to, in);
    if (ZSTD_isError(result)) return damaged(ZSTD);
    bool stuck = to.pos == out->n && in->pos == in_before;
    out->n = to.pos;
    *ended = result == 0 && in->pos == in->size;
    return stuck && !*ended ? damaged(ZSTD) : FT_OK;
}

static ft_status unzstd(const uint8_t *bytes, size_t n, size_t size, ft_parquet_buffer *out)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (context == NULL) return ft_error(FT_E_NOMEM, "out of memory for decompression");
    ZSTD_inBuffer in = {bytes, n, 0};
    size_t end = out->n + size;
    bool ended = false;
    ft_status status = FT_OK;
    while (status == FT_OK && !ended) {
        if (out->n > end) status = damaged(ZSTD);
        if (status == FT_OK && out->n == out->capacity) status = grow(out, end + 1);
        if (status == FT_OK) status = unzstd_step(context, &in, out, &ended);
    }
    ZSTD_freeDCtx(context);
    if (status == FT_OK && out->n != end) status = damaged(ZSTD);
    return status;
}

ft_status ft_parquet_decompress(int codec, const uint8_t *bytes, size_t n, size_t size, ft_parquet_buffer *out)
{
    if (n == 0 && size == 0) return FT_OK;
    switch (codec) {
    case UNCOMPRESSED: return copy(bytes, n, size, out);
    case SNAPPY: return snappy(bytes, n, size, out);
    case GZIP: return gunzip(bytes, n, size, out);
    case ZSTD: return unzstd(bytes, n, size, out);
    default: return ft_parquet_codec_check(codec);
    }
}
