// The integrity of weights in use. Every stripe is verified when it is first read (streamer_stripe.c); from then on some are
// checked again in every step, and all of them in a step whose state is to be kept.
//
// A step checks `stripes` of the store's n stripes, spread over the layers, and comes round to each of them every
// ceil(n / stripes) steps. Where:
//   streamed layers    in their slot on the device, on the compute queue, after a group was used and before it is released: what
//                      drive, host memory, link and device memory made of it. Where the plan expects compute to bind, the host
//                      looks instead: the drive's thread at the stripe's next read, a thread of low priority at host memory.
//   resident records   on the device, at the end of the step
//   embedding          in host memory, by that thread; rows that are read from the drives are not checked again
// With ft_streamer_verify_all every stripe is checked in the step, streamed ones on the device and in the last visit of their
// layer: what went bad at any time before, and stayed bad, is found.
// Hashes made on the device come to the host with the step's result and are compared there: the host waits for nothing more.
//
// A mismatch is read once more, from host memory or the drive, to tell who is at fault: the drive's file, host memory, or the way
// to the device. Then the streamer stops: FT_E_CORRUPT names drive, file and offset, and ft_streamer_suspect is true, since
// what was computed after the stripe was last seen to hold may be wrong.
//
// All functions are called from the streamer's caller's thread. Random stores have no hashes: nothing is checked there.
#ifndef FT_OFFLOAD_STREAMER_VERIFY_H
#define FT_OFFLOAD_STREAMER_VERIFY_H

#include "offload/streamer.h"

typedef struct {
    int64_t stripes;             // of a step, above 0
    const ft_ops *ops;           // of the streamer's device
    void *device, *host;         // ft_verify_bytes each, of the device and of the pool
} ft_verify_options;

// Room for the hash of every stripe of the layout.
int64_t ft_verify_bytes(const ft_layout *layout);
// Right after ft_streamer_open. What it takes goes with the streamer.
ft_status ft_streamer_verify_open(ft_streamer *streamer, const ft_verify_options *options);
// Steps until every stripe was checked once; 0 where nothing is checked.
int64_t ft_streamer_verify_steps(const ft_streamer *streamer);

// The next step (or evaluation) checks every stripe.
void ft_streamer_verify_all(ft_streamer *streamer);
// Before the first acquire of a step of `sweeps` announced sweeps. A step that was dropped needs no end. These do nothing
// without ft_streamer_verify_open.
void ft_streamer_verify_begin(ft_streamer *streamer, int64_t sweeps);
// After the step's last release: queues what is left, and the copy of the hashes to the host.
ft_status ft_streamer_verify_collect(ft_streamer *streamer, ft_queue *queue);
// After `queue` was synchronised. FT_E_CORRUPT if a stripe is not what it was.
ft_status ft_streamer_verify_end(ft_streamer *streamer);
// A stripe that had been used was found changed: no state since the last step that checked all is to be trusted.
bool ft_streamer_suspect(const ft_streamer *streamer);

#endif
