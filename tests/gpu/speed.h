// Speed of ops that memory bounds: bytes a second beside what a copy reaches in the same program.
#ifndef TESTS_GPU_SPEED_H
#define TESTS_GPU_SPEED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/gpu.h"

typedef struct {
    void *dst, *src;
    int64_t bytes;
} t_copy;

static inline void t_run_copy(void *context)
{
    t_copy *copy = context;
    assert_int_equal(ft_copy_d2d(t_queue(), copy->dst, copy->src, copy->bytes), FT_OK);
}

// Bytes read and written a second by a copy.
static inline double t_copy_rate(void)
{
    t_copy copy = {.bytes = (int64_t)256 << 20};
    copy.dst = t_device(copy.bytes);
    copy.src = t_device(copy.bytes);
    return 2.0 * (double)copy.bytes / t_time(t_run_copy, &copy, 20);
}

// Whether a low rate is a failure: not under a sanitizer, which sets FT_TEST_SPEED=0.
static inline bool t_speed_counts(void)
{
    const char *speed = getenv("FT_TEST_SPEED");
    return speed == NULL || strcmp(speed, "0") != 0;
}

// Prints bytes / seconds and its share of the copy's rate; fails below `least` of it.
static inline void t_check_rate(const char *what, double bytes, double seconds, double copy_rate, double least)
{
    double rate = bytes / seconds;
    printf("  %-60s %8.1f us, %7.1f GB/s, %.0f %% of a copy's %.1f\n", what, seconds * 1e6, rate * 1e-9, 100 * rate / copy_rate,
           copy_rate * 1e-9);
    if (t_speed_counts() && rate < least * copy_rate) fail_msg("%s: %.1f GB/s is below %.0f %% of a copy's rate", what, rate * 1e-9, 100 * least);
}

#endif
