// What the configuration tests share: a temporary directory, files in it, and one-line checks.
#ifndef TEST_CONFIG_H
#define TEST_CONFIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/file.h"
#include "common/memory.h"

static char t_directory[PATH_MAX];

static inline int t_make_directory(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(t_directory, sizeof t_directory, "%s/ft-config-XXXXXX", base ? base : "/tmp");
    return mkdtemp(t_directory) == NULL;
}

static inline int t_remove_directory(void **state)
{
    (void)state;
    return ft_remove_tree(t_directory) != FT_OK;
}

// DIRECTORY/name, in one of a few static buffers.
static inline const char *t_path(const char *name)
{
    static char buffers[4][PATH_MAX + 256];
    static int next;
    char *buffer = buffers[next++ % 4];
    snprintf(buffer, sizeof buffers[0], "%s/%s", t_directory, name);
    return buffer;
}

static inline const char *t_write(const char *name, const char *text)
{
    const char *path = t_path(name);
    assert_int_equal(ft_file_write(path, text, strlen(text)), FT_OK);
    return path;
}

static inline void t_check_ok(ft_status status)
{
    if (status != FT_OK) fail_msg("status %d: %s", status, ft_error_message());
}

static inline void t_check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

// Fresh settings with `text` read from DIRECTORY/run.yaml; the caller frees them.
static inline ft_status t_read(ft_settings *settings, const char *text)
{
    const char *path = t_write("run.yaml", text);
    t_check_ok(ft_settings_init(settings));
    return ft_settings_read(settings, path);
}

// Reading `text` fails with `status` and a one-line message "DIRECTORY/run.yaml:LINE: ..." that has `part` in it.
static inline void t_check_refused(const char *text, ft_status status, int line, const char *part)
{
    char start[PATH_MAX + 300];
    ft_settings settings;
    assert_int_equal(t_read(&settings, text), status);
    snprintf(start, sizeof start, "%s:%d: ", t_path("run.yaml"), line);
    if (strncmp(ft_error_message(), start, strlen(start)) != 0) {
        fail_msg("\"%s\" does not start with \"%s\"", ft_error_message(), start);
    }
    t_check_contains(ft_error_message(), part);
    assert_null(strchr(ft_error_message(), '\n'));
    ft_settings_free(&settings);
}

static inline char *t_format(const ft_settings *settings, const ft_config_key *key)
{
    ft_text text = {0};
    t_check_ok(ft_settings_format(settings, key, &text));
    return text.data;
}

#endif
