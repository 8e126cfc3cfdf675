// A lock has one holder, says who it is, and ends with it.
#include "io/commit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static char *directory, *path;

static int set_up(void **state)
{
    directory = support_directory();
    path = ft_path_join(directory, "lock");
    return 0;
}

static int tear_down(void **state)
{
    ft_free(path);
    support_remove(directory);
    return 0;
}

static void second_lock_is_busy_until_the_first_ends(void **state)
{
    int first, second;
    char pid[16];
    snprintf(pid, sizeof pid, "process %d", (int)getpid());
    assert_ok(ft_lock_file(path, &first));
    assert_int_equal(ft_lock_file(path, &second), FT_E_BUSY);
    assert_int_equal(second, -1);
    assert_message_has(ft_error_message(), path);
    assert_message_has(ft_error_message(), pid);
    ft_unlock_file(first);
    assert_ok(ft_lock_file(path, &second));
    ft_unlock_file(second);
    ft_unlock_file(-1);
}

static void lock_of_another_process_is_busy_and_ends_with_it(void **state)
{
    int ready[2], lock;
    char byte, expected[32];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        byte = ft_lock_file(path, &lock) == FT_OK ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(ft_lock_file(path, &lock), FT_E_BUSY);
    snprintf(expected, sizeof expected, "process %d;", (int)child);
    assert_message_has(ft_error_message(), expected);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_ok(ft_lock_file(path, &lock));
    ft_unlock_file(lock);
    close(ready[0]);
    close(ready[1]);
}

static void impossible_path_is_named(void **state)
{
    int lock;
    assert_int_equal(ft_lock_file("/nonexistent/lock", &lock), FT_E_IO);
    assert_message_has(ft_error_message(), "/nonexistent/lock");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(second_lock_is_busy_until_the_first_ends),
        TEST(lock_of_another_process_is_busy_and_ends_with_it),
        TEST(impossible_path_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
