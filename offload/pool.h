// Host memory for streaming: anonymous slabs of at most 1 GiB on one NUMA node, touched before use, made known to the device
// (fast copies) and to the drives (registered buffers). One pool per node; pieces are handed out once, before step 0.
// The pool is one contiguous range; slabs are what it is registered by, since drivers bound the size of one registration. It is
// not inherited by child processes and not part of core dumps.
#ifndef FT_OFFLOAD_POOL_H
#define FT_OFFLOAD_POOL_H

#include "device/device.h"
#include "io/drive.h"

typedef struct ft_pool ft_pool;

// bytes is rounded up to 2 MiB. numa_node -1 = anywhere. FT_E_INPUT if the machine (cgroup included) cannot give it: what is
// short by how many bytes. Huge pages of the administrator's pool where it has enough, else by madvise; what was refused is said
// once, what a large pool got in one line. Pages are touched, and slabs registered, by all threads.
ft_status ft_pool_create(ft_pool **pool, ft_device *device, int64_t bytes, int numa_node);
void ft_pool_destroy(ft_pool *pool);
// A zeroed piece of `bytes`, 4 KiB-aligned and contiguous; it takes `bytes` rounded up to 4 KiB. Running out asserts.
void *ft_pool_take(ft_pool *pool, int64_t bytes);
#define FT_POOL_SLAB ((int64_t)1 << 30)
// Bytes at `address` that belong to the same slab, at most `bytes`: a device copy must not cross two registrations, so copies
// of pool memory are cut here. An address outside the pool gives `bytes`.
int64_t ft_pool_run(const ft_pool *pool, const void *address, int64_t bytes);
// Registers every slab with a drive's engine. A transfer across two slabs goes through unregistered, at its old speed.
ft_status ft_pool_register(ft_pool *pool, ft_drive *drive);
int64_t ft_pool_bytes(const ft_pool *pool);
int64_t ft_pool_used(const ft_pool *pool);

#endif
