// ft-bench ops: the ops that memory bounds, each over at least --bytes of traffic, beside the rate of a device-to-device copy of
// the same run. What an op counts as traffic is its least (bench/op_cost.h): every operand once.
#include <stdio.h>

#include "bench/op_rows.h"
#include "bench/probes.h"

static const int64_t bytes_cuda = (int64_t)512 << 20, bytes_cpu = (int64_t)32 << 20;

static ft_status measure_row(ft_rig *rig, const ft_op_row *r, const ft_shape *shape, int64_t bytes, int repeat, double copy, ft_bench_report *report)
{
    ft_op_case c = {.shape = shape, .wanted = bytes, .twin = r->twin};
    double seconds = 0;
    char name[128];
    ft_status status = r->make(rig, &c);
    if (status == FT_OK) status = ft_rig_time(rig, r->run, &c, repeat, &seconds);
    ft_rig_free(rig);
    FT_TRY(status);
    bool known = r->op < FT_OP_COUNT;
    snprintf(name, sizeof name, "%s%s%s [%s]", known ? ft_op_table[r->op].name : "", known && r->variant[0] ? " " : "", r->variant, c.text);
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "GB/s", .value = c.traffic / seconds / 1e9, .bound_name = "copy",
                                                   .bound = copy / 1e9});
    return FT_OK;
}

static ft_status measure_rows(ft_rig *rig, const ft_op_row *rows, const ft_shape *shape, int64_t bytes, int repeat, double copy, ft_bench_report *report)
{
    for (const ft_op_row *r = rows; r->make; r++)
        if (!(r->twin && rig->ops->kind == FT_DEVICE_CPU)) FT_TRY(measure_row(rig, r, shape, bytes, repeat, copy, report));
    return FT_OK;
}

static ft_status measure(ft_rig *rig, const ft_shape *shape, const ft_bench_options *o, ft_bench_report *report)
{
    int64_t bytes = o->bytes > 0 ? o->bytes : rig->ops->kind == FT_DEVICE_CPU ? bytes_cpu : bytes_cuda;
    double copy;
    FT_TRY(rig->ops->open(rig->queue, &(ft_ops_options){.train = true}));
    FT_TRY(ft_rig_copy_rate(rig, bytes / 2, o->repeat, &copy));
    ft_rig_free(rig);
    ft_bench_report_add(report, &(ft_bench_result){.name = "copy", .unit = "GB/s", .value = copy / 1e9});
    FT_TRY(measure_rows(rig, ft_op_rows_layer, shape, bytes, o->repeat, copy, report));
    return measure_rows(rig, ft_op_rows_state, shape, bytes, o->repeat, copy, report);
}

ft_status ft_bench_ops(const ft_bench_options *options, ft_bench_report *report)
{
    ft_shape shape;
    ft_rig rig;
    FT_TRY(ft_bench_shape(&shape, options));
    FT_TRY(ft_rig_open(&rig, options->device));
    ft_bench_report_device(report, ft_device_get_info(rig.device));
    ft_status status = measure(&rig, &shape, options, report);
    ft_rig_close(&rig);
    return status;
}
