#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/probes.h"
#include "common/memory.h"
#include "common/rng.h"

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ft_bench_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

#define BLOCK (4 << 20)

// One random block; each block of the file is it with its number mixed in, which no storage can guess or deduplicate cheaply.
static void fill_block(uint64_t *words, const uint64_t *random, int64_t number)
{
    uint64_t mix = (uint64_t)(number + 1) * 0x9E3779B97F4A7C15ull;
    for (size_t i = 0; i < BLOCK / 8; i++) words[i] = random[i] ^ mix;
}

ft_status ft_bench_random_file(const char *path, int64_t bytes, uint64_t seed)
{
    uint64_t *words = ft_malloc(2 * BLOCK), *random = words ? words + BLOCK / 8 : NULL;
    FT_ALLOC_CHECK(words);
    for (uint32_t i = 0; i < BLOCK / 16; i++) {
        ft_rng_block block = ft_rng(seed, FT_RNG_DATA, i, 0, 0, 0);
        memcpy(&random[2 * (size_t)i], &block, sizeof block);
    }
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    ft_status status = fd < 0 ? ft_error_errno(FT_E_INPUT, errno, "%s: cannot be written", path) : FT_OK;
    for (int64_t at = 0; at < bytes && status == FT_OK; at += BLOCK) {
        fill_block(words, random, at / BLOCK);
        if (write(fd, words, BLOCK) != BLOCK) status = ft_error_errno(FT_E_IO, errno, "%s: cannot be written", path);
    }
    if (status == FT_OK && fsync(fd) != 0) status = ft_error_errno(FT_E_IO, errno, "%s: fsync", path);
    if (fd >= 0) close(fd);
    ft_free(words);
    return status;
}
