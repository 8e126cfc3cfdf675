// A timeline of the last spans, as Chrome's trace format (JSON), which Perfetto and chrome://tracing show: a row per track, a
// complete event ("X") per span with its time and duration in microseconds since the trace was opened, args with its bytes.
//
// Memory is a ring of FT_TRACE_SPANS spans, taken at open; older spans give way. Any thread adds. The file is created at open,
// so that a wrong path is told at once, and written at close.
#ifndef FT_OFFLOAD_TRACE_H
#define FT_OFFLOAD_TRACE_H

#include "offload/meter.h"

#define FT_TRACE_SPANS 200000

typedef struct ft_trace ft_trace;

// FT_E_IO if the file cannot be created. The names outlive the trace.
ft_status ft_trace_open(ft_trace **trace, const char *path, int n_drives, char *const *drive_name);
// One span; times are of ft_now_s. Spans of one track come in order and do not overlap. wait_drive: the drive that a stall is
// waiting for, -1 = none. A NULL trace takes nothing.
void ft_trace_add(ft_trace *trace, int track, ft_span_label label, int wait_drive, double begin_s, double end_s);
// Writes and closes the file. NULL is accepted.
ft_status ft_trace_close(ft_trace *trace);

#endif
