// Ranks as threads: every collective for 1 to 5 ranks, bits that do not depend on timing, and aborts that wake everybody.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "offload/comm_support.h"

#define RANKS_MAX 5

typedef void (*rank_function)(ft_comm *comm, ft_queue *queue);

typedef struct {
    ft_comm *comm;
    rank_function function;
} rank_start;

static void *rank_main(void *context)
{
    rank_start *start = context;
    ft_device *device;
    ft_queue *queue;
    CHECK(ft_device_open(&device, "cpu", 0) == FT_OK);
    CHECK(ft_queue_create(device, FT_QUEUE_COMPUTE, "rank", &queue) == FT_OK);
    start->function(start->comm, queue);
    ft_queue_destroy(queue);
    ft_device_close(device);
    ft_comm_free(start->comm);
    return NULL;
}

static void run_ranks(int size, rank_function function)
{
    ft_comm *comms[RANKS_MAX];
    pthread_t thread[RANKS_MAX];
    rank_start start[RANKS_MAX];
    CHECK(ft_comm_threads(comms, size) == FT_OK);
    for (int r = 0; r < size; r++) {
        CHECK(ft_comm_rank(comms[r]) == r && ft_comm_size(comms[r]) == size);
        start[r] = (rank_start){comms[r], function};
        CHECK(pthread_create(&thread[r], NULL, rank_main, &start[r]) == 0);
    }
    for (int r = 0; r < size; r++) pthread_join(thread[r], NULL);
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static void all_collectives(ft_comm *comm, ft_queue *queue)
{
    comm_check_all(comm, queue, 33000);
}

static void every_collective_works_for_1_to_5_ranks(void **state)
{
    for (int size = 1; size <= RANKS_MAX; size++) run_ranks(size, all_collectives);
}

// Ranks arrive in another order each time.
static void reduce_at_odd_times(ft_comm *comm, ft_queue *queue)
{
    for (int round = 0; round < 6; round++) {
        pause_ms((ft_comm_rank(comm) * 7 + round * 3) % 5 * 2);
        comm_check_all_reduce(comm, queue, 3001);
        comm_check_reduce_scatter(comm, queue, 501, round % 2);
    }
}

static void sums_do_not_depend_on_the_order_of_arrival(void **state)
{
    run_ranks(5, reduce_at_odd_times);
}

static atomic_int stopped;

// Rank 1 fails after two calls; the others find out in whatever call they are.
static void abort_one(ft_comm *comm, ft_queue *queue)
{
    float data[2000] = {0};
    CHECK(ft_comm_all_reduce(comm, data, 2000, queue) == FT_OK);
    CHECK(ft_comm_barrier(comm) == FT_OK);
    if (ft_comm_rank(comm) == 1) {
        pause_ms(20);
        ft_comm_abort(comm);
    }
    CHECK(ft_comm_all_reduce(comm, data, 2000, queue) == FT_E_IO);
    CHECK(strstr(ft_error_message(), "another rank stopped") != NULL);
    CHECK(ft_comm_barrier(comm) == FT_E_IO);
    CHECK(ft_comm_broadcast(comm, data, 8, 0, queue) == FT_E_IO);
    atomic_fetch_add(&stopped, 1);
}

static void an_abort_ends_pending_and_later_calls(void **state)
{
    for (int size = 2; size <= RANKS_MAX; size++) {
        atomic_store(&stopped, 0);
        run_ranks(size, abort_one);
        assert_int_equal(atomic_load(&stopped), size);
    }
}

// Aborts at any moment of a busy exchange: every rank ends, with a result or FT_E_IO.
static void abort_amid_traffic(ft_comm *comm, ft_queue *queue)
{
    static float shared[RANKS_MAX][4096];
    float *data = shared[ft_comm_rank(comm)];
    ft_status status = FT_OK;
    for (int round = 0; status == FT_OK && round < 10000; round++) {
        if (ft_comm_rank(comm) == 0 && round == 200) ft_comm_abort(comm);
        status = ft_comm_all_reduce(comm, data, 4096, queue);
    }
    CHECK(status == FT_E_IO);
}

static void an_abort_amid_traffic_ends_every_rank(void **state)
{
    for (int round = 0; round < 10; round++) run_ranks(4, abort_amid_traffic);
}

static void call_differently(ft_comm *comm, ft_queue *queue)
{
    float data[64] = {0};
    bool odd = ft_comm_rank(comm) == 2;
    ft_status status = odd ? ft_comm_broadcast(comm, data, 16, 0, queue) : ft_comm_all_reduce(comm, data, 16, queue);
    CHECK(status == FT_E_INTERNAL);
    CHECK(strstr(ft_error_message(), "different collectives") != NULL);
}

static void ranks_that_call_different_collectives_are_told(void **state)
{
    run_ranks(3, call_differently);
}

static void one_rank_needs_nobody(void **state)
{
    ft_comm *comm;
    ft_device *device;
    ft_queue *queue;
    assert_int_equal(ft_device_open(&device, "cpu", 0), FT_OK);
    assert_int_equal(ft_queue_create(device, FT_QUEUE_COPY, "copies", &queue), FT_OK);
    assert_int_equal(ft_comm_self(&comm), FT_OK);
    assert_string_equal(ft_comm_backend(comm), "self");
    comm_check_all(comm, queue, 100000);
    ft_comm_abort(comm);
    assert_int_equal(ft_comm_barrier(comm), FT_E_IO);
    ft_comm_free(comm);
    ft_comm_free(NULL);
    ft_queue_destroy(queue);
    ft_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_collective_works_for_1_to_5_ranks),
        cmocka_unit_test(sums_do_not_depend_on_the_order_of_arrival),
        cmocka_unit_test(an_abort_ends_pending_and_later_calls),
        cmocka_unit_test(an_abort_amid_traffic_ends_every_rank),
        cmocka_unit_test(ranks_that_call_different_collectives_are_told),
        cmocka_unit_test(one_rank_needs_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
