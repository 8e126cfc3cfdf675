// Figures measured in turn: every series once per round, so that a machine whose speed drifts slows what is compared alike.
#ifndef FT_BENCH_LINK_SERIES_H
#define FT_BENCH_LINK_SERIES_H

#include "common/status.h"

enum { FT_LINK_MOST_REPEAT = 31 };

// One measurement: bytes per second.
typedef ft_status (*ft_link_call)(void *context, double *rate);

typedef struct {
    ft_link_call call;
    void *context;
    bool optional;  // a peer: if it is not to be found here, that is said and the series left out
    double rate[FT_LINK_MOST_REPEAT];
    double median;  // 0 = left out
} ft_link_series;

// A round that is not counted, then `repeat` that are. A series without a call is left out.
ft_status ft_link_measure(ft_link_series *series, int n, int repeat);

#endif
