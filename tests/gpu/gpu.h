// What the tests of the CUDA ops share: one device, one compute queue, memory that poisons what is not written, and comparison
// with float64 references. Everything goes through ft_device, ft_queue and ft_ops. A failing call of those ends the program
// with its message; without a GPU the program ends with 77 (skipped).
#ifndef TESTS_GPU_GPU_H
#define TESTS_GPU_GPU_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/ops.h"

ft_queue *t_queue(void);                       // the program's compute queue on device cuda:0
const ft_ops *t_ops(void);                     // the CUDA row
void t_open(const ft_ops_options *options);    // t_ops()->open on t_queue()

// Device memory filled with 0xFF bytes: NaN as bf16, float and double, so that an output nobody wrote shows.
void *t_device(int64_t bytes);
void *t_upload(const void *host, int64_t bytes);
void t_download(void *host, const void *device, int64_t bytes);   // after all work of t_queue()
void t_sync(void);
void t_free(void);                             // end of a case: frees all memory the calls here gave out

float *t_random(int64_t n, float scale, uint64_t seed);           // host: scale * N(0, 1), already rounded to bf16
ft_bf16 *t_bf16(const float *values, int64_t n);                  // host, rounded
void *t_upload_bf16(const float *values, int64_t n);
float *t_download_bf16(const void *device, int64_t n);            // host floats

double t_error(const float *got, const double *want, int64_t n);  // ||got-want|| / ||want||; NaN or Inf -> INFINITY
// Prints `what` and the error; above the tolerance also the first wrong and the worst values with their indices, and fails.
void t_check(const char *what, const float *got, const double *want, int64_t n, double tolerance);

// Seconds of one run on t_queue(): the median of `repeat` runs timed by events, after three warm-ups.
double t_time(void (*run)(void *context), void *context, int repeat);

#endif
