// Builds GGUF files byte by byte: what the tests of the reader and of the import feed them.
#ifndef FT_TESTS_IO_GGUF_SUPPORT_H
#define FT_TESTS_IO_GGUF_SUPPORT_H

#include "common/text.h"
#include "io/gguf.h"
#include "io/support.h"

static inline void put(ft_text *file, const void *bytes, size_t n)
{
    assert_ok(ft_text_add(file, bytes, n));
}

static inline void put_u32(ft_text *file, uint32_t value)
{
    const unsigned char bytes[4] = {(unsigned char)value, (unsigned char)(value >> 8), (unsigned char)(value >> 16), (unsigned char)(value >> 24)};
    put(file, bytes, 4);
}

static inline void put_u64(ft_text *file, uint64_t value)
{
    put_u32(file, (uint32_t)value);
    put_u32(file, (uint32_t)(value >> 32));
}

static inline void put_text(ft_text *file, const char *text)
{
    put_u64(file, strlen(text));
    put(file, text, strlen(text));
}

static inline void put_header(ft_text *file, uint32_t version, uint64_t n_tensors, uint64_t n_values)
{
    put(file, "GGUF", 4);
    put_u32(file, version);
    put_u64(file, n_tensors);
    put_u64(file, n_values);
}

static inline void put_key(ft_text *file, const char *key, uint32_t type)
{
    put_text(file, key);
    put_u32(file, type);
}

static inline void put_value_u32(ft_text *file, const char *key, uint32_t value)
{
    put_key(file, key, FT_GGUF_U32);
    put_u32(file, value);
}

static inline void put_value_text(ft_text *file, const char *key, const char *value)
{
    put_key(file, key, FT_GGUF_TEXT);
    put_text(file, value);
}

// A tensor of one or (rows > 0) two dimensions.
static inline void put_tensor(ft_text *file, const char *name, uint64_t cols, uint64_t rows, uint32_t encoding, uint64_t offset)
{
    put_text(file, name);
    put_u32(file, rows > 0 ? 2 : 1);
    put_u64(file, cols);
    if (rows > 0) put_u64(file, rows);
    put_u32(file, encoding);
    put_u64(file, offset);
}

static inline void put_padding(ft_text *file, size_t alignment)
{
    while (file->length % alignment != 0) put(file, "", 1);
}

static inline void put_data(ft_text *file, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) put(file, &(char){(char)(i * 7 + 1)}, 1);
}

#endif
