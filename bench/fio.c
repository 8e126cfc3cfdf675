// fio as the yardstick for storage: run it, read its JSON.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/probes.h"
#include "common/memory.h"
#include "common/text.h"

static ft_status command_for(ft_text *command, const char *const *files, int n_files, int64_t bytes_each, int64_t block, int depth)
{
    // Our buffers are huge pages; with glibc's tunable fio's are too.
    FT_TRY(ft_text_printf(command, "GLIBC_TUNABLES=glibc.malloc.hugetlb=1 fio --name=read --rw=read --ioengine=io_uring --direct=1 --readonly --output-format=json --bs=%lld --iodepth=%d --size=%lld",
                          (long long)block, depth, (long long)bytes_each));
    for (int i = 0; i < n_files; i++) {
        // One job a drive, as we have one thread and ring a drive.
        if (strchr(files[i], '\'')) return ft_error(FT_E_USAGE, "%s: a quote in a path cannot be handed to fio", files[i]);
        FT_TRY(ft_text_printf(command, "%s --filename='%s'", i ? " --name=more" : "", files[i]));
    }
    return ft_text_printf(command, " --group_reporting=1 2>/dev/null");
}

static ft_status read_rate(FILE *pipe, double *rate)
{
    json_error_t error;
    json_t *root = json_loadf(pipe, JSON_DISABLE_EOF_CHECK, &error);
    if (root == NULL) return ft_error(FT_E_NOT_FOUND, "fio gave no result; install fio to have the comparison");
    *rate = 0;
    size_t i;
    json_t *job;
    json_array_foreach(json_object_get(root, "jobs"), i, job)
        *rate += json_number_value(json_object_get(json_object_get(job, "read"), "bw_bytes"));
    json_decref(root);
    return *rate > 0 ? FT_OK : ft_error(FT_E_NOT_FOUND, "fio measured nothing");
}

ft_status ft_bench_fio(const char *const *files, int n_files, int64_t bytes_each, int64_t block, int depth, double *rate)
{
    ft_text command = {0};
    ft_status status = command_for(&command, files, n_files, bytes_each, block, depth);
    FILE *pipe = status == FT_OK ? popen(command.data, "r") : NULL;
    if (status == FT_OK && pipe == NULL) status = ft_error_errno(FT_E_IO, errno, "fio could not be started");
    if (pipe) {
        status = read_rate(pipe, rate);
        while (fgetc(pipe) != EOF) continue;
        pclose(pipe);
    }
    ft_text_free(&command);
    return status;
}
