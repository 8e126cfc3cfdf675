// Child processes with a time limit, whose output is taken in: programs (ssh) and functions of ours (checks).
//
// Started in any number, then waited for together. A child that runs past its deadline is killed; one that the kernel does not
// let go (a hung file system) is left behind. Not for processes with threads of their own that hold locks.
#ifndef FT_DOCTOR_CHILD_H
#define FT_DOCTOR_CHILD_H

#include <sys/types.h>

#include "common/text.h"

typedef struct ft_child ft_child;

struct ft_child {
    // set before the start, or left 0
    double seconds;          // from the start; line() may move deadline_s
    void (*line)(ft_child *child, char *text);  // gets each line of stdout as it comes (without its end), which is not kept then
    void *user;
    // result
    ft_text output, error;   // stdout, stderr; at most 16 MiB and 64 KiB are kept
    bool timed_out;
    int exit_code;           // -1 = ended by a signal, or timed out
    int signal;
    double last_output_s;    // ft_now_s() when the last of stdout came
    double deadline_s;
    // private
    pid_t pid;
    int fd[2];               // of stdout and stderr, -1 = at their end
};

// argv ends with NULL; argv[0] is looked for in PATH. Exit code 127: it could not be started, stderr says why.
ft_status ft_child_start(ft_child *child, char *const *argv);
// run(user, fd) in a fork of this process; fd is its stdout. It ends with exit code 0 when run returns.
ft_status ft_child_start_function(ft_child *child, void (*run)(void *user, int fd));
// Until all have ended or were given up.
void ft_children_wait(ft_child *children, int n);
void ft_child_free(ft_child *child);
// The last line of its stderr that is not blank, without its end; "" if there is none. Points into child->error.
const char *ft_child_last_words(ft_child *child);

#endif
