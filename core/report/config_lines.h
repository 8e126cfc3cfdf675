// The lines of a config.resolved.yaml as text: every key with its value and where it came from. They are shown and compared, not
// understood, so that files of other versions are read too. The form is that of ft_settings_write: "KEY: VALUE  # SOURCE", a key
// PREFIX.NAME as "  NAME: VALUE" under "PREFIX:".
#ifndef FT_REPORT_CONFIG_LINES_H
#define FT_REPORT_CONFIG_LINES_H

#include "common/status.h"

typedef struct {
    char *key, *value, *source;
} ft_config_line;

typedef struct {
    ft_config_line *line;
    int64_t n;
} ft_config_lines;

ft_status ft_config_lines_read(ft_config_lines *lines, const char *text);
void ft_config_lines_free(ft_config_lines *lines);
// The line of a key, NULL if there is none.
const ft_config_line *ft_config_lines_find(const ft_config_lines *lines, const char *key);
// The value of a key; NULL if it is not there or null.
const char *ft_config_lines_get(const ft_config_lines *lines, const char *key);
// Whether a key is worth comparing: where a run's files lie makes no run different.
bool ft_config_line_compared(const char *key);

#endif
