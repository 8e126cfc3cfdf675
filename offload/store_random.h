// Stores whose records are made up: random weights of any shape, for benchmarks of models that are nowhere on disk. One without
// drives makes records where they shall live: the plan must keep every one on the device or in host memory. On drives it is a
// store like any other, of the same bytes.
#ifndef FT_OFFLOAD_STORE_RANDOM_H
#define FT_OFFLOAD_STORE_RANDOM_H

#include "offload/store.h"

// Without drives, every record in the given format; ft_store_close frees it.
ft_status ft_store_open_random(ft_store **store, const ft_shape *shape, ft_base_format format, uint64_t seed);
// Whether `store` is one without drives.
bool ft_store_is_random(const ft_store *store);
// Writes bytes [begin, begin + bytes) of a record: matrices normal with deviation 0.02 (E4M3: codes of a normal over tile
// scales), norm weights 1, biases 0. Multiples of 4 KiB; any split gives the same bytes. Runs on the pool of threads.
void ft_store_random_fill(const ft_store *store, int record, int64_t begin, int64_t bytes, void *dst);

// Writes such a store to the drives of `options`, at the speed of the drives or of all threads, unless it is there: the shape of
// a config.json's text, options->format, and the seed make its id. ft_store_open with that id and no model directory opens it;
// `store list` shows "random weights ..." as its source. An interrupted build continues. *made: this call made or finished it.
// FT_E_UNSUPPORTED for a shape that is not bf16; else as ft_store_prepare.
ft_status ft_store_prepare_random(const char *config, uint64_t seed, const ft_store_options *options, const volatile int *cancel,
                                  char id[FT_HASH_TEXT], bool *made);
ft_status ft_store_random_id(const char *config, ft_base_format format, uint64_t seed, char id[FT_HASH_TEXT]);

#endif
