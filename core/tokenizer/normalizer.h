// Normalizers of tokenizer.json, applied to a piece of text in order, and Metaspace, which is one that the file calls a
// pre-tokenizer.
#ifndef FT_TOKENIZER_NORMALIZER_H
#define FT_TOKENIZER_NORMALIZER_H

#include "tokenizer/nfc.h"
#include "tokenizer/rewrite.h"

#define FT_NORMALIZER_STEPS 8
#define FT_METASPACE "\xE2\x96\x81"  // U+2581, which stands for a space in SentencePiece vocabularies
#define FT_METASPACE_BYTES 3

typedef enum { FT_NORMALIZE_NFC, FT_NORMALIZE_PREPEND, FT_NORMALIZE_REPLACE } ft_normalize_kind;

typedef struct {
    ft_normalize_kind kind;
    char *from, *to;         // REPLACE: every `from` by `to`; PREPEND: `to` before a text that is not empty
} ft_normalize_step;

typedef struct {
    ft_normalize_step steps[FT_NORMALIZER_STEPS];
    int n;
} ft_normalizer;

// Copies the strings. FT_E_UNSUPPORTED for one step too many or an empty `from`.
ft_status ft_normalizer_add(ft_normalizer *normalizer, ft_normalize_kind kind, const char *from, const char *to);
void ft_normalizer_free(ft_normalizer *normalizer);

// Scratch of one thread; initialised to {0}.
typedef struct {
    ft_rewrite text[2];
    ft_nfc_work nfc;
} ft_normalize_work;

void ft_normalize_work_free(ft_normalize_work *work);
// *out lies in `in` or in the scratch; its offsets are right only if `mapped`.
ft_status ft_normalize(const ft_normalizer *normalizer, ft_normalize_work *work, const ft_piece *in, bool mapped,
                       ft_piece *out);

// Spaces become U+2581, and one is put in front: never, always, or at the very start of a text; not before one that is there.
typedef enum { FT_METASPACE_OFF, FT_METASPACE_NEVER, FT_METASPACE_FIRST, FT_METASPACE_ALWAYS } ft_metaspace_kind;
ft_status ft_metaspace(ft_metaspace_kind kind, const ft_piece *in, bool first, bool mapped, ft_rewrite *rewrite, ft_piece *out);

#endif
