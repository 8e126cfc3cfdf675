// Which bytes of a file have arrived: disjoint, sorted extents, and the journal that a later process reads them from.
//
// Journal, text: a line "ft-ranges 1 BYTES" (of the whole file), then a line "BEGIN END" for each piece that is in the file, in any
// order, appended after its bytes were written. A last line without its newline is not counted. Bytes count as written when the
// system has them: after a loss of power the hash of the whole finds out.
#ifndef FT_IO_HUB_RANGES_H
#define FT_IO_HUB_RANGES_H

#include "common/status.h"

typedef struct {
    int64_t begin, end;
} ft_extent;

typedef struct {
    ft_extent *items;
    int n, capacity;
} ft_ranges;

void ft_ranges_free(ft_ranges *ranges);
ft_status ft_ranges_add(ft_ranges *ranges, int64_t begin, int64_t end);
int64_t ft_ranges_bytes(const ft_ranges *ranges);
int64_t ft_ranges_front(const ft_ranges *ranges);  // bytes from 0 on without a hole
// The first hole at or after `from`, cut at `bytes`, the size of the whole; false if there is none.
bool ft_ranges_hole(const ft_ranges *ranges, int64_t from, int64_t bytes, ft_extent *hole);

// The extents of a journal, as far as they lie within `limit` bytes. A journal that is absent or not one for `bytes` gives none.
ft_status ft_journal_read(const char *path, int64_t bytes, int64_t limit, ft_ranges *ranges);
// A new journal that holds `ranges`; *fd appends to it.
ft_status ft_journal_begin(const char *path, int64_t bytes, const ft_ranges *ranges, int *fd);
ft_status ft_journal_add(int fd, const char *path, int64_t begin, int64_t end);

#endif
