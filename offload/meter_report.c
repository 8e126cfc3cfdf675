// The meter's table for people: planned beside measured, and who kept the compute waiting.
#include <math.h>

#include "offload/meter.h"

// Differences worth a line: of the planned time, and of the step.
#define WORTH 0.10
#define WORTH_OF_STEP 0.01
#define GIGA 1e9

typedef struct {
    ft_resource resource;
    double planned_s, measured_s;
    double planned, measured;   // bytes; FLOPs for compute
} report_row;

static int64_t drive_bytes(const ft_meter_drive *drive)
{
    return drive->bytes_read + drive->bytes_written;
}

static report_row row_of(const ft_plan *plan, const ft_meter_step *s, ft_resource r)
{
    report_row row = {.resource = r, .planned_s = ft_plan_step_seconds(plan, r), .planned = (double)ft_plan_step_bytes(plan, r)};
    switch (r) {
    case FT_RESOURCE_H2D: row.measured_s = s->h2d_s, row.measured = (double)s->h2d_bytes; break;
    case FT_RESOURCE_D2H: row.measured_s = s->d2h_s, row.measured = (double)s->d2h_bytes; break;
    case FT_RESOURCE_NVME:
        row.measured_s = s->nvme_s;
        for (int d = 0; d < s->n_drives; d++) row.measured += (double)drive_bytes(&s->drive[d]);
        break;
    default:
        row.planned_s += ft_plan_full_sweeps(plan) * (plan->embed_seconds + plan->head_seconds) + plan->optimizer_seconds;
        row.measured_s = s->compute_s;
        row.measured = row.planned;  // the same work
        break;
    }
    return row;
}

static bool is_used(const report_row *row)
{
    return row->planned_s > 0 || row->measured_s > 0;
}

static double rate(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

// --- Resources --------------------------------------------------------------------------------------------------------------
static ft_status print_row(const report_row *row, const ft_meter_step *s, ft_text *out)
{
    double share = 100 * row->measured_s / s->wall_s;
    FT_TRY(ft_text_printf(out, "%-9s %11.4f %11.4f %7.1f %%", ft_resource_name(row->resource), row->planned_s, row->measured_s, share));
    if (row->resource == FT_RESOURCE_COMPUTE) return ft_text_puts(out, "\n");
    return ft_text_printf(out, " %11.3f %11.3f %11.2f %11.2f\n", row->planned / GIGA, row->measured / GIGA,
                          rate(row->planned, row->planned_s) / GIGA, rate(row->measured, row->measured_s) / GIGA);
}

static ft_status print_resources(const ft_plan *plan, const ft_meter_step *s, int64_t steps, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "A step took %.4f s (median of %lld), planned %.4f s\n", s->wall_s, (long long)steps, plan->step_seconds));
    FT_TRY(ft_text_printf(out, "%-9s %11s %11s %9s %11s %11s %11s %11s\n", "", "planned s", "busy s", "of step", "planned GB", "moved GB",
                          "planned GB/s", "GB/s busy"));
    for (int r = FT_RESOURCE_COMPUTE; r <= FT_RESOURCE_NVME; r++) {
        report_row row = row_of(plan, s, (ft_resource)r);
        if (is_used(&row)) FT_TRY(print_row(&row, s, out));
    }
    return FT_OK;
}

// --- Explanations -----------------------------------------------------------------------------------------------------------
// The drive with the lowest rate, -1 if none moved anything.
static int slowest_drive(const ft_meter_step *s)
{
    int slowest = -1;
    double lowest = INFINITY;
    for (int d = 0; d < s->n_drives; d++) {
        double r = rate((double)drive_bytes(&s->drive[d]), s->drive[d].busy_s);
        if (drive_bytes(&s->drive[d]) == 0 || r >= lowest) continue;
        lowest = r;
        slowest = d;
    }
    return slowest;
}

static ft_status explain_compute(const report_row *row, ft_text *out)
{
    double tera = row->planned / 1e12;
    bool slower = row->measured_s > row->planned_s;
    return ft_text_printf(out, "compute: %.4g TFLOP/s over all of it, planned %.4g: %s\n", rate(tera, row->measured_s), rate(tera, row->planned_s),
                          slower ? "products ran below their calibrated rate (power, clock, sizes), or what lies between them takes longer"
                                 : "faster than the machine's rates say");
}

static ft_status explain_drives(const ft_meter *meter, const ft_plan *plan, const ft_meter_step *s, const report_row *row, ft_text *out)
{
    int slowest = slowest_drive(s);
    if (slowest < 0) return ft_text_puts(out, "nvme: nothing was read\n");
    if (row->measured_s < row->planned_s) return ft_text_puts(out, "nvme: faster than the machine's rates say\n");
    const ft_meter_drive *drive = &s->drive[slowest];
    return ft_text_printf(out, "nvme: drive %s delivered %.2f GB/s, planned %.2f%s\n", ft_meter_drive_name(meter, slowest),
                          rate((double)drive_bytes(drive), drive->busy_s) / GIGA, plan->machine.nvme_read / GIGA,
                          s->stall_nvme_s < WORTH_OF_STEP * s->wall_s ? "; the compute hardly waited for it" : "");
}

