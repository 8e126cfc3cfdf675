// The io_uring engine: one ring, created and used by one thread.
//
// Set-up flags, best first: SINGLE_ISSUER | DEFER_TASKRUN (Linux 6.1) runs completion work only when the owner enters the
// kernel, so a transfer never interrupts it; COOP_TASKRUN (5.19) is the weaker form; then none. With DEFER_TASKRUN completions
// appear only through a system call that asks for events, so reap always makes one.
//
// Wake: an eventfd whose poll request sits in the ring beside the transfers. The owner therefore waits in one place for both,
// without a timeout: no polling while a slow transfer is in flight, and no delay before a new one is started.
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/text.h"
#include "io/engine_rows.h"

#define SUBMIT_RETRIES 1000  // of 1 ms each: the kernel is out of memory for requests

typedef struct {
    ft_io_engine base;
    struct io_uring ring;
    int wake_fd;
    int depth, in_flight;
    bool ring_open, registered;
    bool woken;  // a wake was taken from the ring and has not yet cut a wait short
} uring_engine;

// liburing maps and unmaps rings by raw system calls, which ThreadSanitizer does not see. The lock orders the last use of a ring
// before the first use of another thread's ring at the same address.
static pthread_mutex_t mapping_lock = PTHREAD_MUTEX_INITIALIZER;

static int map_ring(uring_engine *uring, unsigned entries, unsigned flags)
{
    pthread_mutex_lock(&mapping_lock);
    int code = io_uring_queue_init(entries, &uring->ring, flags);
    pthread_mutex_unlock(&mapping_lock);
    return code;
}

static void unmap_ring(uring_engine *uring)
{
    pthread_mutex_lock(&mapping_lock);
    io_uring_queue_exit(&uring->ring);
    pthread_mutex_unlock(&mapping_lock);
}

// Entries: the transfers and the poll on wake_fd. The completion ring has twice as many, so it cannot overflow.
static int create_ring(uring_engine *uring, unsigned entries)
{
    static const unsigned set_ups[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN, 0};
    int code = -EINVAL;
    for (size_t i = 0; i < sizeof set_ups / sizeof set_ups[0] && code == -EINVAL; i++) {
        code = map_ring(uring, entries, set_ups[i]);
        if (code == 0 && i > 0)
            ft_log_once(FT_LOG_DEBUG, "uring-flags", "io_uring: an older kernel, set up with flags 0x%x", set_ups[i]);
    }
    uring->ring_open = code == 0;
    return code;
}

// IORING_OP_READ is younger (5.6) than io_uring itself.
static bool can_read(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool known = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_READ);
    io_uring_free_probe(probe);
    return known;
}

static struct io_uring_sqe *next_entry(uring_engine *uring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    FT_ASSERT(entry != NULL, "submission ring of %d is full", uring->depth);
    return entry;
}

// The poll is told from a transfer by its NULL data. It reaches the kernel with the next submission.
static void arm_wake(uring_engine *uring)
{
    struct io_uring_sqe *entry = next_entry(uring);
    io_uring_prep_poll_add(entry, uring->wake_fd, POLLIN);
    io_uring_sqe_set_data(entry, NULL);
}

static void free_engine(uring_engine *uring)
{
    if (uring->ring_open) unmap_ring(uring);
    if (uring->wake_fd >= 0) close(uring->wake_fd);
    ft_free(uring);
}

static ft_status set_up(uring_engine *uring)
{
    int code = create_ring(uring, (unsigned)uring->depth + 1);
    if (code == -EMFILE || code == -ENFILE)
        return ft_error_errno(FT_E_IO, -code, "io_uring: no ring of %d entries", uring->depth);
    if (code != 0) return ft_error_errno(FT_E_UNSUPPORTED, -code, "io_uring is refused here");
    if (!can_read(&uring->ring)) return ft_error(FT_E_UNSUPPORTED, "io_uring: the kernel is older than 5.6");
    uring->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (uring->wake_fd < 0) return ft_error_errno(FT_E_IO, errno, "io_uring: eventfd");
    arm_wake(uring);
    return FT_OK;
}

static ft_status uring_open(ft_io_engine **engine, const ft_io_options *options)
{
    uring_engine *uring = FT_NEW(uring_engine);
    FT_ALLOC_CHECK(uring);
    uring->base = (ft_io_engine){&ft_io_uring_row, ft_io_uring_row.caps};
    uring->wake_fd = -1;
    uring->depth = options->depth;
    ft_status status = set_up(uring);
    if (status != FT_OK) {
        free_engine(uring);
        return status;
    }
    *engine = &uring->base;
    return FT_OK;
}

// Without CAP_IPC_LOCK registered pages count against RLIMIT_MEMLOCK; the hard limit is often higher than the soft one.
static void raise_memlock(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &limit);
}

