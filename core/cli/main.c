#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/program.h"
#include "cli/verbs.h"

// Results that a full drive did not take are a failure; a pipe's reader may leave when it has seen enough.
static int flushed(int code)
{
    struct stat to;
    bool failed = fflush(stdout) != 0;
    int error = failed ? errno : EIO;
    if ((!failed && !ferror(stdout)) || (fstat(STDOUT_FILENO, &to) == 0 && (S_ISFIFO(to.st_mode) || S_ISSOCK(to.st_mode)))) return code;
    fprintf(stderr, "ft-single: standard output cannot be written: %s\n", strerror(error));
    return code ? code : 1;
}

int main(int argc, char **argv)
{
    return flushed(ft_program_main("ft-single", ft_verbs, argc, argv));
}
