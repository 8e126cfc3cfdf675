// The posix engine: pread, pwrite and fdatasync on a few threads, for kernels and containers that refuse io_uring.
//
// The owner pushes requests on `pending`; a worker takes one, performs one system call, stores its result and pushes it on
// `done`. A worker is blocked in the kernel for the whole transfer, so the number of workers is the queue depth the device sees.
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "io/engine_rows.h"
#include "io/request_queue.h"

#define MAX_WORKERS 16  // deep enough for large blocks; more threads cost more than they bring

typedef struct {
    ft_io_engine base;
    int in_flight;  // of the owner's thread

    pthread_mutex_t lock;  // guards everything below
    pthread_cond_t work;   // pending has a request, or stop
    pthread_cond_t news;   // done has a request, or woken
    ft_request_queue pending, done;
    bool stop, woken;
    pthread_t workers[MAX_WORKERS];
    int n_workers;
} posix_engine;

static int32_t perform(const ft_io_request *request)
{
    ssize_t result = 0;
    switch (request->op) {
    case FT_IO_READ: result = pread(request->fd, request->buffer, request->bytes, request->offset); break;
    case FT_IO_WRITE: result = pwrite(request->fd, request->buffer, request->bytes, request->offset); break;
    case FT_IO_FSYNC: result = fdatasync(request->fd); break;
    }
    return result < 0 ? -errno : (int32_t)result;
}

static void *worker_main(void *context)
{
    posix_engine *posix = context;
    pthread_mutex_lock(&posix->lock);
    for (;;) {
        while (posix->pending.count == 0 && !posix->stop) pthread_cond_wait(&posix->work, &posix->lock);
        if (posix->pending.count == 0) break;
        ft_io_request *request = ft_request_queue_pop(&posix->pending);
        pthread_mutex_unlock(&posix->lock);
        request->result = perform(request);
        pthread_mutex_lock(&posix->lock);
        ft_request_queue_push(&posix->done, request);
        pthread_cond_signal(&posix->news);
    }
    pthread_mutex_unlock(&posix->lock);
    return NULL;
}

// Workers finish what is pending, so this waits for requests in flight.
static void posix_close(ft_io_engine *engine)
{
    posix_engine *posix = (posix_engine *)engine;
    pthread_mutex_lock(&posix->lock);
    posix->stop = true;
    pthread_cond_broadcast(&posix->work);
    pthread_mutex_unlock(&posix->lock);
    for (int i = 0; i < posix->n_workers; i++) pthread_join(posix->workers[i], NULL);
    ft_request_queue_free(&posix->pending);
    ft_request_queue_free(&posix->done);
    pthread_mutex_destroy(&posix->lock);
    pthread_cond_destroy(&posix->work);
    pthread_cond_destroy(&posix->news);
    ft_free(posix);
}

static ft_status start_workers(posix_engine *posix, int count)
{
    for (int i = 0; i < count; i++) {
        int code = pthread_create(&posix->workers[i], NULL, worker_main, posix);
        if (code != 0) return ft_error_errno(FT_E_IO, code, "posix engine: thread %d of %d cannot be started", i + 1, count);
        posix->n_workers++;
    }
    return FT_OK;
}

static ft_status posix_open(ft_io_engine **engine, const ft_io_options *options)
{
    posix_engine *posix = FT_NEW(posix_engine);
    FT_ALLOC_CHECK(posix);
    posix->base = (ft_io_engine){&ft_io_posix_row, ft_io_posix_row.caps};
    pthread_mutex_init(&posix->lock, NULL);
    pthread_cond_init(&posix->work, NULL);
    pthread_cond_init(&posix->news, NULL);
    ft_status status;
    FT_TRY_GOTO(status, fail, ft_request_queue_init(&posix->pending, options->depth));
    FT_TRY_GOTO(status, fail, ft_request_queue_init(&posix->done, options->depth));
    FT_TRY_GOTO(status, fail, start_workers(posix, options->depth < MAX_WORKERS ? options->depth : MAX_WORKERS));
    *engine = &posix->base;
    return FT_OK;
fail:
    posix_close(&posix->base);
    return status;
}

static ft_status posix_register(ft_io_engine *engine, const struct iovec *buffers, int n)
{
    return ft_error(FT_E_UNSUPPORTED, "the posix engine does not register buffers");
}

static ft_status posix_submit(ft_io_engine *engine, ft_io_request *const *requests, int n)
{
    posix_engine *posix = (posix_engine *)engine;
    posix->in_flight += n;
    FT_ASSERT(posix->in_flight <= posix->pending.capacity, "more than %d requests in flight", posix->pending.capacity);
    pthread_mutex_lock(&posix->lock);
    for (int i = 0; i < n; i++) {
        ft_request_queue_push(&posix->pending, requests[i]);
        pthread_cond_signal(&posix->work);
    }
    pthread_mutex_unlock(&posix->lock);
    return FT_OK;
}

static int posix_reap(ft_io_engine *engine, ft_io_request **done, int max, bool wait)
{
    posix_engine *posix = (posix_engine *)engine;
    pthread_mutex_lock(&posix->lock);
    while (wait && posix->in_flight > 0 && posix->done.count == 0 && !posix->woken)
        pthread_cond_wait(&posix->news, &posix->lock);
    if (wait) posix->woken = false;
    int n = ft_request_queue_drain(&posix->done, done, max);
    pthread_mutex_unlock(&posix->lock);
    posix->in_flight -= n;
    return n;
}

static void posix_wake(ft_io_engine *engine)
{
    posix_engine *posix = (posix_engine *)engine;
    pthread_mutex_lock(&posix->lock);
    posix->woken = true;
    pthread_cond_signal(&posix->news);
    pthread_mutex_unlock(&posix->lock);
}

const ft_io_engine_row ft_io_posix_row = {
    .name = "posix",
    .help = "pread and pwrite on up to 16 threads a drive, for systems that refuse io_uring",
    .caps = FT_IO_CAP_ASYNC,
    .open = posix_open,
    .register_buffers = posix_register,
    .submit = posix_submit,
    .reap = posix_reap,
    .wake = posix_wake,
    .close = posix_close,
};
