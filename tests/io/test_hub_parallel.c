// A large file comes over several connections at once; a stop keeps what has arrived; two that want the same file fetch it once.
#include "hub_support.h"

#include <pthread.h>

static double seconds_with(int connections)
{
    char *snapshot;
    double start_s = ft_now_s();
    assert_ok(hub_get("org/model", &(ft_hub_options){.connections = connections, .quiet = true}, &snapshot));
    hub_check_model(snapshot);
    ft_free(snapshot);
    return ft_now_s() - start_s;
}

static void eight_connections_are_faster_than_one(void **state)
{
    HUB_SET(slow, 3 * MIB);
    double one_s = seconds_with(1);
    assert_true(hub_counts().most_at_once <= 2);  // the server may not have heard that a body has arrived
    assert_ok(ft_remove_tree(hub_cache));
    double eight_s = seconds_with(8);
    print_message("3.2 MB at 3 MiB/s a connection: %.2f s over one, %.2f s over eight\n", one_s, eight_s);
    assert_true(hub_counts().most_at_once >= 4);
    assert_true(eight_s < one_s * 0.75);
}

typedef struct {
    volatile int stop;
    int64_t after;  // bytes sent
} stopper;

static void *stop_main(void *argument)
{
    stopper *s = argument;
    while (hub_counts().bytes < s->after) usleep(1000);
    __atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
    return NULL;
}

// `bytes` count when a body has ended, so a stop comes between two ranges at the earliest.
static void a_stop_keeps_what_arrived(void **state)
{
    char *snapshot;
    pthread_t thread;
    stopper s = {.after = MIB};
    HUB_SET(slow, 4 * MIB);
    pthread_create(&thread, NULL, stop_main, &s);
    ft_status status = ft_hub_obtain_files(FT_HUB_MODEL, "org/model", NULL, &(ft_hub_options){.connections = 1, .quiet = true}, &s.stop, &snapshot);
    pthread_join(thread, NULL);
    assert_int_equal(status, FT_E_STOPPED);
    int64_t before = hub_counts().bytes;
    HUB_SET(slow, 0);
    assert_ok(hub_get("org/model", &(ft_hub_options){.quiet = true}, &snapshot));
    hub_check_model(snapshot);
    hub_check_clean();
    assert_in_range(hub_counts().bytes - before, 1, SHARD_BYTES + SHARD_2_BYTES - MIB / 2);
    ft_free(snapshot);
}

static void *get_main(void *argument)
{
    char *snapshot = NULL;
    *(ft_status *)argument = hub_get("org/model", &(ft_hub_options){.connections = 3, .quiet = true}, &snapshot);
    if (snapshot == NULL) print_error("%s\n", ft_error_message());
    ft_free(snapshot);
    return NULL;
}

static void two_at_once_fetch_a_file_once(void **state)
{
    pthread_t threads[2];
    ft_status results[2];
    char *snapshot;
    HUB_SET(slow, 4 * MIB);
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, get_main, &results[i]);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    assert_int_equal(results[0], FT_OK);
    assert_int_equal(results[1], FT_OK);
    assert_in_range(hub_counts().bytes, SHARD_BYTES + SHARD_2_BYTES, SHARD_BYTES + SHARD_2_BYTES + 1000);
    assert_ok(hub_get("org/model", &(ft_hub_options){.quiet = true}, &snapshot));
    hub_check_model(snapshot);
    hub_check_clean();
    ft_free(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hub_test(eight_connections_are_faster_than_one),
        hub_test(a_stop_keeps_what_arrived),
        hub_test(two_at_once_fetch_a_file_once),
    };
    return cmocka_run_group_tests(tests, hub_set_up, hub_tear_down);
}
