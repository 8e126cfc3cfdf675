// How well a streamed step uses the link: the bytes it moved a second beside what independent copies reach while the step's own
// products run, and what such copies cost the products.
//
// The products are played back to back in the step's proportions: alone, with copies host -> device, with copies in both
// directions, in turn, since a chip at its power limit slows down over seconds. The copies hang on nothing: pieces of 16 MiB out of 2 GiB
// of pinned memory a direction, on a queue and a thread of their own.
#ifndef FT_BENCH_STEP_LINKS_H
#define FT_BENCH_STEP_LINKS_H

#include "bench/result.h"
#include "bench/step_bound.h"

// What a step moved. The rate over the whole step counts what the link cannot help: the turn of a sweep, where every slot holds a layer
// that is used next. The rate while copies were under way does not.
typedef struct {
    double seconds;                  // of the step
    double bytes_h2d, bytes_d2h;
    double busy_h2d_s, busy_d2h_s;   // copies were under way (offload/meter.h); 0 = unknown
} ft_step_traffic;

typedef struct {
    double gemm_alone, gemm_h2d, gemm_both;  // FLOP/s: alone, beside each
    double h2d_alone, both_alone;            // bytes/s without products; both: the sum
    double h2d, both;                        // beside the products
    double loss_h2d, loss_both;              // share of the products' rate that copies cost
} ft_step_links;

// Medians over rounds, about ten seconds on CUDA. The model is closed; host memory has room for 4 GiB (CPU device: 512 MiB). Products
// that do not fit onto the device beside the others are left out, which is said.
ft_status ft_step_links_measure(ft_rig *rig, const ft_step_work *work, ft_step_links *links);
void ft_step_links_add(ft_bench_report *report, const ft_step_links *links, const ft_step_traffic *step);

#endif
