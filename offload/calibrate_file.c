// The user's machine files: where they lie, for what they hold, and what is taken from them.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/user_config.h"
#include "offload/machine_internal.h"

// "NVIDIA H100 80GB HBM3" -> "nvidia-h100-80gb-hbm3"
static void slug(const char *name, char *out, size_t bytes)
{
    size_t n = 0;
    for (; *name && n + 1 < bytes; name++) {
        if (isalnum((unsigned char)*name)) out[n++] = (char)tolower((unsigned char)*name);
        else if (n > 0 && out[n - 1] != '-') out[n++] = '-';
    }
    while (n > 0 && out[n - 1] == '-') n--;
    out[n] = 0;
}

ft_status ft_machine_user_path(const ft_device *device, const ft_shape *shape, char **path)
{
    char name[200], model[96];
    slug(ft_device_get_info(device)->name, model, sizeof model);
    snprintf(name, sizeof name, "machine-%s-%lldx%lld.yaml", model, (long long)shape->hidden, (long long)shape->ffn);
    return ft_user_config_path("FT_MACHINE", name, path);
}

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  ..." or "... Open Kernel Module for x86_64  570.86.15  Release ...".
void ft_machine_driver(ft_device_kind kind, char version[32])
{
    char line[256];
    version[0] = 0;
    if (kind != FT_DEVICE_CUDA) return;
    FILE *file = fopen("/proc/driver/nvidia/version", "re");
    if (file == NULL) return;
    char *rest = NULL, *word = fgets(line, sizeof line, file) ? strtok_r(line, " \t\n", &rest) : NULL;
    for (; word; word = strtok_r(NULL, " \t\n", &rest)) {
        if (!isdigit((unsigned char)word[0]) || strchr(word, '.') == NULL) continue;
        snprintf(version, 32, "%s", word);
        break;
    }
    fclose(file);
}

void ft_machine_join_drives(char text[512], const ft_calibration *run)
{
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < run->n_nvme; i++) {
        n += (size_t)snprintf(text + n, 512 - n, "%s%s", i > 0 ? "," : "", run->nvme[i]);
        if (n < 512) continue;
        text[0] = 0;
        return;
    }
}

// The number behind "driver " in what a file was made with, 0 if none.
static long driver_major(const char *software)
{
    return strncmp(software, "driver ", 7) == 0 ? strtol(software + 7, NULL, 10) : 0;
}

// A file that somebody wrote by hand and names with $FT_MACHINE is meant, whatever it calls the device.
static bool of_this_machine(const ft_machine *file, ft_device *device, const char *path)
{
    const ft_device_info *info = ft_device_get_info(device);
    char driver[32];
    ft_machine_driver(info->kind, driver);
    long then = driver_major(file->software), now = strtol(driver, NULL, 10);
    bool same = file->device == info->kind && (file->measured[0] == 0 || strcmp(file->name, info->name) == 0);
    if (!same) ft_log_once(FT_LOG_INFO, "machine-other", "%s is of %s and is not used", path, file->name);
    else if (then != 0 && now != 0 && then != now)
        ft_log_once(FT_LOG_INFO, "machine-driver", "%s is of driver %ld and is not used (this is %ld)", path, then, now);
    return same && (then == 0 || now == 0 || then == now);
}

static bool far_apart(long long a, long long b)
{
    return a > 4 * b || b > 4 * a;
}

// Products of few rows, and attention over short documents, are slower than others: rates of another run are better than none.
static void compare_runs(const ft_machine *file, const ft_calibration *run, const char *path)
{
    long long tokens, length;
    const char *at = strstr(file->measured, " at ");
    if (at == NULL || sscanf(at, " at %lld tokens of %lld", &tokens, &length) != 2) return;
    if (far_apart(tokens, run->tokens) || far_apart(length, run->sequence_len))
        ft_log_once(FT_LOG_INFO, "machine-run", "%s was measured at %lld tokens of %lld; `ft-bench calibrate` with this run's flags measures again",
                    path, tokens, length);
}

