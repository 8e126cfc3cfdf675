#include "bench/step_run.h"

#include <time.h>

#include "common/log.h"

enum { MAX_REPEAT = 31, WARM_UP_CPU = 1, WARM_UP_CUDA = 3 };

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static ft_status warm_up(ft_bench_training *t, ft_step_measured *m)
{
    bool cpu = ft_device_get_info(t->session.device)->kind == FT_DEVICE_CPU;
    int steps = t->options->warm_up >= 0 ? t->options->warm_up : cpu ? WARM_UP_CPU : WARM_UP_CUDA;
    FT_TRY(ft_bench_training_announce(t, steps));
    for (int i = 0; i < steps; i++) FT_TRY(ft_bench_training_step(t, &m->loss));
    return FT_OK;
}

static void take_moved(ft_step_measured *m, const ft_streamer_stats *before, const ft_streamer_stats *after, int steps)
{
    m->bytes_h2d = (double)(after->bytes_h2d - before->bytes_h2d) / steps;
    m->bytes_d2h = (double)(after->bytes_d2h - before->bytes_d2h) / steps;
    m->bytes_nvme = (double)(after->bytes_nvme_read - before->bytes_nvme_read + after->bytes_nvme_written - before->bytes_nvme_written) / steps;
}

// The steps before and those measured are announced apart, so that what the latter move is theirs to the byte.
ft_status ft_step_run(ft_bench_training *t, ft_step_measured *m)
{
    double seconds[MAX_REPEAT], cpu[MAX_REPEAT];
    int repeat = t->options->repeat < MAX_REPEAT ? t->options->repeat : MAX_REPEAT;
    ft_streamer_stats before, after;
    *m = (ft_step_measured){.tokens = t->tokens * t->n_batches};
    FT_TRY(warm_up(t, m));
    ft_streamer_get_stats(ft_model_streamer(t->model), &before);
    FT_TRY(ft_bench_training_announce(t, repeat));
    for (int i = 0; i < repeat; i++) {
        FT_TRY(ft_meter_step_begin(ft_model_meter(t->model), ft_model_queue(t->model)));
        double start = ft_now_s(), cpu_start = cpu_seconds();
        FT_TRY(ft_bench_training_step(t, &m->loss));
        seconds[i] = ft_now_s() - start;
        cpu[i] = cpu_seconds() - cpu_start;
        FT_TRY(ft_meter_step_end(ft_model_meter(t->model), ft_model_queue(t->model), NULL));
    }
    ft_streamer_get_stats(ft_model_streamer(t->model), &after);
    take_moved(m, &before, &after, repeat);
    FT_TRY(ft_meter_median(ft_model_meter(t->model), &m->spent));
    m->pinned_bytes = ft_pool_used(ft_model_pool(t->model));
    m->seconds = ft_bench_median(seconds, repeat);  // sorts
    m->cpu_seconds = ft_bench_median(cpu, repeat);
    m->least_seconds = seconds[0];
    m->most_seconds = seconds[repeat - 1];
    return FT_OK;
}
