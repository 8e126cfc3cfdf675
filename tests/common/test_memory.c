// Allocation fails where a test asks for it, and asserts in the steady state of the sealed thread only.
#include "t_common.h"

#include <pthread.h>

#include "common/memory.h"

// Sanitizers abort on an impossible size unless told to refuse it as malloc does.
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void the_nth_allocation_fails_and_only_that(void **state)
{
    (void)state;
    ft_memory_fail_after(3);
    void *a = ft_malloc(10), *b = ft_calloc(3, 4), *c = ft_realloc(NULL, 8), *d = ft_malloc(1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(c);
    assert_non_null(strstr(ft_error_message(), "out of memory: 8 bytes"));
    assert_non_null(d);
    ft_free(a);
    ft_free(b);
    ft_free(d);
    ft_free(NULL);
}

static void a_failed_realloc_keeps_the_old_block(void **state)
{
    (void)state;
    char *text = ft_strdup("kept");
    ft_memory_fail_after(1);
    assert_null(ft_realloc(text, 1000));
    assert_string_equal(text, "kept");
    ft_free(text);
}

static void strings_and_formats_fail_cleanly(void **state)
{
    (void)state;
    ft_memory_fail_after(1);
    assert_null(ft_strdup("x"));
    ft_memory_fail_after(1);
    assert_null(ft_format("%d", 1));
    char *copy = ft_strndup("abcdef", 3), *text = ft_format("%s-%d", "n", 12);
    assert_string_equal(copy, "abc");
    assert_string_equal(text, "n-12");
    ft_free(copy);
    ft_free(text);
}

static void more_than_exists_is_an_error_and_no_crash(void **state)
{
    (void)state;
    assert_null(ft_calloc(SIZE_MAX / 2, 4));
    assert_non_null(strstr(ft_error_message(), "out of memory"));
}

static void every_allocation_is_counted(void **state)
{
    (void)state;
    int64_t before = ft_memory_allocations();
    ft_free(ft_malloc(1));
    ft_free(ft_calloc(1, 1));
    assert_int_equal(ft_memory_allocations() - before, 2);
}

static void allocate_sealed(void)
{
    ft_memory_seal();
    ft_free(ft_malloc(1));
}

static void allocate_sealed_twice_opened_once(void)
{
    ft_memory_seal();
    ft_memory_seal();
    ft_memory_unseal();
    ft_free(ft_calloc(1, 1));
}

static void allocate_after_unsealing(void)
{
    ft_memory_seal();
    ft_memory_unseal();
    ft_free(ft_malloc(1));
}

static void *allocate(void *unused)
{
    (void)unused;
    ft_free(ft_malloc(1));
    return NULL;
}

static void allocate_in_another_thread(void)
{
    pthread_t thread;
    ft_memory_seal();
    if (pthread_create(&thread, NULL, allocate, NULL) == 0) pthread_join(thread, NULL);
}

static void unseal_the_open(void)
{
    ft_memory_unseal();
}

static void a_sealed_thread_must_not_allocate(void **state)
{
    (void)state;
    assert_true(t_aborts(allocate_sealed));
    assert_true(t_aborts(allocate_sealed_twice_opened_once));
    assert_true(t_aborts(unseal_the_open));
    assert_false(t_aborts(allocate_after_unsealing));
    assert_false(t_aborts(allocate_in_another_thread));
}

// This program again with the variable set: its first allocation fails.
static void the_environment_can_choose_the_failure(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("FT_FAIL_ALLOC", "1", 1);
        execl("/proc/self/exe", "test", "first-allocation", (char *)NULL);
        _exit(9);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "first-allocation") == 0) return ft_malloc(1) == NULL ? 42 : 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_allocation_fails_and_only_that),
        cmocka_unit_test(a_failed_realloc_keeps_the_old_block),
        cmocka_unit_test(strings_and_formats_fail_cleanly),
        cmocka_unit_test(more_than_exists_is_an_error_and_no_crash),
        cmocka_unit_test(every_allocation_is_counted),
        cmocka_unit_test(a_sealed_thread_must_not_allocate),
        cmocka_unit_test(the_environment_can_choose_the_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