// Locked memory is what is short as a rule: each ring counts all of its buffers.
static ft_status refuse_registration(const struct iovec *buffers, int n, int code)
{
    struct rlimit limit = {0};
    double bytes = 0;
    char size[FT_HUMAN_BYTES], allowed[FT_HUMAN_BYTES];
    for (int i = 0; i < n; i++) bytes += (double)buffers[i].iov_len;
    ft_human_bytes(size, bytes);
    if (code != ENOMEM || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return ft_error_errno(FT_E_UNSUPPORTED, code, "io_uring: %s of buffers cannot be registered", size);
    return ft_error(FT_E_UNSUPPORTED, "io_uring: %s of buffers cannot be registered, locked memory is limited to %s; raise it with ulimit -l unlimited "
                    "(LimitMEMLOCK=infinity in a unit, --ulimit memlock=-1 for a container)", size, ft_human_bytes(allowed, (double)limit.rlim_cur));
}

static ft_status uring_register(ft_io_engine *engine, const struct iovec *buffers, int n)
{
    uring_engine *uring = (uring_engine *)engine;
    if (uring->registered) io_uring_unregister_buffers(&uring->ring);
    uring->registered = false;
    if (n == 0) return FT_OK;
    raise_memlock();
    int code = io_uring_register_buffers(&uring->ring, buffers, (unsigned)n);
    if (code != 0)
        return refuse_registration(buffers, n, -code);
    uring->registered = true;
    return FT_OK;
}

static void prepare(struct io_uring_sqe *entry, ft_io_request *request)
{
    uint64_t offset = (uint64_t)request->offset;
    int index = request->buffer_index;
    switch (request->op) {
    case FT_IO_READ:
        if (index >= 0) io_uring_prep_read_fixed(entry, request->fd, request->buffer, request->bytes, offset, index);
        else io_uring_prep_read(entry, request->fd, request->buffer, request->bytes, offset);
        break;
    case FT_IO_WRITE:
        if (index >= 0) io_uring_prep_write_fixed(entry, request->fd, request->buffer, request->bytes, offset, index);
        else io_uring_prep_write(entry, request->fd, request->buffer, request->bytes, offset);
        break;
    case FT_IO_FSYNC: io_uring_prep_fsync(entry, request->fd, IORING_FSYNC_DATASYNC); break;
    }
    io_uring_sqe_set_data(entry, request);
}

// Hands every prepared entry to the kernel, which may take fewer than it was offered.
static ft_status flush(uring_engine *uring)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int tries = 0; io_uring_sq_ready(&uring->ring) > 0;) {
        int code = io_uring_submit(&uring->ring);
        if (code > 0 || code == -EINTR) continue;
        if ((code != -EAGAIN && code != -EBUSY && code != 0) || ++tries > SUBMIT_RETRIES)
            return ft_error_errno(FT_E_IO, -code, "io_uring: submission failed");
        nanosleep(&pause, NULL);
    }
    return FT_OK;
}

static ft_status uring_submit(ft_io_engine *engine, ft_io_request *const *requests, int n)
{
    uring_engine *uring = (uring_engine *)engine;
    FT_ASSERT(uring->in_flight + n <= uring->depth, "more than %d requests in flight", uring->depth);
    for (int i = 0; i < n; i++) prepare(next_entry(uring), requests[i]);
    uring->in_flight += n;
    return flush(uring);
}

// The wake poll has fired: empty the eventfd, then arm the poll again (a write in between fires it at once).
static void take_wake(uring_engine *uring)
{
    uint64_t count;
    ssize_t got = read(uring->wake_fd, &count, sizeof count);
    FT_ASSERT(got == sizeof count || errno == EAGAIN, "eventfd errno %d", errno);
    arm_wake(uring);
    uring->woken = true;
}

// Takes up to max transfers from the completion ring.
static int harvest(uring_engine *uring, ft_io_request **done, int max)
{
    struct io_uring_cqe *completion;
    int n = 0;
    while (n < max && io_uring_peek_cqe(&uring->ring, &completion) == 0) {
        ft_io_request *request = io_uring_cqe_get_data(completion);
        int32_t result = completion->res;
        io_uring_cqe_seen(&uring->ring, completion);
        if (request == NULL) {
            take_wake(uring);
            continue;
        }
        request->result = result;
        done[n++] = request;
    }
    uring->in_flight -= n;
    return n;
}

static int uring_reap(ft_io_engine *engine, ft_io_request **done, int max, bool wait)
{
    uring_engine *uring = (uring_engine *)engine;
    for (;;) {
        bool block = wait && uring->in_flight > 0 && !uring->woken;
        int code = block ? io_uring_submit_and_wait(&uring->ring, 1) : io_uring_get_events(&uring->ring);
        if (code < 0 && code != -EINTR && code != -EAGAIN && code != -EBUSY)
            return ft_error_errno(FT_E_IO, -code, "io_uring: waiting for completions failed");
        int n = harvest(uring, done, max);
        if (n == 0 && block && !uring->woken) continue;
        if (wait) uring->woken = false;
        return n;
    }
}

static void uring_wake(ft_io_engine *engine)
{
    uring_engine *uring = (uring_engine *)engine;
    uint64_t one = 1;
    ssize_t put = write(uring->wake_fd, &one, sizeof one);
    FT_ASSERT(put == sizeof one || errno == EAGAIN, "eventfd errno %d", errno);
}

static void uring_close(ft_io_engine *engine)
{
    uring_engine *uring = (uring_engine *)engine;
    ft_io_request *done[32];
    while (uring->in_flight > 0 && uring_reap(engine, done, 32, true) >= 0) continue;
    free_engine(uring);
}

const ft_io_engine_row ft_io_uring_row = {
    .name = "io_uring",
    .help = "one ring a drive, registered buffers (Linux 5.6, best from 6.1)",
    .caps = FT_IO_CAP_ASYNC | FT_IO_CAP_REGISTERED,
    .open = uring_open,
    .register_buffers = uring_register,
    .submit = uring_submit,
    .reap = uring_reap,
    .wake = uring_wake,
    .close = uring_close,
};
