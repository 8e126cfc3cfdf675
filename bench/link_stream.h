// Copies without end in one direction, on a queue and a thread of their own: what the link carries beside other work.
#ifndef FT_BENCH_LINK_STREAM_H
#define FT_BENCH_LINK_STREAM_H

#include "bench/link_copies.h"

typedef struct ft_link_stream ft_link_stream;

// direction: FT_LINK_IN or FT_LINK_OUT. Goes round in `host_bytes` of pinned memory (more than the processor's caches hold) and
// `device_bytes` of the device's, in pieces of `piece`, of which both are multiples. It stands still at first.
ft_status ft_link_stream_open(ft_link_stream **stream, ft_device *device, unsigned direction, int64_t host_bytes, int64_t device_bytes, int64_t piece);
void ft_link_stream_close(ft_link_stream *stream);
void ft_link_stream_start(ft_link_stream *stream);
// Waits for what is under way. The first error since open, if there was one: the stream stands still from then on.
ft_status ft_link_stream_stop(ft_link_stream *stream);
// Copied so far, pieces under way not counted.
int64_t ft_link_stream_bytes(ft_link_stream *stream);

#endif
