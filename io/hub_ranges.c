#include "io/hub_ranges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

enum { MAX_JOURNAL_BYTES = 64 << 20 };

void ft_ranges_free(ft_ranges *ranges)
{
    ft_free(ranges->items);
    *ranges = (ft_ranges){0};
}

static ft_status grow(ft_ranges *ranges)
{
    if (ranges->n < ranges->capacity) return FT_OK;
    int capacity = ranges->capacity ? 2 * ranges->capacity : 16;
    ft_extent *items = ft_realloc(ranges->items, (size_t)capacity * sizeof *items);
    FT_ALLOC_CHECK(items);
    ranges->items = items;
    ranges->capacity = capacity;
    return FT_OK;
}

// What touches the new extent becomes one with it.
ft_status ft_ranges_add(ft_ranges *ranges, int64_t begin, int64_t end)
{
    int first = 0;
    if (begin >= end) return FT_OK;
    FT_TRY(grow(ranges));
    while (first < ranges->n && ranges->items[first].end < begin) first++;
    int last = first;
    for (; last < ranges->n && ranges->items[last].begin <= end; last++) {
        if (ranges->items[last].begin < begin) begin = ranges->items[last].begin;
        if (ranges->items[last].end > end) end = ranges->items[last].end;
    }
    memmove(ranges->items + first + 1, ranges->items + last, (size_t)(ranges->n - last) * sizeof *ranges->items);
    ranges->items[first] = (ft_extent){begin, end};
    ranges->n += 1 - (last - first);
    return FT_OK;
}

int64_t ft_ranges_bytes(const ft_ranges *ranges)
{
    int64_t bytes = 0;
    for (int i = 0; i < ranges->n; i++) bytes += ranges->items[i].end - ranges->items[i].begin;
    return bytes;
}

int64_t ft_ranges_front(const ft_ranges *ranges)
{
    return ranges->n > 0 && ranges->items[0].begin == 0 ? ranges->items[0].end : 0;
}

bool ft_ranges_hole(const ft_ranges *ranges, int64_t from, int64_t bytes, ft_extent *hole)
{
    int64_t end = bytes;
    for (int i = 0; i < ranges->n; i++) {
        const ft_extent *e = &ranges->items[i];
        if (e->end <= from) continue;
        if (e->begin > from) {
            end = e->begin;
            break;
        }
        from = e->end;
    }
    *hole = (ft_extent){from, end < bytes ? end : bytes};
    return from < hole->end;
}

// ---- the journal

static ft_status read_lines(const char *text, int64_t limit, ft_ranges *ranges)
{
    for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        long long a, b;
        if (sscanf(line, "%lld %lld", &a, &b) == 2 && a >= 0 && a < b && b <= limit) FT_TRY(ft_ranges_add(ranges, a, b));
    }
    return FT_OK;
}

ft_status ft_journal_read(const char *path, int64_t bytes, int64_t limit, ft_ranges *ranges)
{
    char *text = NULL;
    size_t n;
    long long told;
    ft_status status = ft_path_exists(path) ? ft_file_read(path, MAX_JOURNAL_BYTES, &text, &n) : FT_E_NOT_FOUND;
    if (status == FT_OK && sscanf(text, "ft-ranges 1 %lld\n", &told) == 1 && told == bytes) status = read_lines(text, limit, ranges);
    ft_free(text);
    return status == FT_E_NOMEM ? status : FT_OK;
}

// A line that did not fit goes again: the next one would be read as its end.
static ft_status append(int fd, const char *path, const char *text, size_t n)
{
    ssize_t written = write(fd, text, n);
    if (written == (ssize_t)n) return FT_OK;
    int error = written < 0 ? errno : ENOSPC;
    off_t end = lseek(fd, 0, SEEK_END);
    bool cut = written <= 0 || ftruncate(fd, end - written) == 0;
    return ft_error_errno(FT_E_IO, error, "%s: cannot be written%s", path, cut ? "" : " or shortened");
}

static ft_status write_journal(int fd, const char *path, int64_t bytes, const ft_ranges *ranges)
{
    char line[64];
    ft_status status = append(fd, path, line, (size_t)snprintf(line, sizeof line, "ft-ranges 1 %lld\n", (long long)bytes));
    for (int i = 0; i < ranges->n && status == FT_OK; i++) status = ft_journal_add(fd, path, ranges->items[i].begin, ranges->items[i].end);
    return status;
}

// Made beside and renamed: an older journal stands until all that it says is in the new one.
ft_status ft_journal_begin(const char *path, int64_t bytes, const ft_ranges *ranges, int *fd)
{
    char *beside = ft_format("%s.new", path);
    FT_ALLOC_CHECK(beside);
    *fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
    ft_status status = *fd >= 0 ? write_journal(*fd, beside, bytes, ranges) : ft_error_errno(FT_E_IO, errno, "%s: cannot be created", beside);
    if (status == FT_OK && rename(beside, path) != 0) status = ft_error_errno(FT_E_IO, errno, "%s: cannot be renamed", beside);
    if (status != FT_OK && *fd >= 0) unlink(beside);
    ft_free(beside);
    return status;
}

ft_status ft_journal_add(int fd, const char *path, int64_t begin, int64_t end)
{
    char line[64];
    return append(fd, path, line, (size_t)snprintf(line, sizeof line, "%lld %lld\n", (long long)begin, (long long)end));
}
