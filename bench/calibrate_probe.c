// ft-bench calibrate: what later runs read of this machine. On CUDA first the GEMM algorithms: one training step of a two-layer model
// of random weights shows the products of a run, those are timed and the winners kept in a table. Then the rates that a plan is made
// with (offload/calibrate.h), with these algorithms, always measured anew.
#include <stdio.h>
#include <string.h>

#include "bench/gemm_measure.h"
#include "bench/training.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "kernels/cpu/compute.h"
#include "offload/calibrate.h"
#include "train/gemm_table_path.h"

// ---- rates

static void add(ft_bench_report *report, const char *name, double rate, double unit, const char *unit_name, double probed)
{
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = unit_name, .value = rate / unit,
                                                   .peer_name = probed > 0 ? "quick probe" : NULL, .peer_value = probed / unit});
}

static void report_rates(const ft_machine *m, const ft_machine *probed, ft_bench_report *report)
{
    bool cpu = m->device == FT_DEVICE_CPU;
    double unit = cpu ? 1e9 : 1e12;
    const char *flops = cpu ? "GFLOP/s" : "TFLOP/s", *bytes = "GB/s";
    add(report, cpu ? "gemm float32" : "gemm bf16", m->gemm_bf16, unit, flops, probed->gemm_bf16);
    if (!cpu) add(report, "gemm fp8", m->gemm_fp8, unit, flops, probed->gemm_fp8);
    add(report, "attention forward", m->attention_forward, unit, flops, probed->attention_forward);
    add(report, "attention backward", m->attention_backward, unit, flops, probed->attention_backward);
    add(report, "device memory copy, read + write", m->hbm, 1e9, bytes, probed->hbm);
    add(report, "host memory copy, read + write", m->dram, 1e9, bytes, probed->dram);
    add(report, "host to device", m->h2d, 1e9, bytes, probed->h2d);
    add(report, "device to host", m->d2h, 1e9, bytes, probed->d2h);
    if (m->h2d_both > 0) add(report, "host to device, both directions at once", m->h2d_both, 1e9, bytes, 0);
    if (m->d2h_both > 0) add(report, "device to host, both directions at once", m->d2h_both, 1e9, bytes, 0);
    if (m->nvme_of[0] == 0) return;
    add(report, "nvme read, a drive", m->nvme_read, 1e9, bytes, 0);
    add(report, "nvme read, all drives at once", m->nvme_read_all, 1e9, bytes, 0);
    add(report, "nvme write, a drive", m->nvme_write, 1e9, bytes, 0);
}

static ft_status measure_rates(ft_device *device, const ft_calibration *run, ft_bench_report *report)
{
    ft_machine machine, probed;
    FT_TRY(ft_machine_detect(&machine, device, run->nvme, run->n_nvme));
    probed = machine;
    ft_bench_report_device(report, ft_device_get_info(device));
    FT_TRY(ft_machine_calibrate_and_keep(&machine, device, run));
    report_rates(&machine, &probed, report);
    return FT_OK;
}

// ---- GEMM algorithms

#ifdef FT_HAVE_CUDA
enum { CALIBRATION_LAYERS = 2 };

static ft_status save(ft_gemm_bench *g, const char *path)
{
    char *directory = ft_path_parent(path);
    FT_ALLOC_CHECK(directory);
    ft_status status = ft_make_directories(directory);
    ft_free(directory);
    if (status == FT_OK) status = ft_cuda_gemm_save(g->rig.queue, path);
    if (status == FT_OK) ft_info("%s: written", path);
    return status;
}

// On the device of a training whose model is closed. What the table holds already stays in it.
static ft_status choose_algorithms(ft_device *device, const ft_cuda_gemm_key *keys, int n, const ft_bench_options *options, const char *table,
                                   ft_bench_report *report)
{
    ft_gemm_bench g = {0};
    FT_TRY(ft_rig_attach(&g.rig, device));
    ft_status status = ft_gemm_bench_open_queue(&g, table);
    if (status == FT_OK) status = ft_gemm_bench_measure(&g, keys, n, options, true, report);
    if (status == FT_OK) status = save(&g, table);
    ft_rig_close(&g.rig);
    return status;
}

