// The bytes of a file in order, unpacked if the name says so: .gz (gzip, any number of members), .zst (zstd, any number of
// frames), anything else as it is. A packed file that ends within a member or frame, or whose checksum fails, is FT_E_INPUT.
// Memory: one buffer of FT_BYTE_STREAM_BUFFER and what the format's window takes (gzip 32 KiB, zstd at most 128 MiB).
#ifndef FT_DATA_BYTE_STREAM_H
#define FT_DATA_BYTE_STREAM_H

#include "common/status.h"

#define FT_BYTE_STREAM_BUFFER (256u << 10)

typedef struct ft_byte_stream ft_byte_stream;

ft_status ft_byte_stream_open(ft_byte_stream **stream, const char *path);  // *stream is NULL after a failure
// Up to n > 0 bytes; *got = 0 at the end only. After an error the stream can only be closed.
ft_status ft_byte_stream_read(ft_byte_stream *stream, void *bytes, size_t n, size_t *got);
void ft_byte_stream_close(ft_byte_stream *stream);  // accepts NULL

// Length of the path without ".gz" or ".zst".
size_t ft_byte_stream_stem(const char *path);

#endif
