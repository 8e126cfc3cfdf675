// What the tests of reports share: a scratch directory of runs made of lines.
#ifndef FT_TESTS_REPORT_T_REPORT_H
#define FT_TESTS_REPORT_T_REPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/memory.h"
#include "report/report.h"

#define T_HELPER __attribute__((unused)) static
#define t_ok(expression) t_check_ok((expression), #expression, __FILE__, __LINE__)
#define t_near(value, expected) t_check_near((value), (expected), #value, __FILE__, __LINE__)

T_HELPER void t_check_ok(ft_status status, const char *text, const char *file, int line)
{
    if (status == FT_OK) return;
    print_error("%s = %d: %s\n", text, status, ft_error_message());
    _fail(file, line);
}

T_HELPER void t_check_near(double value, double expected, const char *text, const char *file, int line)
{
    if (fabs(value - expected) <= 1e-9 * fmax(1, fabs(expected))) return;
    print_error("%s = %.12g, expected %.12g\n", text, value, expected);
    _fail(file, line);
}

static char t_directory[512];

T_HELPER int t_setup(void **state)
{
    const char *root = getenv("TMPDIR");
    snprintf(t_directory, sizeof t_directory, "%s/ft-report-XXXXXX", root && *root ? root : "/tmp");
    return mkdtemp(t_directory) == NULL;
}

T_HELPER int t_teardown(void **state)
{
    return ft_remove_tree(t_directory) != FT_OK;
}

// Path of NAME in the directory; valid until eight more calls.
T_HELPER char *t_path(const char *name)
{
    static char paths[8][1024];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", t_directory, name);
    return path;
}

// A file of a run; its directory is made.
T_HELPER void t_write(const char *run, const char *name, const char *text)
{
    char path[1200];
    t_ok(ft_make_directories(t_path(run)));
    snprintf(path, sizeof path, "%s/%s", t_path(run), name);
    t_ok(ft_file_write(path, text, strlen(text)));
}

// A step of 100 tokens in 2 s, 1 s of compute, 0.5 s of waiting.
T_HELPER void t_step(ft_text *lines, int step, double loss)
{
    char number[32];
    if (isfinite(loss)) snprintf(number, sizeof number, "%.9g", loss);
    else snprintf(number, sizeof number, "null");
    t_ok(ft_text_printf(lines, "{\"kind\":\"step\",\"time\":%d,\"step\":%d,\"epoch\":%.4f,\"loss\":%s,\"lr\":0.001,\"grad_norm\":1.5,\"tokens\":100,"
                        "\"trainable_tokens\":40,\"step_s\":2.0,\"tokens_per_s\":50,\"compute_busy\":0.5,\"h2d_busy\":0.25,\"d2h_busy\":0,\"nvme_busy\":0.1,"
                        "\"stall_s\":0.5,\"stall_h2d_s\":0.1,\"stall_nvme_s\":0.3,\"stall_spill_s\":0.1,\"stall_drive\":\"/nvme%d\",\"hbm_bytes\":1000,"
                        "\"pinned_bytes\":500,\"nvme_bytes\":4000,\"h2d_bytes\":6000,\"d2h_bytes\":0}\n",
                        1000 + 2 * step, step, step / 10.0, number, step % 3 == 0));
}

T_HELPER void t_eval(ft_text *lines, int step, double loss)
{
    t_ok(ft_text_printf(lines, "{\"kind\":\"eval\",\"time\":%d,\"step\":%d,\"epoch\":%.4f,\"eval_loss\":%.9g,\"perplexity\":2,\"trainable_tokens\":7,\"eval_s\":1}\n",
                        1000 + 2 * step, step, step / 10.0, loss));
}

// Writes the lines as the run's metrics.jsonl and frees them.
T_HELPER void t_metrics(const char *run, ft_text *lines)
{
    t_write(run, "metrics.jsonl", lines->data ? lines->data : "");
    ft_text_free(lines);
}

#define T_PLAN \
    "{\"machine\":\"M\",\"run\":{\"sequence_len\":10,\"micro_batch_size\":1,\"gradient_accumulation_steps\":2,\"gpus\":1,\"lora_r\":4," \
    "\"micro_batches_per_sweep\":1,\"sweeps\":2},\"lora_parameters\":8,\"memory\":{\"HBM\":{\"bytes\":1100,\"limit\":2000,\"lines\":{\"head\":100," \
    "\"adapter\":1000}},\"host\":{\"bytes\":800,\"limit\":900,\"lines\":{\"embedding\":500,\"process\":300}},\"NVMe\":{\"bytes\":9000,\"limit\":10000," \
    "\"lines\":{\"base store\":9000}}},\"layers\":[{\"layer\":0,\"home\":\"NVMe\",\"bytes\":10,\"keep\":true,\"boundary\":\"HBM\"},{\"layer\":1," \
    "\"home\":\"HBM\",\"bytes\":10,\"keep\":false,\"boundary\":\"host\"}],\"slots\":{\"device\":2,\"host\":2,\"bytes\":10,\"prefetch_depth\":1}," \
    "\"forward\":{\"seconds\":1,\"binding\":\"compute\",\"resources\":{\"h2d\":{\"amount\":1000,\"seconds\":0.5},\"nvme\":{\"amount\":1000,\"seconds\":1}}}," \
    "\"backward\":{\"seconds\":1,\"binding\":\"compute\",\"resources\":{\"h2d\":{\"amount\":2000,\"seconds\":0.5},\"nvme\":{\"amount\":1000,\"seconds\":1}}}," \
    "\"step_seconds\":1.5,\"tokens_per_s\":60,\"binding\":\"compute\"}"

// Reads runs by their names in the directory.
#define t_read(report, ...) t_read_list((report), (const char *const[]){__VA_ARGS__, NULL})
T_HELPER void t_read_list(ft_report *report, const char *const *names)
{
    const char *paths[8];
    int n = 0;
    for (; names[n]; n++) paths[n] = t_path(names[n]);
    t_ok(ft_report_read(report, paths, n, 1100));
}

#endif
