#include "doctor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"

enum { MOST_OUTPUT = 16 << 20, MOST_ERROR = 64 << 10 };

// ---- start

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0) close(pair[i]);
}

// The child must not outlive us, nor keep our handlers, which only set a flag, nor what we ignore: a program would ignore it as well.
static void become_child(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) signal(signals[i], SIG_DFL);
}

// In the child: no input, and what it writes goes to the pipes.
static void become_program(char *const *argv, int out, int error)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    become_child();
    if (null >= 0) dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(error, STDERR_FILENO);
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static ft_status start(ft_child *child, char *const *argv, void (*run)(void *user, int fd))
{
    int out[2] = {-1, -1}, error[2] = {-1, -1};
    if (pipe2(out, O_CLOEXEC) != 0 || (argv && pipe2(error, O_CLOEXEC) != 0)) {
        close_pair(out);
        return ft_error_errno(FT_E_IO, errno, "doctor: no pipe to a child process");
    }
    fflush(NULL);
    child->pid = fork();
    if (child->pid == 0) {
        if (argv) become_program(argv, out[1], error[1]);
        become_child();
        run(child->user, out[1]);
        _exit(0);
    }
    int why = errno;
    if (out[1] >= 0) close(out[1]);
    if (error[1] >= 0) close(error[1]);
    if (child->pid < 0) {
        close(out[0]);
        if (error[0] >= 0) close(error[0]);
        return ft_error_errno(FT_E_IO, why, "doctor: no child process");
    }
    child->fd[0] = out[0];
    child->fd[1] = error[0];
    child->deadline_s = ft_now_s() + child->seconds;
    return FT_OK;
}

ft_status ft_child_start(ft_child *child, char *const *argv)
{
    return start(child, argv, NULL);
}

ft_status ft_child_start_function(ft_child *child, void (*run)(void *user, int fd))
{
    return start(child, NULL, run);
}

// ---- output

// Hands whole lines on and keeps the rest.
static void take_lines(ft_child *child)
{
    char *at = child->output.data, *end;
    if (at == NULL) return;
    for (; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = 0;
        child->line(child, at);
    }
    child->output.length -= (size_t)(at - child->output.data);
    memmove(child->output.data, at, child->output.length + 1);
}

static void take(ft_child *child, int which)
{
    char buffer[16384];
    ft_text *text = which == 0 ? &child->output : &child->error;
    ssize_t n = read(child->fd[which], buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {
        close(child->fd[which]);
        child->fd[which] = -1;
        return;
    }
    if (which == 0) child->last_output_s = ft_now_s();
    if (text->length + (size_t)n > (which == 0 ? MOST_OUTPUT : MOST_ERROR)) return;
    ft_text_add(text, buffer, (size_t)n);
    if (which == 0 && child->line) take_lines(child);
}

// ---- end

static bool is_running(const ft_child *child)
{
    return child->pid > 0;
}

// A killed process may take a moment; one that hangs in the kernel never ends.
static void collect(ft_child *child, double patience)
{
    int status = 0;
    double until = ft_now_s() + patience;
    pid_t ended;
    while ((ended = waitpid(child->pid, &status, WNOHANG)) == 0 && ft_now_s() < until) poll(NULL, 0, 5);
    if (ended == 0) return;
    child->exit_code = ended == child->pid && WIFEXITED(status) && !child->timed_out ? WEXITSTATUS(status) : -1;
    child->signal = ended == child->pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    child->pid = 0;
}

static void close_outputs(ft_child *child)
{
    for (int i = 0; i < 2; i++) {
        if (child->fd[i] >= 0) close(child->fd[i]);
        child->fd[i] = -1;
    }
}

// Takes what is in the pipes, at most what pipes hold.
static void take_pending(ft_child *child)
{
    for (int which = 0; which < 2; which++)
        for (int i = 0; i < 1024 && child->fd[which] >= 0; i++) {
            struct pollfd pipe = {.fd = child->fd[which], .events = POLLIN};
            if (poll(&pipe, 1, 0) <= 0) break;
            take(child, which);
        }
}

static void give_up(ft_child *child)
{
    child->timed_out = true;
    child->exit_code = -1;
    kill(child->pid, SIGKILL);
    collect(child, 1);
    close_outputs(child);
    child->pid = 0;
}

// Closes those that have ended, and ends those past their time. A process that one leaves behind may keep its pipes open (ssh with
// ControlPersist does), and is not waited for. Returns the seconds until one of the others may have to be looked at: soon
// where it has closed its outputs, as it is about to end then (and has its deadline if it is not).
static double settle(ft_child *children, int n)
{
    double now = ft_now_s(), next = now + 3600;
    for (int i = 0; i < n; i++) {
        ft_child *child = &children[i];
        if (!is_running(child)) continue;
        collect(child, 0);
        if (!is_running(child) || now >= child->deadline_s) take_pending(child);  // which may move the deadline
        if (!is_running(child)) close_outputs(child);
        else if (now >= child->deadline_s) give_up(child);
        if (!is_running(child)) continue;
        double look = now + (child->fd[0] < 0 && child->fd[1] < 0 ? 0.005 : 0.1);
        next = fmin(next, fmin(look, child->deadline_s));
    }
    return next - now;
}

void ft_children_wait(ft_child *children, int n)
{
    struct pollfd *polled = FT_NEW_ARRAY(struct pollfd, 2 * n);
    for (bool running = true; running;) {
        double seconds = settle(children, n);
        running = false;
        for (int i = 0; i < 2 * n && polled; i++) polled[i] = (struct pollfd){.fd = children[i / 2].pid > 0 ? children[i / 2].fd[i % 2] : -1, .events = POLLIN};
        for (int i = 0; i < n; i++) running |= is_running(&children[i]);
        if (!running || polled == NULL) break;
        poll(polled, (nfds_t)(2 * n), seconds <= 0 ? 0 : (int)(seconds * 1000) + 1);
        for (int i = 0; i < 2 * n; i++)
            if (polled[i].fd >= 0 && polled[i].revents) take(&children[i / 2], i % 2);
    }
    for (int i = 0; i < n; i++)
        if (is_running(&children[i])) give_up(&children[i]);
    ft_free(polled);
}

void ft_child_free(ft_child *child)
{
    ft_text_free(&child->output);
    ft_text_free(&child->error);
}

const char *ft_child_last_words(ft_child *child)
{
    char *text = child->error.data;
    if (text == NULL) return "";
    for (size_t n = child->error.length; n > 0 && strchr("\r\n \t", text[n - 1]) != NULL;) text[--n] = 0;
    const char *line = strrchr(text, '\n');
    return line ? line + 1 : text;
}
