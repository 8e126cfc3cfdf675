// The null engine: everything above storage at memory speed, without files. Reads give a pattern that depends on the offset only
// (io/engine.h), so a misplaced piece is still found; writes are dropped. A request is finished when submit returns.
#include <string.h>

#include "io/engine_rows.h"
#include "io/request_queue.h"

typedef struct {
    ft_io_engine base;
    ft_request_queue done;
} null_engine;

static ft_status null_open(ft_io_engine **engine, const ft_io_options *options)
{
    null_engine *null = FT_NEW(null_engine);
    FT_ALLOC_CHECK(null);
    null->base = (ft_io_engine){&ft_io_null_row, ft_io_null_row.caps};
    ft_status status = ft_request_queue_init(&null->done, options->depth);
    if (status != FT_OK) {
        ft_free(null);
        return status;
    }
    *engine = &null->base;
    return FT_OK;
}

static ft_status null_register(ft_io_engine *engine, const struct iovec *buffers, int n)
{
    return ft_error(FT_E_UNSUPPORTED, "the null engine does not register buffers");
}

// Bytes [skip, skip + n) of the word at `offset`.
static void fill_part(char *dst, uint64_t offset, size_t skip, size_t n)
{
    memcpy(dst, (const char *)&offset + skip, n);
}

static void fill_pattern(char *dst, uint64_t offset, size_t bytes)
{
    size_t skip = offset % 8, head = (8 - skip) % 8 < bytes ? (8 - skip) % 8 : bytes;
    fill_part(dst, offset - skip, skip, head);
    dst += head;
    offset += head;
    for (size_t words = (bytes - head) / 8; words > 0; words--, dst += 8, offset += 8) memcpy(dst, &offset, 8);
    fill_part(dst, offset, 0, (bytes - head) % 8);
}

static ft_status null_submit(ft_io_engine *engine, ft_io_request *const *requests, int n)
{
    null_engine *null = (null_engine *)engine;
    for (int i = 0; i < n; i++) {
        ft_io_request *request = requests[i];
        if (request->op == FT_IO_READ) fill_pattern(request->buffer, (uint64_t)request->offset, request->bytes);
        request->result = request->op == FT_IO_FSYNC ? 0 : (int32_t)request->bytes;
        ft_request_queue_push(&null->done, request);
    }
    return FT_OK;
}

// Never waits: what is in flight is finished.
static int null_reap(ft_io_engine *engine, ft_io_request **done, int max, bool wait)
{
    return ft_request_queue_drain(&((null_engine *)engine)->done, done, max);
}

static void null_wake(ft_io_engine *engine) {}

static void null_close(ft_io_engine *engine)
{
    ft_request_queue_free(&((null_engine *)engine)->done);
    ft_free(engine);
}

const ft_io_engine_row ft_io_null_row = {
    .name = "null",
    .help = "touches no file: reads give a pattern, writes are dropped (for tests and benchmarks)",
    .caps = FT_IO_CAP_NO_DATA,
    .open = null_open,
    .register_buffers = null_register,
    .submit = null_submit,
    .reap = null_reap,
    .wake = null_wake,
    .close = null_close,
};
