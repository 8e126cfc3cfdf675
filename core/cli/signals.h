// SIGINT and SIGTERM: the first asks the run to stop and commit, a second quits at once.
#ifndef FT_CLI_SIGNALS_H
#define FT_CLI_SIGNALS_H

void ft_signals_install(void);
extern volatile int ft_stop_requested;

#endif
