// The parallel for runs every index once, in pieces that depend on nothing but (n, grain, threads), from any thread.
#include "t_common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "common/cpus.h"
#include "common/log.h"
#include "common/threads.h"

enum { N = 5000, MAX_PIECES = 64 };

typedef struct {
    atomic_int runs[N];
    atomic_int n_pieces;
    int64_t begin[MAX_PIECES], end[MAX_PIECES];
} trace;

static void record(void *context, int64_t begin, int64_t end)
{
    trace *t = context;
    int piece = atomic_fetch_add(&t->n_pieces, 1);
    t->begin[piece] = begin;
    t->end[piece] = end;
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&t->runs[i], 1);
}

static int by_begin(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

// Runs [0, n), checks that the pieces cover it once and obey the grain, and sorts their bounds.
static void run_traced(trace *t, int64_t n, int64_t grain)
{
    memset(t, 0, sizeof *t);
    ft_parallel_for(n, grain, record, t);
    for (int64_t i = 0; i < N; i++) assert_int_equal(t->runs[i], i < n);
    qsort(t->begin, (size_t)t->n_pieces, sizeof *t->begin, by_begin);
    qsort(t->end, (size_t)t->n_pieces, sizeof *t->end, by_begin);
    assert_true(t->n_pieces <= 4 * ft_threads_count());
    for (int i = 0; i < t->n_pieces; i++) {
        assert_int_equal(t->begin[i] % grain, 0);
        assert_true(t->end[i] == n || t->end[i] % grain == 0);
        assert_true(t->begin[i] < t->end[i]);
    }
}

static const int64_t lengths[] = {0, 1, 2, 7, 64, 100, 1023, N};
static const int64_t grains[] = {1, 3, 64, 4096, INT64_C(1) << 40};

static void every_index_runs_once_at_any_thread_count(void **state)
{
    (void)state;
    static trace t;
    for (int threads = 1; threads <= 5; threads++) {
        assert_int_equal(ft_threads_init(threads), FT_OK);
        assert_int_equal(ft_threads_count(), threads);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            for (size_t k = 0; k < sizeof grains / sizeof *grains; k++) run_traced(&t, lengths[i], grains[k]);
        }
        ft_threads_shutdown();
    }
}

static void nest(void *context, int64_t begin, int64_t end)
{
    trace *inner = context;
    for (int64_t i = begin; i < end; i++) ft_parallel_for(1000, 10, record, &inner[i]);
}

static void the_split_is_the_same_on_the_pool_and_inline(void **state)
{
    (void)state;
    static trace pooled, again, nested[2];
    assert_int_equal(ft_threads_init(3), FT_OK);
    run_traced(&pooled, 1000, 10);
    run_traced(&again, 1000, 10);
    assert_true(pooled.n_pieces > 1);
    assert_memory_equal(pooled.begin, again.begin, sizeof again.begin);
    assert_memory_equal(pooled.end, again.end, sizeof again.end);
    // From inside a piece the caller runs the same pieces itself, in order.
    ft_parallel_for(2, 1, nest, nested);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(nested[i].n_pieces, pooled.n_pieces);
        assert_memory_equal(nested[i].begin, pooled.begin, sizeof pooled.begin);
        assert_memory_equal(nested[i].end, pooled.end, sizeof pooled.end);
    }
    ft_threads_shutdown();
}

// Both pieces must be running at once for either to end.
static void meet(void *context, int64_t begin, int64_t end)
{
    atomic_int *arrived = context;
    double limit_s = ft_now_s() + 20;
    (void)begin, (void)end;
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < 2 && ft_now_s() < limit_s) usleep(100);
}

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static void pieces_run_at_the_same_time_also_after_the_workers_slept(void **state)
{
    (void)state;
    assert_int_equal(ft_threads_init(2), FT_OK);
    for (int i = 0; i < 5; i++) {
        atomic_int arrived = 0;
        ft_parallel_for(2, 1, meet, &arrived);
        assert_int_equal(arrived, 2);
        sleep_ms(3);
    }
    ft_threads_shutdown();
}

typedef struct {
    atomic_int arrived;
    pthread_t caller;
    atomic_bool worker_done;
} late_worker;

// The worker's piece lasts much longer than the caller's, which has gone to sleep meanwhile.
static void finish_late(void *context, int64_t begin, int64_t end)
{
    late_worker *late = context;
    meet(&late->arrived, begin, end);
    if (pthread_equal(pthread_self(), late->caller)) return;
    sleep_ms(10);
    atomic_store(&late->worker_done, true);
}

