#include "common/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log_line.h"

enum { MAX_ONCE = 256 };

static const struct {
    const char *name, *prefix, *color;
} levels[] = {
    [FT_LOG_ERROR] = {"error", "error: ", "\033[31m"},
    [FT_LOG_WARNING] = {"warning", "warning: ", "\033[33m"},
    [FT_LOG_INFO] = {"info", "", ""},
    [FT_LOG_DEBUG] = {"debug", "debug: ", "\033[2m"},
};

static atomic_int shown_level = FT_LOG_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char status_line[FT_LOG_LINE_BYTES];  // on the screen, under `lock`

__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("FT_LOG");
    if (text == NULL || *text == 0) return;
    for (int i = FT_LOG_ERROR; i <= FT_LOG_DEBUG; i++) {
        if (strcmp(text, levels[i].name) == 0) {
            ft_log_set_level((ft_log_level)i);
            return;
        }
    }
    ft_warn("FT_LOG=%s is none of debug, info, warning, error: using info", text);
}

double ft_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void ft_log_set_level(ft_log_level level)
{
    atomic_store(&shown_level, (int)level);
}

bool ft_log_shows(ft_log_level level)
{
    return (int)level <= atomic_load(&shown_level);
}

bool ft_log_is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

bool ft_log_in_place(void)
{
    const char *term = getenv("TERM");
    return ft_log_is_terminal() && !(term != NULL && strcmp(term, "dumb") == 0);
}

bool ft_log_color(void)
{
    const char *no_color = getenv("NO_COLOR");
    return ft_log_in_place() && (no_color == NULL || *no_color == 0);
}

// A closed or full stderr is nobody's error.
static void write_stderr(const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = write(STDERR_FILENO, bytes, n);
        if (written <= 0) return;
        bytes += written;
        n -= (size_t)written;
    }
}

void ft_log_line(const char *text)
{
    static char out[2 * FT_LOG_LINE_BYTES + 16];
    pthread_mutex_lock(&lock);
    const char *erase = status_line[0] ? "\r\033[K" : "";
    int n = snprintf(out, sizeof out, "%s%.*s\n%s", erase, FT_LOG_LINE_BYTES - 1, text, status_line);
    write_stderr(out, (size_t)n);
    pthread_mutex_unlock(&lock);
}

void ft_log_status(const char *text)
{
    static char out[FT_LOG_LINE_BYTES + 16];
    pthread_mutex_lock(&lock);
    snprintf(status_line, sizeof status_line, "%s", text);
    int n = snprintf(out, sizeof out, "\r%s\033[K", status_line);
    write_stderr(out, (size_t)n);
    pthread_mutex_unlock(&lock);
}

static void log_message(ft_log_level level, const char *format, va_list args)
{
    char text[FT_LOG_LINE_BYTES - 64], line[FT_LOG_LINE_BYTES];
    if (!ft_log_shows(level)) return;
    int length = vsnprintf(text, sizeof text, format, args);
    if (length >= (int)sizeof text) memcpy(text + sizeof text - 4, "...", 4);
    bool color = ft_log_color() && levels[level].color[0];
    snprintf(line, sizeof line, "%s%s%s%s", color ? levels[level].color : "", levels[level].prefix, color ? "\033[0m" : "", text);
    ft_log_line(line);
}

void ft_log(ft_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_message(level, format, args);
    va_end(args);
}

static uint64_t hash_key(const char *key)
{
    uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
    for (; *key; key++) hash = (hash ^ (uint8_t)*key) * 0x100000001B3;
    return hash;
}

// True the first time. Keys are few and fixed; were there ever more than MAX_ONCE, the rest would be logged every time.
static bool first_time(const char *key)
{
    static uint64_t seen[MAX_ONCE];
    static int n;
    bool first = true;
    uint64_t hash = hash_key(key);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n; i++) first = first && seen[i] != hash;
    if (first && n < MAX_ONCE) seen[n++] = hash;
    pthread_mutex_unlock(&lock);
    return first;
}

void ft_log_once(ft_log_level level, const char *key, const char *format, ...)
{
    if (!ft_log_shows(level) || !first_time(key)) return;
    va_list args;
    va_start(args, format);
    log_message(level, format, args);
    va_end(args);
}
