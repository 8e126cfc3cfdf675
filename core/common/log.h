// What a person sees. Results go to stdout, everything here to stderr. NO_COLOR means no colour. A stderr that is not a
// terminal (or TERM=dumb) means in addition no escape sequences and no carriage returns: progress is a plain line every few
// seconds. Thread-safe; nothing here allocates.
#ifndef FT_COMMON_LOG_H
#define FT_COMMON_LOG_H

#include "common/status.h"

typedef enum { FT_LOG_ERROR, FT_LOG_WARNING, FT_LOG_INFO, FT_LOG_DEBUG } ft_log_level;

void ft_log_set_level(ft_log_level level);  // default FT_LOG_INFO; FT_LOG=debug|info|warning|error in the environment
void ft_log(ft_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define ft_info(...) ft_log(FT_LOG_INFO, __VA_ARGS__)
#define ft_warn(...) ft_log(FT_LOG_WARNING, __VA_ARGS__)
#define ft_debug(...) ft_log(FT_LOG_DEBUG, __VA_ARGS__)
// Logs once per process and key, for fallbacks ("io_uring is refused here, using posix").
void ft_log_once(ft_log_level level, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool ft_log_is_terminal(void);  // stderr is a terminal
bool ft_log_color(void);        // terminal, not dumb, and NO_COLOR unset or empty

// A progress line with rate and time left. `unit` is "B" for bytes (printed as GB/s) or a plural noun ("steps", "samples").
// total 0 = unknown. Updating is cheap: it prints at most ten times a second on a terminal, every 5 s elsewhere. A log line
// printed meanwhile goes above it. Below FT_LOG_INFO nothing is shown.
typedef struct {
    char title[64];
    char unit[16];
    double total, done;
    double origin;  // `done` at start_s: rate and time left count from there
    double start_s, printed_s;
    bool visible;  // its line is on the terminal
} ft_progress;

void ft_progress_begin(ft_progress *progress, const char *title, const char *unit, double total);
// After begin: a resumed job starts at `done`, which is not counted as speed.
void ft_progress_resume(ft_progress *progress, double done);
void ft_progress_update(ft_progress *progress, double done);
// As update with free text after the bar ("loss 2.31  layer 17/32 fwd").
void ft_progress_note(ft_progress *progress, double done, const char *format, ...) __attribute__((format(printf, 3, 4)));
void ft_progress_end(ft_progress *progress);  // erases the line on a terminal

double ft_now_s(void);  // monotonic seconds

#endif
