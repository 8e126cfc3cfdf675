#include "cli/signals.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "io/hub.h"

volatile int ft_stop_requested;

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void on_signal(int number)
{
    if (ft_stop_requested) _exit(128 + number);
    ft_stop_requested = 1;
    say("\nstopping: what is finished is kept (once more to quit at once)\n");
}

void ft_signals_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    ft_hub_set_cancel(&ft_stop_requested);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);  // a file over `ulimit -f` is an error of that write, which names it
}
