// Runs the real program as a user does: arguments, environment, captured output, a signal at a chosen moment, a time limit.
// FT_SINGLE names it; without it a test is skipped (PROGRAM_SKIP in main).
#ifndef FT_TESTS_FAULT_PROGRAM_H
#define FT_TESTS_FAULT_PROGRAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"

#define PROGRAM_LIMIT_S 180  // a run that takes longer hangs
#define PROGRAM_SANITIZER_EXIT "99"

typedef struct {
    // in
    const char *const *environment;  // "NAME=VALUE", ..., NULL, beside what is inherited
    const char *input;               // standard input, NULL = empty
    int64_t file_limit;              // largest file it may write (RLIMIT_FSIZE), 0 = any
    // out, once it ended
    int exit_code;                   // -1 = ended by a signal
    int signal;
    double seconds;
    int64_t peak_bytes;              // largest resident set
    char *out, *err;                 // heap, what it wrote
    // private
    pid_t pid;
    int pid_fd, out_fd, err_fd;
    double start_s;
} program;

static inline const char *program_path(void)
{
    const char *path = getenv("FT_SINGLE");
    return path && *path ? path : NULL;
}

#define PROGRAM_SKIP()                                            \
    do {                                                          \
        if (program_path() == NULL) {                             \
            puts("skipped: FT_SINGLE does not name the program"); \
            return 77;                                            \
        }                                                         \
    } while (0)

static inline char *program_read_back(int fd)
{
    off_t bytes = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)bytes + 1);
    if (text == NULL || pread(fd, text, (size_t)bytes, 0) != bytes) abort();
    close(fd);
    return text;
}

// What happens between fork and exec. A sanitizer's report must not look like an ordinary failure.
static inline void program_become(const program *p, int in_fd, char *const *argv)
{
    dup2(in_fd, STDIN_FILENO);
    dup2(p->out_fd, STDOUT_FILENO);
    dup2(p->err_fd, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (p->file_limit > 0) setrlimit(RLIMIT_FSIZE, &(struct rlimit){(rlim_t)p->file_limit, (rlim_t)p->file_limit});
    setenv("ASAN_OPTIONS", "exitcode=" PROGRAM_SANITIZER_EXIT, 0);
    setenv("UBSAN_OPTIONS", "exitcode=" PROGRAM_SANITIZER_EXIT, 0);
    for (int i = 0; p->environment && p->environment[i]; i++) putenv((char *)(uintptr_t)p->environment[i]);
    execv(argv[0], argv);
    _exit(127);
}

static inline int program_input(const char *text)
{
    int fd = memfd_create("stdin", MFD_CLOEXEC);
    size_t bytes = text ? strlen(text) : 0;
    assert_true(fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

// Starts the program; `arguments` end with NULL.
static inline void program_start(program *p, const char *const *arguments)
{
    char *argv[64] = {(char *)(uintptr_t)program_path()};
    for (int i = 0; arguments[i]; i++) {
        assert_true(i < 62);
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    }
    int in_fd = program_input(p->input);
    p->out_fd = memfd_create("stdout", MFD_CLOEXEC);
    p->err_fd = memfd_create("stderr", MFD_CLOEXEC);
    p->start_s = ft_now_s();
    fflush(NULL);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) program_become(p, in_fd, argv);
    close(in_fd);
    p->pid_fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    assert_true(p->pid_fd >= 0);
}

// Waits at most `seconds`; true if it has ended.
static inline bool program_wait(program *p, double seconds)
{
    struct pollfd wait = {.fd = p->pid_fd, .events = POLLIN};
    struct timespec limit = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    return ppoll(&wait, 1, &limit, NULL) == 1;
}

// Takes the result of a program that has ended or will soon.
static inline void program_finish(program *p)
{
    bool ended = program_wait(p, PROGRAM_LIMIT_S);
    int result;
    struct rusage usage;
    if (!ended) kill(p->pid, SIGKILL);
    assert_int_equal(wait4(p->pid, &result, 0, &usage), p->pid);
    close(p->pid_fd);
    p->seconds = ft_now_s() - p->start_s;
    p->peak_bytes = usage.ru_maxrss * 1024;
    p->signal = WIFSIGNALED(result) ? WTERMSIG(result) : 0;
    p->exit_code = WIFEXITED(result) ? WEXITSTATUS(result) : -1;
    p->out = program_read_back(p->out_fd);
    p->err = program_read_back(p->err_fd);
    if (!ended) fail_msg("hangs: still running after %d s; it said\n%s", PROGRAM_LIMIT_S, p->err);
}

static inline void program_free(program *p)
{
    free(p->out);
    free(p->err);
    p->out = p->err = NULL;
}

#define program_run(p, ...) program_run_list((p), (const char *const[]){__VA_ARGS__, NULL})
static inline void program_run_list(program *p, const char *const *arguments)
{
    program_start(p, arguments);
    program_finish(p);
}

// Sends `number` after `seconds` unless it ended before; returns true if the signal was sent. The result is not yet taken.
static inline bool program_signal_after(program *p, double seconds, int number)
{
    return !program_wait(p, seconds) && kill(p->pid, number) == 0;
}

// Runs and fails the test unless the exit code is 0. The output is freed.
#define program_ok(...) program_ok_list(&(program){0}, (const char *const[]){__VA_ARGS__, NULL})
static inline void program_ok_list(program *p, const char *const *arguments)
{
    program_run_list(p, arguments);
    if (p->exit_code != 0) fail_msg("%s: exit code %d, signal %d\n%s", arguments[0], p->exit_code, p->signal, p->err);
    program_free(p);
}

// The line of the error: the only one that begins with "ft-single: ", and the last. NULL if it is otherwise.
static inline const char *program_error_line(const program *p)
{
    static const char start[] = "ft-single: ";
    const char *found = NULL;
    for (const char *line = p->err; *line; line = strchr(line, '\n') + 1) {
        if (strchr(line, '\n') == NULL) return NULL;
        if (found) return NULL;
        if (strncmp(line, start, strlen(start)) == 0) found = line;
    }
    return found;
}

// It failed cleanly: this exit code, one line on stderr, every word (up to NULL) in it, nothing on stdout. The output is freed.
#define program_refused(p, code, ...) program_refused_list((p), (code), (const char *const[]){__VA_ARGS__, NULL})
static inline void program_refused_list(program *p, int code, const char *const *words)
{
    const char *line = program_error_line(p);
    if (p->exit_code != code || p->signal) fail_msg("exit code %d (signal %d) where %d is right\n%s", p->exit_code, p->signal, code, p->err);
    if (line == NULL) fail_msg("stderr does not end in the one line of an error:\n%s", p->err);
    for (int i = 0; words[i]; i++)
        if (strstr(line, words[i]) == NULL) fail_msg("the error does not name \"%s\":\n%s", words[i], line);
    if (p->out[0]) fail_msg("stdout of a failed run: %s", p->out);
    program_free(p);
}

#endif
