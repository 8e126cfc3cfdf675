// The order of a calibration, and what becomes of its parts that fail.
#include "offload/calibrate.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "offload/calibrate_internal.h"
#include "offload/machine_internal.h"

typedef struct {
    const char *what;
    ft_status (*measure)(ft_calibrator *c, ft_machine *machine);
} part;

// Products first, which heat the chip up for what follows.
static const part parts[] = {
    {"products", ft_calibrate_products}, {"attention", ft_calibrate_attention}, {"memory", ft_calibrate_memory},
    {"links", ft_calibrate_links},       {"drives", ft_calibrate_drives},
};

static ft_status open_calibrator(ft_calibrator *c)
{
    const ft_calibration *run = c->run;
    const ft_shape *shape = run->shape;
    ft_device_kind kind = ft_device_get_info(c->device)->kind;
    c->cpu = kind == FT_DEVICE_CPU;
    c->repr = c->cpu ? FT_REPR_F32 : FT_REPR_BF16;
    c->ops = ft_ops_for(kind);
    if (c->ops == NULL) return ft_error(FT_E_UNSUPPORTED, "this build has no kernels for the device");
    FT_TRY(ft_queue_create(c->device, FT_QUEUE_COMPUTE, "calibrate", &c->queue));
    int64_t length, rows = ft_calibrate_rows(c, &length);
    ft_ops_options options = {.attention = {.q_heads = shape->q_heads, .kv_heads = shape->kv_heads, .head_dim = shape->head_dim,
                                            .scale = (float)(1 / __builtin_sqrt((double)shape->head_dim))},
                              .rows = rows, .max_length = length, .max_docs = rows / length, .train = true,
                              .deterministic = run->deterministic, .gemm_table = run->gemm_table};
    return c->ops->open(c->queue, &options);
}

// Software that rates depend on, as far as it says what it is.
static void describe_software(ft_machine *machine, const ft_calibrator *c)
{
    char driver[32];
    ft_machine_driver(machine->device, driver);
    snprintf(machine->software, sizeof machine->software, "%s%s%s%.*s", driver[0] ? "driver " : "", driver, driver[0] ? "; " : "",
             (int)sizeof machine->software - 48, c->ops->describe(c->queue));
}

static void describe_run(ft_machine *machine, const ft_calibration *run)
{
    time_t seconds = time(NULL);
    struct tm day;
    char date[16];
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&seconds, &day));
    snprintf(machine->measured, sizeof machine->measured, "measured %s at %lld tokens of %lld%s", date, (long long)run->tokens,
             (long long)run->sequence_len, run->deterministic ? ", deterministic" : "");
    snprintf(machine->source, sizeof machine->source, "%s%s", machine->measured, machine->nvme_of[0] ? "" : ", drives assumed");
}

// A part that fails is said, and leaves the rates as they were. *all: none did but the drives, which a machine file may lack.
static ft_status run_parts(ft_calibrator *c, ft_machine *machine, bool *all)
{
    *all = true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        FT_TRY(ft_calibrator_stopped(c));
        double start = ft_now_s();
        ft_machine before = *machine;
        ft_status status = parts[i].measure(c, machine);
        ft_debug("calibration: %s in %.1f s", parts[i].what, ft_now_s() - start);
        if (status == FT_OK) continue;
        if (status == FT_E_STOPPED) return status;
        ft_warn("calibration: %s could not be measured and keep what the quick probe says: %s", parts[i].what, ft_error_message());
        *machine = before;
        if (parts[i].measure == ft_calibrate_drives) machine->nvme_of[0] = 0;
        else *all = false;
    }
    return FT_OK;
}

ft_status ft_machine_calibrate(ft_machine *machine, ft_device *device, const ft_calibration *run)
{
    ft_calibrator c = {.run = run, .device = device};
    machine->measured[0] = 0;
    ft_machine_join_drives(machine->nvme_of, run);
    bool all;
    ft_status status = open_calibrator(&c);
    if (status == FT_OK) status = run_parts(&c, machine, &all);
    if (status == FT_OK && all) {
        describe_software(machine, &c);
        describe_run(machine, run);
    }
    if (c.queue) ft_queue_destroy(c.queue);
    return status;
}
