// How a check says what it found: one line of JSON a row or fact, which run_checks.c reads on the other side.
#include "doctor/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/json_text.h"
#include "common/memory.h"
#include "doctor/findings.h"

enum { TEXT_BYTES = 1024 };

static void send_line(ft_doctor *doctor, json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text) dprintf(doctor->out, "%s\n", text);
    ft_free(text);
    json_decref(line);
}

static void send_row(ft_doctor *doctor, const char *subject, const char *verdict, const char *remedy, const char *found)
{
    char name[TEXT_BYTES];
    snprintf(name, sizeof name, "%s%s%s", doctor->check->name, subject ? " " : "", subject ? subject : "");
    send_line(doctor, ft_findings_new_row(doctor->check->group, name, verdict, remedy, found));
}

#define FORMATTED(text, format)                     \
    char text[TEXT_BYTES];                          \
    va_list args_;                                  \
    va_start(args_, format);                        \
    vsnprintf(text, sizeof text, format, args_);    \
    va_end(args_)

void ft_check_ok(ft_doctor *doctor, const char *subject, const char *format, ...)
{
    FORMATTED(found, format);
    send_row(doctor, subject, "ok", NULL, found);
}

void ft_check_note(ft_doctor *doctor, const char *subject, const char *remedy, const char *format, ...)
{
    FORMATTED(found, format);
    send_row(doctor, subject, "note", remedy, found);
}

void ft_check_fail(ft_doctor *doctor, const char *subject, const char *remedy, const char *format, ...)
{
    FORMATTED(found, format);
    send_row(doctor, subject, "FAIL", remedy, found);
}

static char *last_of(char *text, const char *separator)
{
    char *last = NULL;
    for (char *at = text; (at = strstr(at, separator)) != NULL; at++) last = at;
    return last;
}

void ft_check_error(ft_doctor *doctor, const char *subject, bool fails, const char *remedy)
{
    char found[FT_ERROR_MESSAGE_BYTES];
    snprintf(found, sizeof found, "%s", ft_error_message());
    char *cut = last_of(found, "; ");
    if (cut == NULL) cut = last_of(found, ". ");
    if (cut != NULL) {
        *cut = 0;
        remedy = cut + 2;
    }
    send_row(doctor, subject, fails ? "FAIL" : "note", remedy, found);
}

void ft_check_fact(ft_doctor *doctor, const char *name, const char *format, ...)
{
    FORMATTED(value, format);
    send_line(doctor, json_pack("{s:s, s:o}", "fact", name, "value", ft_json_any_text(value)));
}

bool ft_check_needs_gpu(const ft_doctor *doctor)
{
    return strcmp(doctor->config->device, "cuda") == 0;
}
