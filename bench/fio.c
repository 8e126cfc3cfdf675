#include "bench/fio.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static ft_status add_quoted(ft_text *command, const char *before, const char *path)
{
    if (strchr(path, '\'')) return ft_error(FT_E_USAGE, "%s: a quote in a path cannot be handed to fio", path);
    return ft_text_printf(command, "%s'%s'", before, path);
}

// One job a drive, as we have one thread and ring a drive. Our buffers are huge pages; with glibc's tunable fio's are too.
ft_status ft_fio_command(const ft_fio_job *job, ft_text *command)
{
    const char *program = getenv("FIO");
    FT_TRY(add_quoted(command, "GLIBC_TUNABLES=glibc.malloc.hugetlb=1 ", program && program[0] ? program : "fio"));
    FT_TRY(ft_text_printf(command, " --output-format=json --name=global --rw=read --ioengine=io_uring --direct=1 --readonly --thread --group_reporting=1"));
    FT_TRY(ft_text_printf(command, " --bs=%lld --iodepth=%d --size=%lld%s", (long long)job->block, job->depth, (long long)job->bytes_each,
                          job->registered ? " --fixedbufs=1" : ""));
    for (int i = 0; i < job->n_files; i++) FT_TRY(add_quoted(command, " --name=read --filename=", job->files[i]));
    return ft_text_printf(command, " 2>/dev/null");
}

static void skip_notes(FILE *answer)
{
    int c;
    do c = fgetc(answer);
    while (c != EOF && c != '{');
    if (c != EOF) ungetc(c, answer);
}

ft_status ft_fio_read(FILE *answer, double *rate)
{
    json_error_t error;
    size_t i;
    json_t *job;
    skip_notes(answer);
    json_t *root = json_loadf(answer, JSON_DISABLE_EOF_CHECK, &error);
    if (root == NULL) return ft_error(FT_E_NOT_FOUND, "fio gave no result; install fio, or name it in the environment variable FIO, to have the comparison");
    bool failed = false;
    *rate = 0;
    json_array_foreach(json_object_get(root, "jobs"), i, job) {
        *rate += json_number_value(json_object_get(json_object_get(job, "read"), "bw_bytes"));
        failed |= json_integer_value(json_object_get(job, "error")) != 0;
    }
    json_decref(root);
    return *rate > 0 && !failed ? FT_OK : ft_error(FT_E_NOT_FOUND, "fio measured nothing");
}

ft_status ft_fio_run(const ft_fio_job *job, double *rate)
{
    ft_text command = {0};
    ft_status status = ft_fio_command(job, &command);
    FILE *pipe = status == FT_OK ? popen(command.data, "r") : NULL;
    if (status == FT_OK && pipe == NULL) status = ft_error_errno(FT_E_IO, errno, "fio could not be started");
    if (pipe) {
        status = ft_fio_read(pipe, rate);
        while (fgetc(pipe) != EOF) continue;
        pclose(pipe);
    }
    ft_text_free(&command);
    return status;
}
