#include "bench/link_choice.h"

#include <glob.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/text.h"
#include "offload/calibrate.h"
#include "train/gemm_table_path.h"

enum { CALIBRATED_TOKENS = 4096 };

// ---- one file

static bool of_these_drives(const ft_machine *file, const ft_bench_options *options)
{
    const char *at = file->nvme_of;
    for (int i = 0; i < options->n_nvme; i++) {
        size_t length = strlen(options->nvme[i]);
        if (i > 0 && *at++ != ',') return false;
        if (strncmp(at, options->nvme[i], length) != 0) return false;
        at += length;
    }
    return *at == 0;
}

static ft_status update(const ft_link_choice *choice, const ft_bench_options *options, const char *path, int *files)
{
    ft_machine file;
    FT_TRY(ft_machine_read(&file, path));
    if (file.measured[0] == 0) {
        ft_warn("%s was not written by a calibration and stays as it is", path);
        return FT_OK;
    }
    file.copy_piece = choice->copy_piece;
    if (of_these_drives(&file, options)) {
        file.io_chunk = choice->io_chunk;
        file.io_depth = choice->io_depth;
    } else {
        ft_warn("%s is of other drives (%s): it gets the size of copies alone", path, file.nvme_of);
    }
    FT_TRY(ft_machine_write(&file, path));
    (*files)++;
    return FT_OK;
}

// ---- all of them

// The name of a user's file ends in the widths it was made for; $FT_MACHINE names one file as it is.
static ft_status pattern_of(const ft_device *device, char **pattern)
{
    static const char widths[] = "-0x0.yaml";
    ft_shape none = {0};
    FT_TRY(ft_machine_user_path(device, &none, pattern));
    char *path = *pattern;
    size_t length = path ? strlen(path) : 0, end = sizeof widths - 1;
    if (length <= end || strcmp(path + length - end, widths) != 0) return FT_OK;
    *pattern = ft_format("%.*s-*.yaml", (int)(length - end), path);
    ft_free(path);
    FT_ALLOC_CHECK(*pattern);
    return FT_OK;
}

static ft_status update_all(const ft_link_choice *choice, const ft_bench_options *options, ft_device *device, int *files)
{
    glob_t found = {0};
    char *pattern;
    FT_TRY(pattern_of(device, &pattern));
    if (pattern == NULL) return FT_OK;
    ft_status status = FT_OK;
    if (glob(pattern, GLOB_NOESCAPE, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && status == FT_OK; i++) status = update(choice, options, found.gl_pathv[i], files);
    globfree(&found);
    ft_free(pattern);
    return status;
}

static ft_status calibrate(const ft_bench_options *options, ft_device *device)
{
    ft_shape shape;
    ft_machine machine;
    char *table;
    FT_TRY(ft_gemm_table_path(&table));
    ft_calibration run = {.shape = &shape, .tokens = CALIBRATED_TOKENS, .sequence_len = CALIBRATED_TOKENS, .nvme = options->nvme,
                          .n_nvme = options->n_nvme, .io_engine = options->engine, .gemm_table = table && ft_path_exists(table) ? table : NULL};
    ft_status status = ft_bench_shape(&shape, options);
    if (status == FT_OK) status = ft_machine_detect(&machine, device, options->nvme, options->n_nvme);
    if (status == FT_OK) status = ft_machine_calibrate_and_keep(&machine, device, &run);
    ft_free(table);
    return status;
}

ft_status ft_link_choice_keep(const ft_link_choice *choice, const ft_bench_options *options, ft_device *device, int *files)
{
    *files = 0;
    FT_TRY(update_all(choice, options, device, files));
    if (*files > 0 || options->geometry == NULL) return FT_OK;
    FT_TRY(calibrate(options, device));
    return update_all(choice, options, device, files);
}
