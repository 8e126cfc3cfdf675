// Opening a device: what exists opens, what does not says how to get it; its memory is aligned, zeroed and bounded.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/memory.h"
#include "common/threads.h"
#include "device/device.h"

static void cpu_opens_and_describes_itself(void **state)
{
    ft_device *device;
    assert_int_equal(ft_threads_init(2), FT_OK);
    assert_int_equal(ft_device_open(&device, "cpu", 3), FT_OK);
    const ft_device_info *info = ft_device_get_info(device);
    assert_int_equal(info->kind, FT_DEVICE_CPU);
    assert_int_equal(info->ordinal, 3);
    assert_int_equal(info->sm_count, 2);
    assert_true(strlen(info->name) > 0);
    assert_true(info->memory_bytes > 64 << 20);
    assert_in_range(info->memory_free, 1, info->memory_bytes);
    assert_true(info->async_copies);
    assert_false(info->graphs);
    ft_device_close(device);
    ft_threads_shutdown();
}

static void cuda_that_is_not_there_says_what_to_use(void **state)
{
    ft_device *device = (ft_device *)&device;
    ft_status status = ft_device_open(&device, "cuda", 0);
    if (status == FT_OK) {
        ft_device_close(device);
        skip();
    }
    assert_int_equal(status, FT_E_UNSUPPORTED);
    assert_null(device);
    assert_non_null(strstr(ft_error_message(), "--device cpu"));
    assert_null(strchr(ft_error_message(), '\n'));
}

static void unknown_device_is_a_usage_error(void **state)
{
    ft_device *device;
    assert_int_equal(ft_device_open(&device, "tpu", 0), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), "tpu"));
}

static void auto_always_finds_a_device(void **state)
{
    ft_device *device;
    assert_int_equal(ft_device_open(&device, "auto", 0), FT_OK);
    assert_non_null(device);
    ft_device_close(device);
}

static void memory_is_aligned_and_zeroed(void **state)
{
    ft_device *device;
    assert_int_equal(ft_device_open(&device, "cpu", 0), FT_OK);
    const int64_t sizes[] = {0, 1, 255, 4097, 5 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *pointer;
        assert_int_equal(ft_device_alloc(device, sizes[i], &pointer), FT_OK);
        assert_int_equal((uintptr_t)pointer % FT_ARENA_ALIGN, 0);
        const char *bytes = pointer;
        for (int64_t k = 0; k < sizes[i]; k++) assert_int_equal(bytes[k], 0);
        memset(pointer, 1, (size_t)sizes[i]);
        ft_device_free(device, pointer);
    }
    ft_device_close(device);
}

static void more_memory_than_the_process_may_use_is_refused(void **state)
{
    ft_device *device;
    assert_int_equal(ft_device_open(&device, "cpu", 0), FT_OK);
    void *pointer = &device;
    assert_int_equal(ft_device_alloc(device, ft_device_get_info(device)->memory_bytes + 1, &pointer), FT_E_NOMEM);
    assert_null(pointer);
    ft_memory_fail_after(1);
    assert_int_equal(ft_device_alloc(device, 64, &pointer), FT_E_NOMEM);
    ft_device_close(device);
}

static void graphs_are_refused_by_the_cpu(void **state)
{
    ft_device *device;
    ft_queue *queue;
    ft_graph *graph;
    assert_int_equal(ft_device_open(&device, "cpu", 0), FT_OK);
    assert_int_equal(ft_queue_create(device, FT_QUEUE_COMPUTE, "compute", &queue), FT_OK);
    assert_int_equal(ft_graph_begin(queue), FT_E_UNSUPPORTED);
    assert_int_equal(ft_graph_end(queue, &graph), FT_E_UNSUPPORTED);
    assert_null(graph);
    ft_queue_destroy(queue);
    ft_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_opens_and_describes_itself),
        cmocka_unit_test(cuda_that_is_not_there_says_what_to_use),
        cmocka_unit_test(unknown_device_is_a_usage_error),
        cmocka_unit_test(auto_always_finds_a_device),
        cmocka_unit_test(memory_is_aligned_and_zeroed),
        cmocka_unit_test(more_memory_than_the_process_may_use_is_refused),
        cmocka_unit_test(graphs_are_refused_by_the_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
