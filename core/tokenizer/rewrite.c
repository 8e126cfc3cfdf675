#include "tokenizer/rewrite.h"

#include <string.h>

#include "common/memory.h"

static ft_status reserve(ft_rewrite *rewrite, size_t bytes)
{
    if (bytes > rewrite->capacity) {
        size_t capacity = bytes + bytes / 2 + 256;
        char *text = ft_realloc(rewrite->text, capacity);
        FT_ALLOC_CHECK(text);
        rewrite->text = text;
        rewrite->capacity = capacity;
    }
    if (!rewrite->mapped || rewrite->origins >= rewrite->capacity) return FT_OK;
    size_t *origin = ft_realloc(rewrite->origin, rewrite->capacity * sizeof *origin);
    FT_ALLOC_CHECK(origin);
    rewrite->origin = origin;
    rewrite->origins = rewrite->capacity;
    return FT_OK;
}

ft_status ft_rewrite_start(ft_rewrite *rewrite, bool mapped, size_t base, size_t bytes)
{
    rewrite->mapped = mapped;
    rewrite->base = base;
    rewrite->bytes = 0;
    return reserve(rewrite, bytes);
}

ft_status ft_rewrite_keep(ft_rewrite *rewrite, const ft_piece *piece, size_t from, size_t to)
{
    if (from == to) return FT_OK;
    FT_TRY(reserve(rewrite, rewrite->bytes + (to - from)));
    memcpy(rewrite->text + rewrite->bytes, piece->text + from, to - from);
    if (rewrite->mapped) {
        for (size_t i = from; i < to; i++) rewrite->origin[rewrite->bytes + i - from] = ft_piece_offset(piece, i + 1);
    }
    rewrite->bytes += to - from;
    return FT_OK;
}

ft_status ft_rewrite_put(ft_rewrite *rewrite, const char *text, size_t bytes, size_t end)
{
    if (bytes == 0) return FT_OK;
    FT_TRY(reserve(rewrite, rewrite->bytes + bytes));
    memcpy(rewrite->text + rewrite->bytes, text, bytes);
    if (rewrite->mapped) {
        for (size_t i = 0; i < bytes; i++) rewrite->origin[rewrite->bytes + i] = end;
    }
    rewrite->bytes += bytes;
    return FT_OK;
}

ft_piece ft_rewrite_piece(const ft_rewrite *rewrite)
{
    return (ft_piece){rewrite->text, rewrite->bytes, rewrite->mapped ? rewrite->origin : NULL, rewrite->base};
}

void ft_rewrite_free(ft_rewrite *rewrite)
{
    ft_free(rewrite->text);
    ft_free(rewrite->origin);
    *rewrite = (ft_rewrite){0};
}
