// The CUDA device: memory, copies between queues ordered by events, event times, graphs, pinned slabs, errors that do not stay.
#include "gpu/gpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/memory.h"
#include "device/cuda_library.h"
#include "device/device_cuda.h"

#define MIB ((int64_t)1 << 20)

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static ft_device *device(void)
{
    return ft_queue_device(t_queue());
}

static ft_queue *new_queue(ft_queue_kind kind, const char *name)
{
    ft_queue *queue;
    ok(ft_queue_create(device(), kind, name, &queue));
    return queue;
}

static ft_event *new_event(void)
{
    ft_event *event;
    ok(ft_event_create(device(), &event));
    return event;
}

static unsigned char *new_slab(int64_t bytes)
{
    void *slab = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(slab != MAP_FAILED);
    madvise(slab, (size_t)bytes, MADV_HUGEPAGE);
    ok(ft_device_register_host(device(), slab, bytes));
    return slab;
}

static void free_slab(unsigned char *slab, int64_t bytes)
{
    ft_device_unregister_host(device(), slab);
    munmap(slab, (size_t)bytes);
}

// Fails with the first byte that is not `want`.
static void assert_bytes(const unsigned char *bytes, int64_t n, int want)
{
    for (int64_t i = 0; i < n; i++) {
        if (bytes[i] != want) fail_msg("byte %lld of %lld: got %d want %d", (long long)i, (long long)n, bytes[i], want);
    }
}

static void assert_device_bytes(const void *pointer, int64_t n, int want)
{
    unsigned char *host = malloc((size_t)n);
    t_download(host, pointer, n);
    assert_bytes(host, n, want);
    free(host);
}

static void it_describes_itself(void **state)
{
    const ft_device_info *info = ft_device_get_info(device());
    printf("  %s, capability %d, %d SMs, %.1f GiB, %.1f free, context %.0f MiB, NUMA node %d\n", info->name, info->compute_capability,
           info->sm_count, (double)info->memory_bytes / (1 << 30), (double)info->memory_free / (1 << 30),
           (double)info->context_bytes / (1 << 20), info->numa_node);
    assert_int_equal(info->kind, FT_DEVICE_CUDA);
    assert_int_equal(info->ordinal, 0);
    assert_true(strlen(info->name) > 0);
    assert_true(info->compute_capability >= 80);
    assert_true(info->sm_count > 0);
    assert_in_range(info->memory_free, 1, info->memory_bytes);
    assert_true(info->context_bytes >= 0 && info->context_bytes < info->memory_bytes);
    assert_true(info->async_copies);
    assert_true(info->graphs);
}

static void a_second_opening_tells_the_same_context(void **state)
{
    ft_device *again;
    ok(ft_device_open(&again, "auto", 0));
    assert_int_equal(ft_device_get_info(again)->kind, FT_DEVICE_CUDA);
    assert_int_equal(ft_device_get_info(again)->context_bytes, ft_device_get_info(device())->context_bytes);
    ft_device_close(again);
}

static void a_device_beyond_the_last_is_refused(void **state)
{
    ft_device *none;
    assert_int_equal(ft_device_open(&none, "cuda", 1000), FT_E_USAGE);
    assert_null(none);
    assert_int_equal(ft_device_open(&none, "cuda", -1), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), "cuda:-1"));
}

static void memory_is_aligned_and_zeroed(void **state)
{
    const int64_t sizes[] = {0, 1, 255, 4097, 37 * MIB + 5};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *pointer;
        for (int round = 0; round < 2; round++) {  // the second may get what the first has written
            ok(ft_device_alloc(device(), sizes[i], &pointer));
            assert_non_null(pointer);
            assert_int_equal((uintptr_t)pointer % FT_ARENA_ALIGN, 0);
            if (sizes[i] > 0) assert_device_bytes(pointer, sizes[i], 0);
            ok(ft_fill(t_queue(), pointer, 1, sizes[i]));
            t_sync();
            ft_device_free(device(), pointer);
        }
    }
}

