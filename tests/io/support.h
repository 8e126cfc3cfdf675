// What the io tests share: a scratch directory, aligned buffers, stamps, and which engines this machine has.
#ifndef FT_TESTS_IO_SUPPORT_H
#define FT_TESTS_IO_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/engine.h"

#define KIB 1024
#define MIB (1024 * 1024)
#define BLOCK FT_IO_ALIGN
#define assert_ok(expression) support_assert_ok((expression), #expression, __FILE__, __LINE__)

static inline void support_assert_ok(ft_status status, const char *text, const char *file, int line)
{
    if (status == FT_OK) return;
    print_error("%s = %d: %s\n", text, status, ft_error_message());
    _fail(file, line);
}

static inline void assert_message_has(const char *message, const char *part)
{
    if (strstr(message, part) != NULL) return;
    print_error("\"%s\" does not mention \"%s\"\n", message, part);
    fail();
}

// A fresh directory under $TMPDIR or /tmp, heap; support_remove deletes it and frees the name.
static inline char *support_directory(void)
{
    const char *base = getenv("TMPDIR");
    char *path = ft_format("%s/ft-io-XXXXXX", base != NULL && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void support_remove(char *directory)
{
    assert_ok(ft_remove_tree(directory));
    ft_free(directory);
}

static inline void *aligned_buffer(size_t bytes)
{
    void *buffer = aligned_alloc(BLOCK, bytes);
    assert_non_null(buffer);
    memset(buffer, 0xEE, bytes);
    return buffer;
}

// Every 8-byte word of a stamped file tells where it belongs (file, offset) and in which generation it was written.
static inline uint64_t stamp_word(uint64_t file, uint64_t offset, uint64_t generation)
{
    return offset ^ file << 40 ^ generation << 52;
}

static inline void stamp(void *buffer, size_t bytes, uint64_t file, uint64_t offset, uint64_t generation)
{
    uint64_t *words = buffer;
    for (size_t i = 0; i < bytes / 8; i++) words[i] = stamp_word(file, offset + 8 * i, generation);
}

// Offset of the first word that is not what `stamp` writes there, -1 if all are.
static inline int64_t stamp_mismatch(const void *buffer, size_t bytes, uint64_t file, uint64_t offset, uint64_t generation)
{
    const uint64_t *words = buffer;
    for (size_t i = 0; i < bytes / 8; i++) {
        if (words[i] != stamp_word(file, offset + 8 * i, generation)) return (int64_t)(offset + 8 * i);
    }
    return -1;
}

// False where the kernel or the container refuses the engine: its part of a test is then left out, and said.
static inline bool engine_available(const char *name)
{
    ft_io_engine *engine;
    ft_status status = ft_io_engine_open(&engine, name, &(ft_io_options){.depth = 1});
    if (status == FT_OK) engine->row->close(engine);
    else print_message("%s left out: %s\n", name, ft_error_message());
    assert_true(status == FT_OK || status == FT_E_UNSUPPORTED);
    return status == FT_OK;
}

// Name of the n-th engine of the table that moves real bytes by itself; NULL past the last.
static inline const char *real_engine(int n)
{
    for (int i = 0; ft_io_engines[i]->name != NULL; i++) {
        if (ft_io_engines[i]->caps & (FT_IO_CAP_NO_DATA | FT_IO_CAP_SPEC)) continue;
        if (n-- == 0) return ft_io_engines[i]->name;
    }
    return NULL;
}

#endif
