// ft-bench io: NVMe -> host through our drives, beside fio with the same transfers, alternated.
#include <stdio.h>

#include "bench/link_drives.h"
#include "bench/link_series.h"

static ft_status measure(const ft_bench_options *options, ft_bench_report *report, ft_link_drives *drives)
{
    ft_link_series series[] = {{.call = ft_link_drives_read, .context = drives}, {.call = ft_link_drives_fio, .context = drives, .optional = true}};
    FT_TRY(ft_link_drives_use(drives, options->chunk, options->depth));
    FT_TRY(ft_link_measure(series, 2, options->repeat));
    ft_bench_report_add(report, &(ft_bench_result){.name = "nvme to host", .unit = "GB/s", .value = series[0].median / 1e9,
                                                   .peer_name = series[1].median > 0 ? "fio" : NULL, .peer_value = series[1].median / 1e9});
    if (!report->json) printf("  engine %s, %lld KiB chunks, depth %d, %d drive(s)\n", ft_link_drives_engine(drives), (long long)options->chunk / 1024, options->depth, options->n_nvme);
    return FT_OK;
}

ft_status ft_bench_io(const ft_bench_options *options, ft_bench_report *report)
{
    ft_device *device;
    ft_link_drives *drives = NULL;
    FT_TRY(ft_device_open(&device, "cpu", 0));
    ft_status status = ft_link_drives_open(&drives, options, device, options->chunk, options->depth);
    if (status == FT_OK) status = measure(options, report, drives);
    ft_link_drives_close(drives);
    ft_device_close(device);
    return status;
}
