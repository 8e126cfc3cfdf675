// Unicode normalization form C of a piece of text (Unicode Standard Annex 15), as the reference tokenizer has it.
#ifndef FT_TOKENIZER_NFC_H
#define FT_TOKENIZER_NFC_H

#include "tokenizer/rewrite.h"

// Code points of the stretch at hand; initialised to {0}, reused.
typedef struct {
    uint64_t *items;       // combining class << 56 | position << 24 | code point
    size_t n, capacity;
} ft_nfc_work;

void ft_nfc_work_free(ft_nfc_work *work);
// *out: the normalized piece, `in` itself if nothing changes, else in `rewrite`. A stretch that changes stands as a whole for
// its source. Bytes that are not UTF-8 stay and separate what is around them.
ft_status ft_nfc(const ft_piece *in, bool mapped, ft_rewrite *rewrite, ft_nfc_work *work, ft_piece *out);

#endif
