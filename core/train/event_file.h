// One event file of TensorBoard, written append-only: see event_file.c for its bytes.
//
// An event has a wall time (seconds since 1970), a step, and either scalars or a text. Every event is one write, as a line of
// metrics.jsonl is, so whoever reads along sees it whole or not at all. One thread.
#ifndef FT_TRAIN_EVENT_FILE_H
#define FT_TRAIN_EVENT_FILE_H

#include "common/status.h"

#define FT_EVENT_SCALARS 32    // most scalars of an event
#define FT_EVENT_TAG_BYTES 64  // longest tag, with its end

typedef struct {
    const char *tag;  // "train/loss": what stands before the slash is a section of the page
    double value;     // kept as float32
} ft_event_scalar;

typedef struct ft_event_file ft_event_file;
// Creates `path` (FT_E_IO where it exists) with the version of the format and the start of a session at step 0: a reader forgets what
// files before this one say.
ft_status ft_event_file_create(ft_event_file **file, const char *path, double time);
// Allocates nothing: for the steady state.
ft_status ft_event_file_scalars(ft_event_file *file, double time, int64_t step, const ft_event_scalar *scalars, int n);
// Markdown, on TensorBoard's Text page.
ft_status ft_event_file_text(ft_event_file *file, double time, int64_t step, const char *tag, const char *text);
const char *ft_event_file_path(const ft_event_file *file);
ft_status ft_event_file_close(ft_event_file *file);  // NULL accepted

// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), and its mask in records: a checksum of data that holds checksums is weak.
uint32_t ft_crc32c(const void *data, size_t bytes);
uint32_t ft_crc32c_masked(const void *data, size_t bytes);

#endif
