// A store without drives whose records are made up: random weights of any shape, for benchmarks of models that are nowhere on
// disk. Nothing can be streamed from it: the plan must keep every record on the device or in host memory.
#ifndef FT_OFFLOAD_STORE_RANDOM_H
#define FT_OFFLOAD_STORE_RANDOM_H

#include "offload/store.h"

// Every record in the given format; ft_store_close frees it.
ft_status ft_store_open_random(ft_store **store, const ft_shape *shape, ft_base_format format, uint64_t seed);
// Whether `store` is such a store.
bool ft_store_is_random(const ft_store *store);
// Writes bytes [begin, begin + bytes) of a record: matrices normal with deviation 0.02 (E4M3: codes of a normal over tile
// scales), norm weights 1, biases 0. Multiples of 4 KiB; any split gives the same bytes. Runs on the pool of threads.
void ft_store_random_fill(const ft_store *store, int record, int64_t begin, int64_t bytes, void *dst);

#endif
