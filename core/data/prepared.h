// Tokenized datasets kept between runs (dataset_prepared_path): DIRECTORY/<key>/tokens.
//
// The key is the XXH3-128 of everything that decides the tokens: layout version, the tokenizer's file, special tokens and own chat
// template, the keys of the run about records and lengths, val_set_size, seed, and of every dataset its keys (all but the weight)
// and the names and bytes of its files. What is found under a key is therefore never stale; other keys' entries are left alone.
#ifndef FT_DATA_PREPARED_H
#define FT_DATA_PREPARED_H

#include "data/dataset.h"
#include "io/hash.h"

// Reads all dataset files once. FT_E_IO if one cannot be read.
ft_status ft_prepared_key(const ft_config *config, const ft_tokenizer *tokenizer, ft_hash128 *key);
// *found: the entry was there, whole and its hash right, and *dataset (empty before) holds it. A damaged entry is reported as a
// warning and is not found.
ft_status ft_prepared_read(const char *directory, ft_hash128 key, ft_dataset *dataset, bool *found);
// Writes the entry, replacing an older one, atomically; makes the directory if needed.
ft_status ft_prepared_write(const char *directory, ft_hash128 key, const ft_dataset *dataset);

#endif