static ft_status collect(ft_bench_training *training, ft_cuda_gemm_key *keys, int *n)
{
    double loss;
    FT_TRY(ft_bench_training_step(training, &loss));
    *n = ft_cuda_gemm_products(ft_model_queue(training->model), keys, FT_GEMM_BENCH_PRODUCTS);
    ft_bench_training_close_model(training);
    return FT_OK;
}

// The training has its weights in memory: drives are for the rates alone.
static ft_status calibrate_cuda(const ft_bench_options *options, ft_calibration *run, const char *table, ft_bench_report *report)
{
    ft_cuda_gemm_key keys[FT_GEMM_BENCH_PRODUCTS];
    ft_bench_training training;
    ft_string_list drives = options->settings->values.nvme;
    int n = 0;
    options->settings->values.nvme = (ft_string_list){0};
    ft_status status = ft_bench_training_open(&training, options, CALIBRATION_LAYERS);
    if (status == FT_OK) status = collect(&training, keys, &n);
    if (status == FT_OK) status = choose_algorithms(training.session.device, keys, n, options, table, report);
    run->gemm_table = table;
    if (status == FT_OK) status = measure_rates(training.session.device, run, report);
    ft_bench_training_close(&training);
    options->settings->values.nvme = drives;
    return status;
}
#else
static ft_status calibrate_cuda(const ft_bench_options *options, ft_calibration *run, const char *table, ft_bench_report *report)
{
    return ft_error(FT_E_UNSUPPORTED, "calibrate: this build has no CUDA device");
}
#endif

// ---- ft-bench calibrate

static ft_status set_default(ft_settings *settings, const char *key, const char *value)
{
    return ft_settings_given(settings, key) ? FT_OK : ft_settings_set(settings, key, value, "ft-bench");
}

// As a benchmarked training takes them.
static ft_status read_shape(const ft_bench_options *options, ft_shape *shape)
{
    ft_settings *settings = options->settings;
    FT_TRY(set_default(settings, "sequence_len", "512"));
    FT_TRY(set_default(settings, "micro_batch_size", "4"));
    if (settings->values.base_model == NULL) return ft_bench_shape(shape, options);
    if (options->geometry) return ft_error(FT_E_USAGE, "--geometry and base_model %s: give one", settings->values.base_model);
    FT_TRY(ft_config_locate_model(settings));
    return ft_shape_read(shape, settings->values.base_model);
}

static ft_status calibrate_cpu(ft_device *device, const ft_bench_options *options, const ft_calibration *run, ft_bench_report *report)
{
    if (options->output) return ft_error(FT_E_USAGE, "calibrate: --output is for the algorithms of a GPU; leave it out on the CPU");
    FT_TRY(ft_cpu_compute_set(device, options->settings->values.cpu_compute));
    return measure_rates(device, run, report);
}

ft_status ft_bench_calibrate(const ft_bench_options *options, ft_bench_report *report)
{
    const ft_config *c = &options->settings->values;
    ft_shape shape;
    ft_device *device;
    FT_TRY(read_shape(options, &shape));
    ft_calibration run = {.shape = &shape, .tokens = c->micro_batch_size * c->sequence_len, .sequence_len = c->sequence_len,
                          .deterministic = c->deterministic, .nvme = (const char *const *)c->nvme.items, .n_nvme = c->nvme.n,
                          .io_engine = c->io_engine, .drive_bytes = options->bytes};
    FT_TRY(ft_device_open(&device, c->device, 0));
    bool cpu = ft_device_get_info(device)->kind == FT_DEVICE_CPU;
    ft_status status = cpu ? calibrate_cpu(device, options, &run, report) : FT_OK;
    ft_device_close(device);
    if (cpu || status != FT_OK) return status;
    char *table = NULL;
    if (options->output == NULL) FT_TRY(ft_gemm_table_path(&table));
    if (options->output == NULL && table == NULL) return ft_error(FT_E_INPUT, "there is no home directory to keep the table in: give --output FILE");
    status = calibrate_cuda(options, &run, options->output ? options->output : table, report);
    ft_free(table);
    return status;
}
