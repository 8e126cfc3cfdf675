// Helpers of these tests: a temporary directory, the contents of stderr, a child process that dies.
#ifndef T_COMMON_H
#define T_COMMON_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"

// A fresh directory; the caller removes it with t_temp_remove.
__attribute__((unused)) static char *t_temp_make(void)
{
    static char path[512];
    const char *root = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/ft-test-XXXXXX", root && *root ? root : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

__attribute__((unused)) static void t_temp_remove(const char *path)
{
    assert_int_equal(ft_remove_tree(path), FT_OK);
}

// From t_capture_begin to t_capture_end stderr goes to `fd` (a file, or the slave of a pseudo-terminal).
static int t_saved_stderr;

__attribute__((unused)) static void t_stderr_to(int fd)
{
    fflush(stderr);
    t_saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
}

__attribute__((unused)) static void t_stderr_back(void)
{
    fflush(stderr);
    assert_true(dup2(t_saved_stderr, STDERR_FILENO) == STDERR_FILENO);
    close(t_saved_stderr);
}

static int t_capture_fd;

__attribute__((unused)) static void t_capture_begin(void)
{
    char path[] = "/tmp/ft-test-stderr-XXXXXX";
    t_capture_fd = mkostemp(path, O_APPEND);
    assert_true(t_capture_fd >= 0);
    unlink(path);
    t_stderr_to(t_capture_fd);
}

// What was written meanwhile; valid until the next call.
__attribute__((unused)) static const char *t_capture_end(void)
{
    static char text[65536];
    t_stderr_back();
    ssize_t n = pread(t_capture_fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = 0;
    close(t_capture_fd);
    return text;
}

// Runs `function` in a child with stderr closed; true if the child died of SIGABRT.
__attribute__((unused)) static bool t_aborts(void (*function)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        function();
        _exit(0);
    }
    assert_true(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

// A whole file as bytes; the caller frees it.
__attribute__((unused)) static void *t_read(const char *path, size_t expected_bytes)
{
    char *data;
    size_t bytes;
    if (ft_file_read(path, 1 << 24, &data, &bytes) != FT_OK) fail_msg("%s", ft_error_message());
    if (expected_bytes > 0) assert_int_equal(bytes, expected_bytes);
    return data;
}

// A plain generator, so that tests of ft_rng do not lean on ft_rng.
__attribute__((unused)) static uint32_t t_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = *state ^ *state >> 29;
    return (uint32_t)(x * 0x9E3779B97F4A7C15u >> 32);
}

#endif