static ft_status explain_link(const report_row *row, const ft_meter_step *s, ft_text *out)
{
    const char *name = ft_resource_name(row->resource);
    if (fabs(row->measured - row->planned) > WORTH * row->planned)
        return ft_text_printf(out, "%s: moved %.3f GB, planned %.3f\n", name, row->measured / GIGA, row->planned / GIGA);
    if (row->measured_s < row->planned_s) return ft_text_printf(out, "%s: faster than the machine's rates say\n", name);
    bool shared = s->h2d_s > 0 && s->d2h_s > WORTH_OF_STEP * s->wall_s;
    return ft_text_printf(out, "%s: %.2f GB/s, planned %.2f%s\n", name, rate(row->measured, row->measured_s) / GIGA,
                          rate(row->planned, row->planned_s) / GIGA,
                          shared            ? ": both directions were busy, and share host memory"
                          : s->nvme_s > 0   ? ": the drives write to host memory meanwhile"
                                            : ": the link or host memory is slower than calibrated, or in use by others");
}

static ft_status explain(const ft_meter *meter, const ft_plan *plan, const ft_meter_step *s, const report_row *row, ft_text *out)
{
    double gap = fabs(row->measured_s - row->planned_s);
    if (gap <= WORTH * row->planned_s || gap < WORTH_OF_STEP * s->wall_s) return FT_OK;
    if (row->resource == FT_RESOURCE_COMPUTE) return explain_compute(row, out);
    return row->resource == FT_RESOURCE_NVME ? explain_drives(meter, plan, s, row, out) : explain_link(row, s, out);
}

// What is neither work nor a stall, and whether the link had time left.
static ft_status explain_idle(const ft_meter_step *s, ft_text *out)
{
    double idle = s->wall_s - s->compute_s - s->stall_s;
    if (idle > WORTH * s->wall_s)
        FT_TRY(ft_text_printf(out, "compute: idle for %.1f %% of the step and waiting for nothing: the host was late, or the optimizer and the reading of results\n",
                              100 * idle / s->wall_s));
    if (s->h2d_s > 0 && s->h2d_s < (1 - WORTH) * s->wall_s && s->stall_s < WORTH_OF_STEP * s->wall_s)
        FT_TRY(ft_text_printf(out, "h2d: idle for %.1f %% of the step: copies waited for slots, the run is bound by compute\n",
                              100 - 100 * s->h2d_s / s->wall_s));
    if (s->dropped > 0) FT_TRY(ft_text_printf(out, "meter: %lld spans a step had no place and are missing above\n", (long long)s->dropped));
    return FT_OK;
}

// --- Stalls -----------------------------------------------------------------------------------------------------------------
static ft_status print_stall(const char *cause, double seconds, const ft_meter_step *s, ft_text *out)
{
    return ft_text_printf(out, "%-9s %11.4f %7.1f %%\n", cause, seconds, 100 * seconds / s->wall_s);
}

static ft_status print_drive(const ft_meter *meter, const ft_meter_step *s, int d, ft_text *out)
{
    const ft_meter_drive *drive = &s->drive[d];
    return ft_text_printf(out, "%-9s %11.4f %7.1f %%   %.2f GB/s, busy %.1f %%, slowest transfer %.1f ms  %s\n", "drive", drive->stall_s,
                          100 * drive->stall_s / s->wall_s, rate((double)drive_bytes(drive), drive->busy_s) / GIGA,
                          100 * drive->busy_s / s->wall_s, 1e3 * drive->slowest_s, ft_meter_drive_name(meter, d));
}

static ft_status print_stalls(const ft_meter *meter, const ft_meter_step *s, ft_text *out)
{
    if (s->h2d_s == 0 && s->d2h_s == 0 && s->nvme_s == 0) return FT_OK;
    FT_TRY(ft_text_printf(out, "The compute waited %.4f s a step (%.1f %%)\n", s->stall_s, 100 * s->stall_s / s->wall_s));
    FT_TRY(print_stall("h2d", s->stall_h2d_s, s, out));
    if (s->stall_spill_s > 0) FT_TRY(print_stall("spill", s->stall_spill_s, s, out));
    for (int d = 0; d < s->n_drives; d++)
        if (drive_bytes(&s->drive[d]) > 0) FT_TRY(print_drive(meter, s, d, out));
    return FT_OK;
}

ft_status ft_meter_report(const ft_meter *meter, const ft_plan *plan, ft_text *out)
{
    ft_meter_step s;
    FT_TRY(ft_meter_median(meter, &s));
    FT_TRY(print_resources(plan, &s, ft_meter_steps(meter), out));
    for (int r = FT_RESOURCE_COMPUTE; r <= FT_RESOURCE_NVME; r++) {
        report_row row = row_of(plan, &s, (ft_resource)r);
        if (is_used(&row)) FT_TRY(explain(meter, plan, &s, &row, out));
    }
    FT_TRY(explain_idle(&s, out));
    return print_stalls(meter, &s, out);
}
