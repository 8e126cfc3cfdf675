// Text that normalizers rewrote, with the way back: for every byte, the offset in the original text past what it stands for.
#ifndef FT_TOKENIZER_REWRITE_H
#define FT_TOKENIZER_REWRITE_H

#include "common/status.h"

// A stretch of text, as it stands in the original (origin NULL) or rewritten. Points into text it does not own.
typedef struct {
    const char *text;
    size_t bytes;
    const size_t *origin;  // [bytes] offset in the original past the source of each byte
    size_t base;           // offset in the original at which the stretch begins
} ft_piece;

// Offset in the original at which the first `at` bytes of the piece end.
static inline size_t ft_piece_offset(const ft_piece *piece, size_t at)
{
    return at == 0 || piece->origin == NULL ? piece->base + at : piece->origin[at - 1];
}

static inline ft_piece ft_piece_part(const ft_piece *piece, size_t from, size_t to)
{
    return (ft_piece){piece->text + from, to - from, piece->origin ? piece->origin + from : NULL, ft_piece_offset(piece, from)};
}

// A rewritten text under construction; initialised to {0}, reused from text to text.
typedef struct {
    char *text;
    size_t *origin;        // [origins], written only if `mapped`
    size_t bytes, capacity, base, origins;
    bool mapped;
} ft_rewrite;

// Starts over, for about `bytes` bytes that begin at offset `base` of the original.
ft_status ft_rewrite_start(ft_rewrite *rewrite, bool mapped, size_t base, size_t bytes);
// Appends bytes [from, to) of the piece as they are.
ft_status ft_rewrite_keep(ft_rewrite *rewrite, const ft_piece *piece, size_t from, size_t to);
// Appends new bytes, which stand for what ends at offset `end` of the original.
ft_status ft_rewrite_put(ft_rewrite *rewrite, const char *text, size_t bytes, size_t end);
// The result; offsets are right only if `mapped`. Valid until the rewrite is started again or freed.
ft_piece ft_rewrite_piece(const ft_rewrite *rewrite);
void ft_rewrite_free(ft_rewrite *rewrite);

#endif
