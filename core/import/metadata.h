// Typed access to GGUF metadata, with errors that name file and key.
#ifndef FT_IMPORT_METADATA_H
#define FT_IMPORT_METADATA_H

#include "io/gguf.h"

typedef struct {
    const ft_gguf *file;
    const char *prefix;  // "llama" for "llama.block_count"
} ft_metadata;

#define FT_METADATA_KEY 128
// Length and bytes of a text, for "%.*s" in a message.
#define FT_GGUF_SHOWN(text) (int)((text).bytes < 64 ? (text).bytes : 64), (text).data

const ft_gguf_value *ft_metadata_find(const ft_metadata *data, const char *name);  // NULL if absent
// A whole number from 1 to 2^31 - 1, scalar. FT_E_INPUT if it is absent or anything else.
ft_status ft_metadata_count(const ft_metadata *data, const char *name, int64_t *value);
// The same; an absent one gives `fallback`.
ft_status ft_metadata_count_or(const ft_metadata *data, const char *name, int64_t fallback, int64_t *value);
// A finite number above 0, as the shortest decimal that has the same float32 (1e-5 and not 9.99999975e-06).
ft_status ft_metadata_real(const ft_metadata *data, const char *name, double *value);
ft_status ft_metadata_real_or(const ft_metadata *data, const char *name, double fallback, double *value);
ft_status ft_metadata_bool_or(const ft_metadata *data, const char *name, bool fallback, bool *value);
// data NULL if absent.
ft_status ft_metadata_text(const ft_metadata *data, const char *name, ft_gguf_text *value);
// A token id below `n`; -1 if absent.
ft_status ft_metadata_token(const ft_metadata *data, const char *name, int64_t n, int32_t *value);

#endif