static void memory_that_is_not_there_is_refused_and_nothing_else_fails(void **state)
{
    void *pointer = &pointer;
    assert_int_equal(ft_device_alloc(device(), ft_device_get_info(device())->memory_bytes * 2, &pointer), FT_E_NOMEM);
    assert_null(pointer);
    assert_non_null(strstr(ft_error_message(), "GiB"));
    ok(ft_device_alloc(device(), MIB, &pointer));
    assert_device_bytes(pointer, MIB, 0);
    ft_device_free(device(), pointer);
}

static void copies_of_odd_sizes_are_exact(void **state)
{
    const int64_t sizes[] = {1, 3, 4095, 65537, 3 * MIB + 7};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n = sizes[i];
        unsigned char *from = malloc((size_t)n), *back = malloc((size_t)n);
        for (int64_t k = 0; k < n; k++) from[k] = (unsigned char)(k * 31 + k / 251);
        unsigned char *a = t_device(n + 1), *b = t_device(n);
        ok(ft_copy_h2d(t_queue(), a + 1, from, n));
        ok(ft_copy_d2d(t_queue(), b, a + 1, n));
        t_download(back, b, n);
        assert_memory_equal(from, back, n);
        free(from);
        free(back);
        t_free();
    }
    ok(ft_copy_h2d(t_queue(), NULL, NULL, 0));
}

// Two slots of a slab go up on one queue, through the compute queue, and down on another, as the layers of a step do; a missing
// wait shows as another round's bytes.
static void events_order_copies_of_three_queues(void **state)
{
    enum { ROUNDS = 60, SLOTS = 2 };
    const int64_t n = 8 * MIB;
    ft_queue *up = new_queue(FT_QUEUE_COPY, "up"), *down = new_queue(FT_QUEUE_COPY, "down"), *compute = t_queue();
    unsigned char *in = new_slab(ROUNDS * MIB), *out = new_slab(ROUNDS * MIB);
    unsigned char *slot[SLOTS], *result[SLOTS];
    ft_event *loaded[SLOTS], *used[SLOTS], *computed[SLOTS], *saved[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        slot[i] = t_device(n), result[i] = t_device(n);
        loaded[i] = new_event(), used[i] = new_event(), computed[i] = new_event(), saved[i] = new_event();
    }
    t_sync();
    for (int round = 0; round < ROUNDS; round++) memset(in + round * MIB, round + 1, MIB);
    for (int round = 0; round < ROUNDS; round++) {
        int s = round % SLOTS;
        ok(ft_event_wait(used[s], up));
        ok(ft_fill(up, slot[s], 0, n));  // long enough that an early reader sees it
        ok(ft_copy_h2d(up, slot[s] + n - MIB, in + round * MIB, MIB));
        ok(ft_event_record(loaded[s], up));
        ok(ft_event_wait(loaded[s], compute));
        ok(ft_event_wait(saved[s], compute));
        ok(ft_copy_d2d(compute, result[s], slot[s], n));
        ok(ft_event_record(used[s], compute));
        ok(ft_event_record(computed[s], compute));
        ok(ft_event_wait(computed[s], down));
        ok(ft_copy_d2h(down, out + round * MIB, result[s] + n - MIB, MIB));
        ok(ft_event_record(saved[s], down));
    }
    ok(ft_queue_sync(down));
    for (int round = 0; round < ROUNDS; round++) assert_bytes(out + round * MIB, MIB, round + 1);
    for (int i = 0; i < SLOTS; i++) {
        ft_event_destroy(loaded[i]), ft_event_destroy(used[i]), ft_event_destroy(computed[i]), ft_event_destroy(saved[i]);
    }
    ft_queue_destroy(up);
    ft_queue_destroy(down);
    free_slab(in, ROUNDS * MIB);
    free_slab(out, ROUNDS * MIB);
    t_free();
}

