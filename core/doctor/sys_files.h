// The small files of /proc and /sys, below a root: "" is this machine, a captured tree stands for another one. For core/doctor alone.
#ifndef FT_DOCTOR_SYS_FILES_H
#define FT_DOCTOR_SYS_FILES_H

#include "common/status.h"

// Each takes the path as a format. A file that cannot be read, or is not what is asked for, is false / the fallback.
// The first line, without its end.
bool ft_sys_line(const char *root, char *line, size_t bytes, const char *format, ...) __attribute__((format(printf, 4, 5)));
// The number the file begins with.
int64_t ft_sys_number(const char *root, int64_t fallback, const char *format, ...) __attribute__((format(printf, 3, 4)));
// The number after "KEY:" in a file of "KEY:   123 kB" lines; kB are made bytes.
int64_t ft_sys_key(const char *root, const char *path, const char *key, int64_t fallback);
// The text after "KEY" and a colon with blanks around it ("model name\t: X").
bool ft_sys_key_text(const char *root, const char *path, const char *key, char *text, size_t bytes);
// The word in brackets of a file like "always [madvise] never".
bool ft_sys_choice(const char *root, char *word, size_t bytes, const char *path);
// Paths below the root that match, at most `most`, sorted; their number. Each is without the root and PATH_MAX long at most.
typedef struct {
    char path[256];
} ft_sys_path;
int ft_sys_glob(const char *root, const char *pattern, ft_sys_path *paths, int most);
// Last component of what a link below the root points to.
bool ft_sys_link_name(const char *root, char *name, size_t bytes, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
