// stderr as one stream of whole lines with, on a terminal, a status line that stays below them.
#ifndef FT_COMMON_LOG_LINE_H
#define FT_COMMON_LOG_LINE_H

#include "common/log.h"

#define FT_LOG_LINE_BYTES 2048

bool ft_log_shows(ft_log_level level);  // the level is on
bool ft_log_in_place(void);             // a terminal that understands escape sequences
// Prints `text` and a newline above the status line, in one write. Longer text than FT_LOG_LINE_BYTES is cut.
void ft_log_line(const char *text);
// Replaces the status line (no newline, no control characters); "" erases it. Only where ft_log_in_place().
void ft_log_status(const char *text);

#endif