static void events_tell_what_has_passed(void **state)
{
    bool done = false;
    double seconds;
    const int64_t n = 256 * MIB;
    ft_event *begin = new_event(), *end = new_event();
    ok(ft_event_query(begin, &done));
    assert_true(done);
    ok(ft_event_wait(begin, t_queue()));
    ok(ft_event_sync(begin));
    assert_int_equal(ft_event_elapsed(begin, end, &seconds), FT_E_INTERNAL);
    void *memory = t_device(n);
    t_sync();
    ok(ft_event_record(begin, t_queue()));
    for (int i = 0; i < 20; i++) ok(ft_fill(t_queue(), memory, i, n));
    ok(ft_event_record(end, t_queue()));
    ok(ft_event_sync(end));
    ok(ft_event_query(end, &done));
    assert_true(done);
    ok(ft_event_elapsed(begin, end, &seconds));
    printf("  20 fills of 256 MiB: %.3f ms, %.0f GB/s\n", 1e3 * seconds, 20 * (double)n / seconds * 1e-9);
    assert_true(seconds > 20 * (double)n / 20e12 && seconds < 1);
    ft_event_destroy(begin);
    ft_event_destroy(end);
    t_free();
}

static void graphs_replay_what_was_recorded(void **state)
{
    const int64_t n = MIB;
    ft_graph *graph;
    unsigned char *a = t_device(n), *b = t_device(n);
    t_sync();
    ok(ft_graph_begin(t_queue()));
    ok(ft_copy_d2d(t_queue(), b, a, n));
    ok(ft_fill(t_queue(), a, 9, n / 2));
    ok(ft_graph_end(t_queue(), &graph));
    assert_device_bytes(a, n, 0xFF);  // recorded, not run
    for (int round = 1; round <= 3; round++) {
        ok(ft_fill(t_queue(), a, round, n));
        ok(ft_graph_launch(graph, t_queue()));
        assert_device_bytes(b, n, round);
        assert_device_bytes(a, n / 2, 9);
        assert_device_bytes(a + n / 2, n / 2, round);
    }
    ft_graph_destroy(graph);
    t_free();
}

static void a_graph_that_breaks_the_rules_fails_and_the_queue_lives(void **state)
{
    ft_graph *graph;
    ft_queue *queue = new_queue(FT_QUEUE_COMPUTE, "broken");
    void *memory = t_device(MIB);
    ok(ft_graph_begin(queue));
    assert_int_equal(ft_queue_sync(queue), FT_E_DEVICE);
    assert_int_equal(ft_graph_end(queue, &graph), FT_E_DEVICE);
    assert_null(graph);
    ok(ft_fill(queue, memory, 5, MIB));
    ok(ft_queue_sync(queue));
    assert_device_bytes(memory, MIB, 5);
    ft_queue_destroy(queue);
    t_free();
}

