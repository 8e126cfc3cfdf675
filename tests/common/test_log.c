// Messages are whole lines on stderr, filtered by level, plain where stderr is not a terminal.
#include "t_common.h"

#include <pthread.h>

#include "common/log.h"

static void lines_carry_their_level_and_nothing_else(void **state)
{
    (void)state;
    t_capture_begin();
    ft_info("plain %d", 1);
    ft_warn("careful");
    ft_log(FT_LOG_ERROR, "bad");
    ft_debug("hidden");
    assert_false(ft_log_is_terminal());
    assert_false(ft_log_color());
    assert_string_equal(t_capture_end(), "plain 1\nwarning: careful\nerror: bad\n");
}

static void the_level_decides_what_is_shown(void **state)
{
    (void)state;
    t_capture_begin();
    ft_log_set_level(FT_LOG_DEBUG);
    ft_debug("seen");
    ft_log_set_level(FT_LOG_ERROR);
    ft_warn("hidden");
    ft_info("hidden");
    ft_log(FT_LOG_ERROR, "always");
    ft_log_set_level(FT_LOG_INFO);
    assert_string_equal(t_capture_end(), "debug: seen\nerror: always\n");
}

static void a_key_is_logged_once(void **state)
{
    (void)state;
    t_capture_begin();
    for (int i = 0; i < 3; i++) {
        ft_log_once(FT_LOG_WARNING, "key-a", "a %d", i);
        ft_log_once(FT_LOG_INFO, "key-b", "b %d", i);
        ft_log_once(FT_LOG_DEBUG, "key-c", "hidden");
    }
    // A message that was filtered has not been seen yet.
    ft_log_set_level(FT_LOG_DEBUG);
    ft_log_once(FT_LOG_DEBUG, "key-c", "c");
    ft_log_set_level(FT_LOG_INFO);
    assert_string_equal(t_capture_end(), "warning: a 0\nb 0\ndebug: c\n");
}

static void a_long_message_is_cut_and_still_one_line(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    t_capture_begin();
    ft_warn("%s", text);
    ft_info("next");
    const char *out = t_capture_end();
    size_t length = strcspn(out, "\n");
    assert_true(length > 1500 && length < 2100);
    assert_memory_equal(out + length - 4, "x...", 4);
    assert_string_equal(out + length + 1, "next\n");
}

enum { THREADS = 4, LINES = 100 };

static void *log_lines(void *name)
{
    for (int i = 0; i < LINES; i++) ft_info("%s says %s", (const char *)name, "abcdefghijklmnopqrstuvwxyz");
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    const char *const names[THREADS] = {"one", "two", "three", "four"};
    pthread_t threads[THREADS];
    int lines = 0;
    t_capture_begin();
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, log_lines, (void *)names[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (const char *at = t_capture_end(); *at; at += strcspn(at, "\n") + 1, lines++) {
        const char *says = strstr(at, " says ");
        assert_true(says != NULL && says - at <= 5);
        assert_memory_equal(says + 6, "abcdefghijklmnopqrstuvwxyz\n", 27);
    }
    assert_int_equal(lines, THREADS * LINES);
}

// This program again, with FT_LOG set: see main.
static const char *output_with_level(const char *level)
{
    int status;
    t_capture_begin();
    pid_t child = fork();
    if (child == 0) {
        setenv("FT_LOG", level, 1);
        execl("/proc/self/exe", "test", "log-two-lines", (char *)NULL);
        _exit(9);
    }
    waitpid(child, &status, 0);
    const char *out = t_capture_end();
    assert_true(child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return out;
}

static void the_environment_sets_the_level(void **state)
{
    (void)state;
    assert_string_equal(output_with_level("debug"), "warning: w\ndebug: d\n");
    assert_string_equal(output_with_level("info"), "warning: w\n");
    assert_string_equal(output_with_level("error"), "");
    assert_string_equal(output_with_level(""), "warning: w\n");
    const char *out = output_with_level("loud");
    assert_non_null(strstr(out, "FT_LOG=loud"));
    assert_non_null(strstr(out, "warning: w\n"));
}

static void time_does_not_go_back(void **state)
{
    (void)state;
    double start_s = ft_now_s();
    usleep(2000);
    double passed_s = ft_now_s() - start_s;
    assert_true(passed_s >= 0.002 && passed_s < 60);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "log-two-lines") == 0) {
        ft_warn("w");
        ft_debug("d");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_carry_their_level_and_nothing_else),
        cmocka_unit_test(the_level_decides_what_is_shown),
        cmocka_unit_test(a_key_is_logged_once),
        cmocka_unit_test(a_long_message_is_cut_and_still_one_line),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(the_environment_sets_the_level),
        cmocka_unit_test(time_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