static void the_caller_sleeps_until_the_last_piece_is_done(void **state)
{
    (void)state;
    assert_int_equal(ft_threads_init(2), FT_OK);
    for (int i = 0; i < 5; i++) {
        late_worker late = {.caller = pthread_self()};
        ft_parallel_for(2, 1, finish_late, &late);
        assert_true(late.worker_done);
    }
    ft_threads_shutdown();
}

enum { CALLERS = 4, ROUNDS = 200, LENGTH = 1000 };

static void add_index(void *context, int64_t begin, int64_t end)
{
    int64_t *values = context;
    for (int64_t i = begin; i < end; i++) values[i] += i;
}

static void *call_often(void *values)
{
    for (int round = 0; round < ROUNDS; round++) ft_parallel_for(LENGTH, 16, add_index, values);
    return NULL;
}

static void many_threads_may_call_at_once(void **state)
{
    (void)state;
    static int64_t values[CALLERS][LENGTH];
    pthread_t callers[CALLERS];
    assert_int_equal(ft_threads_init(3), FT_OK);
    for (int i = 0; i < CALLERS; i++) assert_int_equal(pthread_create(&callers[i], NULL, call_often, values[i]), 0);
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
    for (int c = 0; c < CALLERS; c++) {
        for (int64_t i = 0; i < LENGTH; i++) assert_int_equal(values[c][i], ROUNDS * i);
    }
    ft_threads_shutdown();
}

// Unsynchronised writes of the pieces are visible to the caller and to the next job; ThreadSanitizer checks the order.
static void jobs_that_follow_each_other_see_earlier_writes(void **state)
{
    (void)state;
    static int64_t values[LENGTH];
    assert_int_equal(ft_threads_init(3), FT_OK);
    for (int round = 1; round <= 2000; round++) {
        ft_parallel_for(LENGTH, 100, add_index, values);
        if (round % 500 == 0) sleep_ms(1);
        assert_int_equal(values[round % LENGTH], (int64_t)round * (round % LENGTH));
    }
    ft_threads_shutdown();
}

static void record_thread(void *context, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    *(pthread_t *)context = pthread_self();
}

static void without_a_pool_the_caller_runs_everything(void **state)
{
    (void)state;
    pthread_t ran;
    ft_threads_shutdown();
    assert_int_equal(ft_threads_count(), 1);
    ft_parallel_for(1, 1, record_thread, &ran);
    assert_true(pthread_equal(ran, pthread_self()));
}

static void init_twice_needs_the_same_number(void **state)
{
    (void)state;
    assert_int_equal(ft_threads_init(2), FT_OK);
    assert_int_equal(ft_threads_init(2), FT_OK);
    assert_int_equal(ft_threads_init(3), FT_E_INTERNAL);
    assert_int_equal(ft_threads_count(), 2);
    ft_threads_shutdown();
}

static void the_environment_chooses_the_default_only(void **state)
{
    (void)state;
    const char *const bad[] = {"0", "-1", "two", "3x", "1025", "99999999999999999999"};
    setenv("FT_THREADS", "3", 1);
    assert_int_equal(ft_threads_init(0), FT_OK);
    assert_int_equal(ft_threads_count(), 3);
    ft_threads_shutdown();
    assert_int_equal(ft_threads_init(2), FT_OK);
    assert_int_equal(ft_threads_count(), 2);
    ft_threads_shutdown();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("FT_THREADS", bad[i], 1);
        assert_int_equal(ft_threads_init(0), FT_E_USAGE);
        assert_non_null(strstr(ft_error_message(), bad[i]));
    }
    unsetenv("FT_THREADS");
    assert_int_equal(ft_threads_init(0), FT_OK);
    assert_int_equal(ft_threads_count(), ft_cpus_usable());
    ft_threads_shutdown();
}

static void work_without_grain(void)
{
    ft_parallel_for(1, 0, add_index, NULL);
}

static void a_grain_of_zero_asserts(void **state)
{
    (void)state;
    assert_true(t_aborts(work_without_grain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_runs_once_at_any_thread_count),
        cmocka_unit_test(the_split_is_the_same_on_the_pool_and_inline),
        cmocka_unit_test(pieces_run_at_the_same_time_also_after_the_workers_slept),
        cmocka_unit_test(the_caller_sleeps_until_the_last_piece_is_done),
        cmocka_unit_test(many_threads_may_call_at_once),
        cmocka_unit_test(jobs_that_follow_each_other_see_earlier_writes),
        cmocka_unit_test(without_a_pool_the_caller_runs_everything),
        cmocka_unit_test(init_twice_needs_the_same_number),
        cmocka_unit_test(the_environment_chooses_the_default_only),
        cmocka_unit_test(a_grain_of_zero_asserts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
