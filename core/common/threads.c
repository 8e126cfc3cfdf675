// The pool. One job at a time: its fields are plain, and published by a store to `ticket`, from which threads claim pieces.
//
// A ticket holds the number of pieces (high half) and the next one to claim (low half). A fetch-add that returns next < pieces
// has claimed a piece of the job that is in the fields, and that job cannot end, nor its fields change, before the piece is
// counted in `finished`. So a worker that wakes late, even during a later job, claims a piece of that one or nothing.
// Workers wait for `signal` to change: first spinning, for jobs that follow closely, then in a futex.
#include "common/threads.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cpus.h"
#include "common/log.h"
#include "common/memory.h"

enum { MAX_THREADS = 1024, PIECES_PER_THREAD = 4 };
static const double spin_s = 20e-6;

typedef struct {
    ft_range_function function;
    void *context;
    int64_t n, grain;
    uint32_t pieces;
} job;

static struct {
    atomic_int count;  // threads including the caller, 0 without a pool
    pthread_t *workers;
    atomic_bool busy;  // a caller owns the fields below
    job current;
    _Atomic uint64_t ticket;
    atomic_uint finished;  // pieces done
    atomic_bool caller_waits;
    atomic_uint signal;    // changes when there is work, or at the end
    atomic_int sleepers;
    atomic_bool stop;
} pool;

static void futex_wait(atomic_uint *word, unsigned value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int threads)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

// Spins while *word has the value, for spin_s at most; true if it changed.
static bool spin_while(atomic_uint *word, unsigned value)
{
    double end_s = ft_now_s() + spin_s;
    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load(word) != value) return true;
            cpu_relax();
        }
    } while (ft_now_s() < end_s);
    return false;
}

// Bounds are multiples of the grain, so that a caller may tile its range by it.
static void run_piece(const job *j, uint32_t piece)
{
    int64_t blocks = (j->n + j->grain - 1) / j->grain;
    int64_t begin = blocks * piece / j->pieces * j->grain;
    int64_t end = blocks * (piece + 1) / j->pieces * j->grain;
    j->function(j->context, begin, end < j->n ? end : j->n);
}

static bool claim_piece(uint32_t *piece)
{
    uint64_t seen = atomic_load(&pool.ticket);
    if ((uint32_t)seen >= seen >> 32) return false;
    seen = atomic_fetch_add(&pool.ticket, 1);
    *piece = (uint32_t)seen;
    return *piece < seen >> 32;
}

static void run_claimed_pieces(void)
{
    uint32_t piece;
    while (claim_piece(&piece)) {
        uint32_t pieces = pool.current.pieces;
        run_piece(&pool.current, piece);
        // From the last count on, the fields are the caller's again.
        if (atomic_fetch_add(&pool.finished, 1) + 1 == pieces && atomic_load(&pool.caller_waits)) futex_wake(&pool.finished, 1);
    }
}

static void sleep_until_signal(unsigned seen)
{
    if (spin_while(&pool.signal, seen)) return;
    atomic_fetch_add(&pool.sleepers, 1);
    while (atomic_load(&pool.signal) == seen) futex_wait(&pool.signal, seen);
    atomic_fetch_sub(&pool.sleepers, 1);
}

static void *worker_main(void *unused)
{
    (void)unused;
    while (!atomic_load(&pool.stop)) {
        unsigned seen = atomic_load(&pool.signal);
        run_claimed_pieces();
        if (!atomic_load(&pool.stop)) sleep_until_signal(seen);
    }
    return NULL;
}

// A worker either sees the new signal before it sleeps, or is counted as a sleeper before the signal changes.
static void wake_workers(int threads)
{
    atomic_fetch_add(&pool.signal, 1);
    if (atomic_load(&pool.sleepers) > 0) futex_wake(&pool.signal, threads);
}

