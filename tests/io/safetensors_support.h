// Safetensors files made by hand, byte by byte, and the check that a parsed header cannot contradict itself.
#ifndef FT_TESTS_IO_SAFETENSORS_SUPPORT_H
#define FT_TESTS_IO_SAFETENSORS_SUPPORT_H

#include "io/safetensors_header.h"
#include "support.h"

// Without the fsync of ft_file_write, and always a new file (ext4 syncs one that is truncated and rewritten): the sweeps write
// thousands.
static inline void write_bytes(const char *path, const void *bytes, size_t n)
{
    remove(path);
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, n, stream), n);
    assert_int_equal(fclose(stream), 0);
}

// length (as given), header, data of `data_bytes` bytes 0, 1, 2, ...
static inline void write_raw(const char *path, uint64_t length, const char *header, size_t header_bytes, size_t data_bytes)
{
    size_t total = 8 + header_bytes + data_bytes;
    unsigned char *bytes = ft_malloc(total);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8 * i);
    memcpy(bytes + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++) bytes[8 + header_bytes + i] = (unsigned char)i;
    write_bytes(path, bytes, total);
    ft_free(bytes);
}

static inline void write_header(const char *path, const char *header, size_t data_bytes)
{
    write_raw(path, strlen(header), header, strlen(header), data_bytes);
}

// The promises of a parse that succeeded: tensors tile the data, sizes follow from dtype and shape, names are distinct.
static inline void assert_consistent(const ft_tensor_info *tensors, int n, int64_t data_begin, int64_t data_bytes)
{
    int64_t at = data_begin;
    for (int i = 0; i < n; i++) {
        int64_t elements = 1;
        assert_in_range(tensors[i].rank, 0, FT_TENSOR_MAX_RANK);
        for (int d = 0; d < tensors[i].rank; d++) elements *= tensors[i].shape[d];
        assert_int_equal(tensors[i].elements, elements);
        assert_int_equal(tensors[i].bytes, elements * (int64_t)ft_dtype_bytes(tensors[i].dtype));
        assert_int_equal(tensors[i].offset, at);
        at += tensors[i].bytes;
        for (int k = 0; k < i; k++) assert_string_not_equal(tensors[i].name, tensors[k].name);
    }
    assert_int_equal(at, data_begin + data_bytes);
}

#endif
