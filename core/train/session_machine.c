#include "train/session_machine.h"

#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "kernels/cpu/compute.h"
#include "offload/calibrate.h"
#include "offload/store_random.h"
#include "train/gemm_table_path.h"

// The CUDA kernels move 8 bf16 values at a time, and a head lies in shared memory.
static ft_status check_cuda_shape(const ft_shape *shape)
{
    const struct {
        const char *name;
        int64_t size;
    } sizes[] = {{"hidden_size", shape->hidden}, {"intermediate_size", shape->ffn}, {"head_dim", shape->head_dim}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].size % 8 != 0)
            return ft_error(FT_E_UNSUPPORTED, "%s %lld: the CUDA device takes multiples of 8; use --device cpu", sizes[i].name, (long long)sizes[i].size);
    if (shape->head_dim > 256)
        return ft_error(FT_E_UNSUPPORTED, "head_dim %lld: the CUDA device takes at most 256; use --device cpu", (long long)shape->head_dim);
    return FT_OK;
}

// Measured algorithms: those a run was begun with, or what `ft-bench calibrate` left for this user.
static ft_status choose_gemm_table(ft_session *session, const ft_session_options *options)
{
    char *own = NULL;
    if (options->gemm_table == NULL) FT_TRY(ft_gemm_table_path(&own));
    const char *table = options->gemm_table ? options->gemm_table : own;
    if (table && ft_path_exists(table)) snprintf(session->gemm_table, sizeof session->gemm_table, "%s", table);
    ft_free(own);
    return FT_OK;
}

ft_status ft_session_open_device(ft_session *session, const ft_config *config, const ft_session_options *options)
{
    FT_TRY(ft_device_open(&session->device, config->device, 0));
    if (ft_device_get_info(session->device)->kind == FT_DEVICE_CPU) return ft_cpu_compute_set(session->device, config->cpu_compute);
    FT_TRY(choose_gemm_table(session, options));
    return check_cuda_shape(&session->shape);
}

// What rates are of, and are measured for.
static ft_calibration calibration(const ft_session *session, const ft_config *config, const ft_session_options *options)
{
    int64_t length = options->sequence_len > 0 ? options->sequence_len : config->sequence_len;
    bool in_memory = session->store && ft_store_is_random(session->store);
    return (ft_calibration){.shape = &session->shape, .tokens = config->micro_batch_size * length, .sequence_len = length,
                            .deterministic = config->deterministic, .gemm_table = session->gemm_table[0] ? session->gemm_table : NULL,
                            .nvme = (const char *const *)config->nvme.items, .n_nvme = config->nvme.n, .io_engine = config->io_engine,
                            .store = in_memory ? NULL : session->store, .stop = options->stop};
}

ft_status ft_session_drive_options(const ft_session *session, const ft_config *config, const ft_session_options *options,
                                   ft_drive_options *drives)
{
    ft_machine tuned = {0};
    bool found;
    ft_calibration run = calibration(session, config, options);
    FT_TRY(ft_machine_recall(&tuned, session->device, &run, &found));
    *drives = (ft_drive_options){.engine = config->io_engine, .depth = config->io_depth > 0 ? (int)config->io_depth : tuned.io_depth,
                                 .chunk_bytes = (uint32_t)(config->io_chunk > 0 ? config->io_chunk : tuned.io_chunk)};
    return FT_OK;
}

static ft_status calibrate(ft_session *session, const ft_calibration *run)
{
    char *path;
    FT_TRY(ft_machine_user_path(session->device, &session->shape, &path));
    ft_info("calibrating this machine once (about 15 s): %s", path ? path : "nowhere to keep it");
    ft_free(path);
    FT_TRY(ft_machine_calibrate_and_keep(&session->machine, session->device, run));
    if (run->gemm_table == NULL) ft_info("`ft-bench calibrate` with the same flags also chooses GEMM algorithms (1-3 %%)");
    return FT_OK;
}

static ft_status find_rates(ft_session *session, const ft_config *config, const ft_session_options *options)
{
    bool found;
    ft_calibration run = calibration(session, config, options);
    FT_TRY(ft_machine_recall(&session->machine, session->device, &run, &found));
    if (found) return FT_OK;
    FT_TRY(ft_machine_probe(&session->machine, session->device));
    return options->calibrate && session->machine.device == FT_DEVICE_CUDA ? calibrate(session, &run) : FT_OK;
}

ft_status ft_session_find_machine(ft_session *session, const ft_config *config, const ft_session_options *options)
{
    ft_machine *machine = &session->machine;
    if (config->machine) {
        FT_TRY(ft_machine_read(machine, config->machine));
        return machine->device == FT_DEVICE_CUDA ? check_cuda_shape(&session->shape) : FT_OK;
    }
    bool random = session->store && ft_store_is_random(session->store);
    if (config->nvme.n == 0 && !random) return ft_error(FT_E_USAGE, "no drive: give --nvme DIR[,DIR...], or --machine FILE.yaml to plan for another machine");
    if (session->device == NULL) FT_TRY(ft_session_open_device(session, config, options));
    FT_TRY(ft_machine_look(machine, session->device, (const char *const *)config->nvme.items, config->nvme.n));
    FT_TRY(find_rates(session, config, options));
    if (random) machine->nvme_bytes = INT64_MAX / 4;  // nothing is kept there: check_random
    if (session->store == NULL || random) return FT_OK;
    // The store is on the drives already: its room is not missing.
    machine->nvme_bytes += session->layout.bytes;
    return machine->nvme_of[0] ? FT_OK : ft_machine_probe_drives(machine, session->store);
}