static void take_rates(ft_machine *machine, const ft_machine *file, const ft_calibration *run)
{
    char drives[512];
    ft_machine kept = *machine;
    *machine = *file;
    memcpy(machine->name, kept.name, sizeof kept.name);
    machine->device = kept.device;
    machine->gpus = kept.gpus;
    machine->nodes = kept.nodes;
    machine->hbm_bytes = kept.hbm_bytes;
    machine->host_bytes = kept.host_bytes;
    machine->drives = kept.drives;
    machine->nvme_bytes = kept.nvme_bytes;
    ft_machine_join_drives(drives, run);
    if (drives[0] && strcmp(drives, file->nvme_of) == 0) return;
    machine->nvme_read = kept.nvme_read;
    machine->nvme_write = kept.nvme_write;
    machine->nvme_read_all = kept.nvme_read_all;
    machine->io_chunk = kept.io_chunk;
    machine->io_depth = kept.io_depth;
    machine->nvme_of[0] = 0;
    snprintf(machine->source, sizeof machine->source, "%s, drives assumed", file->measured[0] ? file->measured : "from a machine file");
}

static ft_status recall(ft_machine *machine, ft_device *device, const ft_calibration *run, const char *path, bool *found)
{
    ft_machine file;
    char message[FT_ERROR_MESSAGE_BYTES];
    if (!ft_path_exists(path)) return FT_OK;
    ft_status status = ft_machine_read(&file, path);
    if (status != FT_OK) {
        snprintf(message, sizeof message, "%s", ft_error_message());
        return ft_error(status, "%.800s; delete this file and the machine is measured again", message);
    }
    *found = of_this_machine(&file, device, path);
    if (!*found) return FT_OK;
    compare_runs(&file, run, path);
    take_rates(machine, &file, run);
    return FT_OK;
}

ft_status ft_machine_recall(ft_machine *machine, ft_device *device, const ft_calibration *run, bool *found)
{
    char *path;
    *found = false;
    FT_TRY(ft_machine_user_path(device, run->shape, &path));
    if (path == NULL) return FT_OK;
    ft_status status = recall(machine, device, run, path, found);
    ft_free(path);
    return status;
}

// Only what a calibration wrote is replaced: $FT_MACHINE may name any file. What tuning found of the same drives stays.
static ft_status keep(const ft_machine *measured, const char *path)
{
    ft_machine old = {0}, next = *measured;
    if (ft_path_exists(path) && (ft_machine_read(&old, path) != FT_OK || old.measured[0] == 0))
        return ft_error(FT_E_EXISTS, "%s is there and was not written by a calibration; delete it", path);
    if (next.nvme_of[0] && strcmp(next.nvme_of, old.nvme_of) == 0 && next.io_chunk == 0) {
        next.io_chunk = old.io_chunk;
        next.io_depth = old.io_depth;
    }
    char *directory = ft_path_parent(path);
    FT_ALLOC_CHECK(directory);
    ft_status status = ft_make_directories(directory);
    ft_free(directory);
    if (status == FT_OK) status = ft_machine_write(&next, path);
    return status;
}

ft_status ft_machine_calibrate_and_keep(ft_machine *machine, ft_device *device, const ft_calibration *run)
{
    FT_TRY(ft_machine_calibrate(machine, device, run));
    if (machine->measured[0] == 0) {
        ft_warn("what was measured is not kept, since it is not all");
        return FT_OK;
    }
    char *path;
    FT_TRY(ft_machine_user_path(device, run->shape, &path));
    if (path == NULL) {
        ft_log_once(FT_LOG_WARNING, "machine-file", "what was measured is not kept: there is no home directory; set FT_MACHINE=FILE");
        return FT_OK;
    }
    if (keep(machine, path) == FT_OK) ft_info("%s: written", path);
    else ft_log_once(FT_LOG_WARNING, "machine-file", "what was measured is not kept: %s", ft_error_message());
    ft_free(path);
    return FT_OK;
}
