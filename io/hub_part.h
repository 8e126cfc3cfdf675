// A file that is being downloaded: its bytes so far, which of them are there, and its hash as far as they are there from the start.
//
//   PART          the bytes, with holes
//   PART.ranges   the journal of what has arrived (hub_ranges.h)
// A process that dies leaves both, and the next goes on from them. A PART without a journal counts as whole from its start to its
// end (another tool's unfinished file, given this name). Writing and hashing may run on two threads.
#ifndef FT_IO_HUB_PART_H
#define FT_IO_HUB_PART_H

#include <pthread.h>

#include "io/hub.h"
#include "io/hub_ranges.h"
#include "io/sha.h"

typedef struct {
    const ft_hub_file *file;
    char *path, *journal_path;
    char *plain_path;       // another tool's unfinished file, taken over when opened if there is no PART; heap, NULL = none
    int fd, journal;
    int64_t resumed;        // bytes that an earlier process left
    ft_sha sha;             // of the first `hashed` bytes: the hashing thread's alone
    int64_t hashed;
    pthread_mutex_t lock;   // guards `arrived` and `journal`
    ft_ranges arrived;
} ft_hub_part;

// Takes `path` over (heap). Reads what an earlier process has left; opens and changes nothing.
ft_status ft_hub_part_init(ft_hub_part *part, const ft_hub_file *file, char *path);
void ft_hub_part_free(ft_hub_part *part);   // closes; the files stay
// Opens for writing what is there by then.
ft_status ft_hub_part_open(ft_hub_part *part);
ft_status ft_hub_part_write(ft_hub_part *part, int64_t offset, const void *data, size_t n);
// Puts into the journal what lies in [begin, end) and was written; nothing once the file is finished.
ft_status ft_hub_part_record(ft_hub_part *part, int64_t begin, int64_t end);
int64_t ft_hub_part_bytes(ft_hub_part *part);
bool ft_hub_part_hole(ft_hub_part *part, int64_t from, ft_extent *hole);
// Hashes at most `most` bytes that lie next; *n: how many did. FT_E_CORRUPT with both hashes if the last byte makes the wrong one.
ft_status ft_hub_part_hash(ft_hub_part *part, int64_t most, int64_t *n);
// Forgets every byte.
ft_status ft_hub_part_reset(ft_hub_part *part);
// Gives it its name, closes it and removes the journal. A file of 1 MiB or more is durable before it
// has its name.
ft_status ft_hub_part_finish(ft_hub_part *part, const char *path);

#endif