static void wait_until_finished(uint32_t pieces)
{
    unsigned done = atomic_load(&pool.finished);
    while (done != pieces && spin_while(&pool.finished, done)) done = atomic_load(&pool.finished);
    atomic_store(&pool.caller_waits, true);
    for (done = atomic_load(&pool.finished); done != pieces; done = atomic_load(&pool.finished)) futex_wait(&pool.finished, done);
    atomic_store(&pool.caller_waits, false);
}

static void run_on_pool(const job *j)
{
    pool.current = *j;
    atomic_store(&pool.finished, 0);
    atomic_store(&pool.ticket, (uint64_t)j->pieces << 32);
    wake_workers((int)j->pieces - 1);
    run_claimed_pieces();
    wait_until_finished(j->pieces);
}

void ft_parallel_for(int64_t n, int64_t grain, ft_range_function function, void *context)
{
    if (n <= 0) return;
    FT_ASSERT(grain > 0, "grain %lld", (long long)grain);
    int64_t blocks = (n - 1) / grain + 1, most = (int64_t)ft_threads_count() * PIECES_PER_THREAD;
    if (ft_threads_count() == 1) most = 1;
    job j = {function, context, n, grain, (uint32_t)(blocks < most ? blocks : most)};
    if (j.pieces > 1 && !atomic_exchange(&pool.busy, true)) {
        run_on_pool(&j);
        atomic_store(&pool.busy, false);
    } else {
        for (uint32_t piece = 0; piece < j.pieces; piece++) run_piece(&j, piece);
    }
}

static ft_status wanted_count(int count, int *wanted)
{
    const char *text = getenv("FT_THREADS");
    *wanted = count > 0 ? count : ft_cpus_usable();
    if (count <= 0 && text != NULL && *text != 0) {
        char *end;
        long value = strtol(text, &end, 10);
        if (*end != 0 || value < 1 || value > MAX_THREADS) {
            return ft_error(FT_E_USAGE, "FT_THREADS=%s: give a number of threads from 1 to %d", text, MAX_THREADS);
        }
        *wanted = (int)value;
    }
    if (*wanted > MAX_THREADS) *wanted = MAX_THREADS;
    return FT_OK;
}

// Signals are for the main thread: workers start with all of them blocked.
static int start_worker(pthread_t *worker, int index)
{
    char name[16];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(worker, NULL, worker_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    snprintf(name, sizeof name, "ft-pool-%d", index % 10000);
    if (error == 0) pthread_setname_np(*worker, name);
    return error;
}

static ft_status start_workers(int workers)
{
    for (int i = 0; i < workers; i++) {
        int error = start_worker(&pool.workers[i], i + 1);
        if (error != 0) {
            ft_threads_shutdown();
            return ft_error_errno(FT_E_NOMEM, error, "thread %d of %d could not be started; set FT_THREADS lower", i + 1, workers);
        }
        atomic_fetch_add(&pool.count, 1);
    }
    return FT_OK;
}

ft_status ft_threads_init(int count)
{
    int wanted, running = atomic_load(&pool.count);
    FT_TRY(wanted_count(count, &wanted));
    if (running == wanted) return FT_OK;
    if (running > 0) return ft_error(FT_E_INTERNAL, "the thread pool has %d threads already, not %d", running, wanted);
    pool.workers = FT_NEW_ARRAY(pthread_t, wanted);
    FT_ALLOC_CHECK(pool.workers);
    atomic_store(&pool.stop, false);
    atomic_store(&pool.count, 1);
    return start_workers(wanted - 1);
}

int ft_threads_count(void)
{
    int count = atomic_load_explicit(&pool.count, memory_order_relaxed);
    return count > 0 ? count : 1;
}

void ft_threads_shutdown(void)
{
    int workers = atomic_load(&pool.count) - 1;
    atomic_store(&pool.stop, true);
    atomic_fetch_add(&pool.signal, 1);
    futex_wake(&pool.signal, MAX_THREADS);
    for (int i = 0; i < workers; i++) pthread_join(pool.workers[i], NULL);
    ft_free(pool.workers);
    pool.workers = NULL;
    atomic_store(&pool.count, 0);
}
