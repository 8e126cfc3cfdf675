#include "common/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char message[FT_ERROR_MESSAGE_BYTES];

int ft_status_exit_code(ft_status status)
{
    switch (status) {
    case FT_OK: return 0;
    case FT_E_USAGE:
    case FT_E_INPUT:
    case FT_E_UNSUPPORTED:
    case FT_E_EXISTS:
    case FT_E_NOT_FOUND:
    case FT_E_BUSY: return 2;
    case FT_E_STOPPED: return 3;
    default: return 1;
    }
}

// One line, and nothing that a terminal takes for a command: names of files and answers of hosts come from anywhere. Also U+0080
// to U+009F, which are C2 80 to C2 9F.
static void hide_controls(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7F) *c = '?';
        if (c[0] == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0) c[0] = c[1] = '?';
    }
}

// Formatting goes through a second buffer: an argument may point into the message being replaced.
static void set_message(const char *format, va_list args)
{
    char text[FT_ERROR_MESSAGE_BYTES];
    vsnprintf(text, sizeof text, format, args);
    hide_controls(text);
    memcpy(message, text, sizeof text);
}

ft_status ft_error(ft_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_message(format, args);
    va_end(args);
    return status;
}

ft_status ft_error_errno(ft_status status, int errno_value, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_message(format, args);
    va_end(args);
    size_t used = strlen(message);
    snprintf(message + used, sizeof message - used, ": %s", strerror(errno_value));
    return status;
}

ft_status ft_error_prefix(ft_status status, const char *format, ...)
{
    char text[FT_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof text) snprintf(text + used, sizeof text - (size_t)used, ": %.900s", message);
    hide_controls(text);
    memcpy(message, text, sizeof text);
    return status;
}

const char *ft_error_message(void)
{
    return message;
}

ft_status ft_error_adopt(ft_status status, const char *text)
{
    return ft_error(status, "%s", text);
}

void ft_assert_failed(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "ft-single: internal error: %s:%d: %s ", file, line, condition);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}
