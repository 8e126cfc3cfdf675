#include "doctor/sys_files.h"

#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

static bool read_first_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool read = fgets(line, (int)bytes, file) != NULL;
    fclose(file);
    if (read) line[strcspn(line, "\n")] = 0;
    return read;
}

static bool make_path(char path[PATH_MAX], const char *root, const char *format, va_list args)
{
    int at = snprintf(path, PATH_MAX, "%s", root);
    return at < PATH_MAX && at + vsnprintf(path + at, (size_t)(PATH_MAX - at), format, args) < PATH_MAX;
}

bool ft_sys_line(const char *root, char *line, size_t bytes, const char *format, ...)
{
    char path[PATH_MAX];
    va_list args;
    va_start(args, format);
    bool fits = make_path(path, root, format, args);
    va_end(args);
    return fits && read_first_line(path, line, bytes);
}

int64_t ft_sys_number(const char *root, int64_t fallback, const char *format, ...)
{
    char path[PATH_MAX], line[64], *end;
    va_list args;
    va_start(args, format);
    bool read = make_path(path, root, format, args) && read_first_line(path, line, sizeof line);
    va_end(args);
    if (!read) return fallback;
    int64_t value = strtoll(line, &end, 10);
    return end == line ? fallback : value;
}

bool ft_sys_key_text(const char *root, const char *path, const char *key, char *text, size_t bytes)
{
    char full[PATH_MAX], line[1024];
    size_t length = strlen(key);
    bool found = false;
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = fopen(full, "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, length) != 0) continue;
        const char *rest = line + length + strspn(line + length, " \t");
        if (*rest != ':') continue;
        rest += 1 + strspn(rest + 1, " \t");
        snprintf(text, bytes, "%.*s", (int)strcspn(rest, "\n"), rest);
        found = true;
    }
    if (file) fclose(file);
    return found;
}

int64_t ft_sys_key(const char *root, const char *path, const char *key, int64_t fallback)
{
    char text[64], *end;
    if (!ft_sys_key_text(root, path, key, text, sizeof text)) return fallback;
    int64_t value = strtoll(text, &end, 10);
    if (end == text) return fallback;
    return strcmp(end, " kB") == 0 ? value * 1024 : value;
}

bool ft_sys_choice(const char *root, char *word, size_t bytes, const char *path)
{
    char line[256];
    if (!ft_sys_line(root, line, sizeof line, "%s", path)) return false;
    const char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL;
    if (close == NULL) return false;
    snprintf(word, bytes, "%.*s", (int)(close - open - 1), open + 1);
    return true;
}

int ft_sys_glob(const char *root, const char *pattern, ft_sys_path *paths, int most)
{
    char full[PATH_MAX];
    glob_t found;
    int n = 0;
    snprintf(full, sizeof full, "%s%s", root, pattern);
    if (glob(full, 0, NULL, &found) != 0) return 0;
    for (size_t i = 0; i < found.gl_pathc && n < most; i++) {
        const char *path = found.gl_pathv[i] + strlen(root);
        if (strlen(path) < sizeof paths[n].path) strcpy(paths[n++].path, path);
    }
    globfree(&found);
    return n;
}

bool ft_sys_link_name(const char *root, char *name, size_t bytes, const char *format, ...)
{
    char path[PATH_MAX], target[PATH_MAX];
    va_list args;
    va_start(args, format);
    bool fits = make_path(path, root, format, args);
    va_end(args);
    ssize_t n = fits ? readlink(path, target, sizeof target - 1) : -1;
    if (n < 0) return false;
    target[n] = 0;
    snprintf(name, bytes, "%s", ft_path_base(target));
    return true;
}
