// The host's side of streamer_verify.c: a thread of low priority that hashes stripes where they lie in host memory, and the
// second look at a stripe that was wrong on the device. Not for use outside the streamer.
#ifndef FT_OFFLOAD_STREAMER_SCRUB_H
#define FT_OFFLOAD_STREAMER_SCRUB_H

#include "offload/store.h"

struct ft_streamer;
typedef struct ft_scrub ft_scrub;

ft_status ft_scrub_open(ft_scrub **scrub, struct ft_streamer *streamer);
void ft_scrub_close(ft_scrub *scrub);  // after the streamer's stop was set; NULL is accepted
// A round: stripes are added while the thread rests, then it is started and waited for.
void ft_scrub_add(ft_scrub *scrub, int32_t stripe);
void ft_scrub_start(ft_scrub *scrub);
void ft_scrub_wait(ft_scrub *scrub);
// The error of a stripe that was wrong on the device: FT_E_CORRUPT, or FT_E_IO where its drive no longer answers.
ft_status ft_scrub_diagnose(struct ft_streamer *streamer, const ft_stripe *stripe);

#endif
