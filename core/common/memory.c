#include "common/memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_llong allocations;
static atomic_llong fail_at;  // absolute allocation number that fails, 0 = none
static _Thread_local int sealed;

__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("FT_FAIL_ALLOC");
    if (text != NULL) ft_memory_fail_after(atoll(text));
}

// True if this allocation is the one chosen to fail.
static bool count_allocation(void)
{
    FT_ASSERT(sealed == 0, "allocation in the steady state");
    long long number = atomic_fetch_add(&allocations, 1) + 1;
    return number == atomic_load(&fail_at);
}

static void *out_of_memory(size_t bytes)
{
    ft_error(FT_E_NOMEM, "out of memory: %zu bytes could not be allocated; lower --host-budget or free memory", bytes);
    return NULL;
}

void *ft_malloc(size_t bytes)
{
    if (count_allocation()) return out_of_memory(bytes);
    void *pointer = malloc(bytes ? bytes : 1);
    return pointer ? pointer : out_of_memory(bytes);
}

void *ft_calloc(size_t count, size_t bytes)
{
    if (count_allocation()) return out_of_memory(count * bytes);
    void *pointer = calloc(count ? count : 1, bytes ? bytes : 1);
    return pointer ? pointer : out_of_memory(count * bytes);
}

void *ft_realloc(void *old, size_t bytes)
{
    if (count_allocation()) return out_of_memory(bytes);
    void *pointer = realloc(old, bytes ? bytes : 1);
    return pointer ? pointer : out_of_memory(bytes);
}

void ft_free(void *pointer)
{
    free(pointer);
}

char *ft_strdup(const char *text)
{
    return ft_strndup(text, strlen(text));
}

char *ft_strndup(const char *text, size_t bytes)
{
    char *copy = ft_malloc(bytes + 1);
    if (copy == NULL) return NULL;
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    return copy;
}

char *ft_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = ft_malloc((size_t)length + 1);
    if (text == NULL) return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void ft_memory_seal(void)
{
    sealed++;
}

void ft_memory_unseal(void)
{
    FT_ASSERT(sealed > 0);
    sealed--;
}

void ft_memory_fail_after(int64_t n)
{
    atomic_store(&fail_at, n > 0 ? atomic_load(&allocations) + n : 0);
}

int64_t ft_memory_allocations(void)
{
    return atomic_load(&allocations);
}

void ft_arena_init(ft_arena *arena, const char *name, void *base, size_t bytes)
{
    FT_ASSERT((uintptr_t)base % FT_ARENA_ALIGN == 0, "arena %s is not aligned", name);
    *arena = (ft_arena){.base = base, .bytes = bytes, .name = name};
}

size_t ft_arena_round(size_t bytes)
{
    return (bytes + FT_ARENA_ALIGN - 1) / FT_ARENA_ALIGN * FT_ARENA_ALIGN;
}

void *ft_arena_try(ft_arena *arena, size_t bytes)
{
    if (bytes > arena->bytes - arena->used) return NULL;  // before rounding, which could wrap
    size_t rounded = ft_arena_round(bytes);
    if (rounded > arena->bytes - arena->used) return NULL;
    void *piece = arena->base + arena->used;
    arena->used += rounded;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return piece;
}

void *ft_arena_take(ft_arena *arena, size_t bytes)
{
    void *piece = ft_arena_try(arena, bytes);
    FT_ASSERT(piece != NULL, "arena %s: %zu bytes asked, %zu of %zu used", arena->name, bytes, arena->used, arena->bytes);
    return piece;
}

void ft_arena_reset(ft_arena *arena)
{
    arena->used = 0;
}
