#include "bench/link_series.h"

#include "bench/probes.h"
#include "common/log.h"

static ft_status warm_up(ft_link_series *series, int n)
{
    double rate;
    for (int i = 0; i < n; i++) {
        if (series[i].call == NULL) continue;
        ft_status status = series[i].call(series[i].context, &rate);
        if (status == FT_E_NOT_FOUND && series[i].optional) {
            ft_warn("%s", ft_error_message());
            series[i].call = NULL;
        } else {
            FT_TRY(status);
        }
    }
    return FT_OK;
}

ft_status ft_link_measure(ft_link_series *series, int n, int repeat)
{
    if (repeat > FT_LINK_MOST_REPEAT) repeat = FT_LINK_MOST_REPEAT;
    FT_TRY(warm_up(series, n));
    for (int round = 0; round < repeat; round++)
        for (int i = 0; i < n; i++)
            if (series[i].call) FT_TRY(series[i].call(series[i].context, &series[i].rate[round]));
    for (int i = 0; i < n; i++) series[i].median = series[i].call ? ft_bench_median(series[i].rate, repeat) : 0;
    return FT_OK;
}
