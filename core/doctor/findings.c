#include "doctor/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/json_text.h"

json_t *ft_findings_new(const char *host)
{
    return json_pack("{s:s, s:s, s:{}, s:[]}", "host", host, "verdict", "ok", "facts", "checks");
}

json_t *ft_findings_new_row(const char *group, const char *check, const char *verdict, const char *remedy, const char *found)
{
    json_t *row = json_pack("{s:s, s:o, s:o, s:s}", "group", group, "check", ft_json_any_text(check), "found", ft_json_any_text(found), "verdict", verdict);
    if (row && remedy) json_object_set_new(row, "remedy", ft_json_any_text(remedy));
    return row;
}

void ft_findings_row(json_t *report, const char *group, const char *check, const char *verdict, const char *remedy, const char *format, ...)
{
    char found[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(found, sizeof found, format, args);
    va_end(args);
    json_array_append_new(json_object_get(report, "checks"), ft_findings_new_row(group, check, verdict, remedy, found));
}

bool ft_findings_take(json_t *report, const char *line)
{
    json_t *object = json_loads(line, 0, NULL);
    const char *fact = ft_findings_text(object, "fact");
    bool is_row = json_is_string(json_object_get(object, "check")), is_fact = !is_row && *fact;
    if (is_row) json_array_append(json_object_get(report, "checks"), object);
    if (is_fact) json_object_set(json_object_get(report, "facts"), fact, json_object_get(object, "value"));
    json_decref(object);
    return is_row || is_fact;
}

const char *ft_findings_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

// Among its own rows.
static bool has(const json_t *report, const char *verdict)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(report, "checks"), i, row)
        if (strcmp(ft_findings_text(row, "verdict"), verdict) == 0) return true;
    return false;
}

static bool any_has(const json_t *report, const char *verdict)
{
    size_t i;
    json_t *host;
    if (has(report, verdict)) return true;
    json_array_foreach(json_object_get(report, "hosts"), i, host)
        if (has(host, verdict)) return true;
    return false;
}

void ft_findings_close(json_t *report)
{
    const char *verdict = any_has(report, "FAIL") ? "FAIL" : any_has(report, "note") ? "note" : "ok";
    json_object_set_new(report, "verdict", json_string(verdict));
}
