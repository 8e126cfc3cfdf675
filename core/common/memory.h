// Memory: heap with accounting and failure injection, strings, and arenas.
//
// All memory a run needs is taken before step 0. ft_memory_seal() marks the start of the steady state: from then on an
// ft_malloc on the sealed thread is an assertion failure (other threads and libraries are not affected).
// ft_malloc/ft_calloc/ft_realloc return NULL only on failure and have then recorded FT_E_NOMEM's message.
#ifndef FT_COMMON_MEMORY_H
#define FT_COMMON_MEMORY_H

#include "common/status.h"

void *ft_malloc(size_t bytes);
void *ft_calloc(size_t count, size_t bytes);
void *ft_realloc(void *pointer, size_t bytes);
void ft_free(void *pointer);  // accepts NULL
char *ft_strdup(const char *text);
char *ft_strndup(const char *text, size_t bytes);
// printf into a fresh heap string; NULL on failure.
char *ft_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define FT_NEW(type) ((type *)ft_calloc(1, sizeof(type)))
#define FT_NEW_ARRAY(type, count) ((type *)ft_calloc((size_t)(count), sizeof(type)))
#define FT_ALLOC_CHECK(pointer)                  \
    do {                                         \
        if ((pointer) == NULL) return FT_E_NOMEM; \
    } while (0)

// Steady state: allocations by this thread assert until unsealed. Nestable pairs.
void ft_memory_seal(void);
void ft_memory_unseal(void);

// Failure injection for tests: the n-th allocation from now (1 = next) fails; 0 switches it off.
// The environment variable FT_FAIL_ALLOC=n does the same at program start.
void ft_memory_fail_after(int64_t n);
// Allocations counted since program start (all threads).
int64_t ft_memory_allocations(void);

// An arena hands out aligned pieces of one block that somebody else owns (device memory, a pinned slab, the heap).
// It never touches the bytes, so it serves device addresses as well. There is no free: it is reset as a whole.
typedef struct {
    char *base;
    size_t bytes;  // size of the block
    size_t used;
    size_t peak;
    const char *name;  // for messages; caller keeps it alive
} ft_arena;

#define FT_ARENA_ALIGN 256  // every piece: cuBLASLt workspaces and vector loads

void ft_arena_init(ft_arena *arena, const char *name, void *base, size_t bytes);
// A piece of `bytes`, aligned to FT_ARENA_ALIGN. An arena sized by the plan cannot run out: running out asserts.
void *ft_arena_take(ft_arena *arena, size_t bytes);
// As ft_arena_take but returns NULL when it does not fit.
void *ft_arena_try(ft_arena *arena, size_t bytes);
size_t ft_arena_round(size_t bytes);  // what a piece of `bytes` really takes
void ft_arena_reset(ft_arena *arena);

#endif