// Pools register slab by slab; what is taken from them may lie in two.
static void one_copy_may_span_two_pinned_regions(void **state)
{
    const int64_t half = 4 * MIB, n = 2 * half;
    unsigned char *memory = mmap(NULL, (size_t)n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *back = ft_malloc((size_t)n);
    assert_true(memory != MAP_FAILED && back != NULL);
    for (int64_t i = 0; i < n; i++) memory[i] = (unsigned char)(i * 7 / 1000);
    ok(ft_device_register_host(device(), memory, half));
    ok(ft_device_register_host(device(), memory + half, half));
    unsigned char *there = t_device(n);
    ok(ft_copy_h2d(t_queue(), there + 5, memory + 3, n - 9));
    t_download(back, there + 5, n - 9);
    assert_memory_equal(back, memory + 3, (size_t)n - 9);
    memset(memory, 0, (size_t)n);
    ok(ft_copy_d2h(t_queue(), memory + 3, there + 5, n - 9));
    t_sync();
    assert_memory_equal(back, memory + 3, (size_t)n - 9);
    ft_device_unregister_host(device(), memory);
    ft_device_unregister_host(device(), memory + half);
    munmap(memory, (size_t)n);
    ft_free(back);
    t_free();
}

static void slabs_are_pinned_once_and_copied_asynchronously(void **state)
{
    const int64_t n = 256 * MIB;
    double seconds;
    unsigned char *slab = new_slab(n);
    ft_event *begin = new_event(), *end = new_event();
    unsigned char *memory = t_device(n);
    assert_int_equal(ft_device_register_host(device(), slab, n), FT_E_DEVICE);
    memset(slab, 3, (size_t)n);
    ok(ft_event_record(begin, t_queue()));
    ok(ft_copy_h2d(t_queue(), memory, slab, n));  // the refusal before is not told again
    ok(ft_event_record(end, t_queue()));
    t_sync();
    ok(ft_event_elapsed(begin, end, &seconds));
    printf("  256 MiB up from a pinned slab: %.1f GB/s\n", (double)n / seconds * 1e-9);
    ok(ft_fill(t_queue(), memory + n / 2, 4, n / 2));
    t_download(slab, memory, n);
    assert_bytes(slab, n / 2, 3);
    assert_bytes(slab + n / 2, n / 2, 4);
    ft_event_destroy(begin);
    ft_event_destroy(end);
    free_slab(slab, n);
    t_free();
}

static void *use_from_a_thread(void *pointer)
{
    ft_queue *queue = new_queue(FT_QUEUE_COPY, "thread");
    ok(ft_fill(queue, pointer, 7, MIB));
    ok(ft_queue_sync(queue));
    ft_queue_destroy(queue);
    return NULL;
}

static void any_thread_may_use_the_device(void **state)
{
    pthread_t thread;
    void *memory = t_device(MIB);
    t_sync();
    assert_int_equal(pthread_create(&thread, NULL, use_from_a_thread, memory), 0);
    pthread_join(thread, NULL);
    assert_device_bytes(memory, MIB, 7);
    t_free();
}

static void count_down(void *kernels)
{
    --*(int *)kernels;
}

static void what_the_kernels_keep_goes_with_the_queue(void **state)
{
    int first = 1, second = 1;
    ft_queue *queue = new_queue(FT_QUEUE_COMPUTE, "kernels");
    assert_null(ft_queue_cuda_kernels(queue));
    assert_non_null(ft_queue_cuda_stream(queue));
    ft_queue_cuda_set_kernels(queue, &first, count_down);
    ft_queue_cuda_set_kernels(queue, &second, count_down);
    assert_int_equal(first, 0);
    assert_ptr_equal(ft_queue_cuda_kernels(queue), &second);
    ft_queue_destroy(queue);
    assert_int_equal(second, 0);
}

static void libraries_are_found_and_new_enough(void **state)
{
    void *function;
    ft_text text = {0};
    ok(ft_cuda_library_open(FT_LIBRARY_CUBLASLT));
    ok(ft_cuda_library_open(FT_LIBRARY_CUDNN));
    ok(ft_cuda_library_versions(&text));
    printf("%s", text.data);
    ft_text_free(&text);
    assert_true(ft_cuda_library_version(FT_LIBRARY_CUBLASLT) >= 120900);
    assert_true(ft_cuda_library_version(FT_LIBRARY_CUDNN) >= 91501);
    ok(ft_cuda_library_symbol(FT_LIBRARY_CUDNN, "cudnnBackendExecute", &function));
    assert_non_null(function);
    assert_int_equal(ft_cuda_library_symbol(FT_LIBRARY_CUDNN, "no_such_function", &function), FT_E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_describes_itself),
        cmocka_unit_test(a_second_opening_tells_the_same_context),
        cmocka_unit_test(a_device_beyond_the_last_is_refused),
        cmocka_unit_test(memory_is_aligned_and_zeroed),
        cmocka_unit_test(memory_that_is_not_there_is_refused_and_nothing_else_fails),
        cmocka_unit_test(copies_of_odd_sizes_are_exact),
        cmocka_unit_test(events_order_copies_of_three_queues),
        cmocka_unit_test(events_tell_what_has_passed),
        cmocka_unit_test(graphs_replay_what_was_recorded),
        cmocka_unit_test(a_graph_that_breaks_the_rules_fails_and_the_queue_lives),
        cmocka_unit_test(slabs_are_pinned_once_and_copied_asynchronously),
        cmocka_unit_test(one_copy_may_span_two_pinned_regions),
        cmocka_unit_test(any_thread_may_use_the_device),
        cmocka_unit_test(what_the_kernels_keep_goes_with_the_queue),
        cmocka_unit_test(libraries_are_found_and_new_enough),
    };
    t_queue();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
