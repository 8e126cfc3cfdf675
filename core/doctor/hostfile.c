#include "doctor/hostfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"

enum { MOST_BYTES = 1 << 20, MOST_HOSTS = 4096, MOST_SLOTS = 1 << 20 };

static ft_status add_host(ft_hosts *hosts, const char *name, ft_host **host)
{
    for (int i = 0; i < hosts->n; i++) {
        *host = &hosts->host[i];
        if (strcmp((*host)->name, name) == 0) return FT_OK;
    }
    if (hosts->n == MOST_HOSTS) return ft_error(FT_E_INPUT, "more than %d hosts", MOST_HOSTS);
    ft_host *grown = ft_realloc(hosts->host, (size_t)(hosts->n + 1) * sizeof *grown);
    FT_ALLOC_CHECK(grown);
    hosts->host = grown;
    char *copy = ft_strdup(name);
    FT_ALLOC_CHECK(copy);
    *host = &hosts->host[hosts->n++];
    **host = (ft_host){.name = copy};
    return FT_OK;
}

// A name that begins with - would be an option of ssh.
static ft_status check_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@:[]%";
    if (name[0] == '-' || name[strspn(name, allowed)]) return ft_error(FT_E_INPUT, "'%s' is not the name of a host", name);
    return FT_OK;
}

static ft_status parse_slots(const char *word, const char *value, int *slots)
{
    char *end;
    errno = 0;
    long n = strtol(value, &end, 10);
    if (end == value || *end || errno || n < 1) return ft_error(FT_E_INPUT, "'%s': slots are a number of at least 1", word);
    if (n > MOST_SLOTS - *slots) return ft_error(FT_E_INPUT, "'%s': a host has at most %d slots", word, MOST_SLOTS);
    *slots += (int)n;
    return FT_OK;
}

// The words of one line; `line` is cut up.
static ft_status parse_line(ft_hosts *hosts, char *line)
{
    ft_host *host = NULL;
    int ignored = 0;
    char *rest = NULL;
    line[strcspn(line, "#")] = 0;
    for (char *word = strtok_r(line, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
        if (host == NULL) {
            FT_TRY(check_name(word));
            FT_TRY(add_host(hosts, word, &host));
        } else if (strncmp(word, "slots=", 6) == 0) {
            FT_TRY(parse_slots(word, word + 6, &host->slots));
        } else if (strncmp(word, "max_slots=", 10) == 0) {
            FT_TRY(parse_slots(word, word + 10, &ignored));
        } else {
            return ft_error(FT_E_INPUT, "'%s' is neither slots=N nor max_slots=N", word);
        }
    }
    return FT_OK;
}

static ft_status parse(ft_hosts *hosts, char *text, const char *path)
{
    int number = 1;
    for (char *line = text, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        ft_status status = parse_line(hosts, line);
        if (status != FT_OK) return ft_error_prefix(status, "%s:%d", path, number);
    }
    return hosts->n ? FT_OK : ft_error(FT_E_INPUT, "%s: no hosts in it; write one a line: HOST slots=N", path);
}

ft_status ft_hosts_read(ft_hosts *hosts, const char *path)
{
    char *text;
    size_t bytes;
    *hosts = (ft_hosts){0};
    FT_TRY(ft_file_read(path, MOST_BYTES, &text, &bytes));
    ft_status status = parse(hosts, text, path);
    ft_free(text);
    if (status != FT_OK) ft_hosts_free(hosts);
    return status;
}

void ft_hosts_free(ft_hosts *hosts)
{
    for (int i = 0; i < hosts->n; i++) ft_free(hosts->host[i].name);
    ft_free(hosts->host);
    *hosts = (ft_hosts){0};
}
