// What fio is asked, and what is read from its answer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fio.h"

static const char *const files[] = {"/a/one.dat", "/b/two.dat"};

static char *command_of(const ft_fio_job *job)
{
    ft_text command = {0};
    assert_int_equal(ft_fio_command(job, &command), FT_OK);
    return command.data;
}

static void every_file_is_a_job_with_the_transfers_of_ours(void **state)
{
    unsetenv("FIO");
    ft_fio_job job = {.files = files, .n_files = 2, .bytes_each = 1 << 30, .block = 512 << 10, .depth = 16};
    char *command = command_of(&job);
    const char *first = strstr(command, "--name=read");
    assert_non_null(strstr(command, "'fio' "));
    assert_non_null(strstr(command, "--filename='/a/one.dat'"));
    assert_non_null(strstr(command, "--filename='/b/two.dat'"));
    // What stands before the first job holds for all.
    const char *const all[] = {"--name=global", "--ioengine=io_uring", "--direct=1", "--bs=524288", "--iodepth=16", "--size=1073741824"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *at = strstr(command, all[i]);
        if (at == NULL || at > first) fail_msg("%s is not said to all jobs: %s", all[i], command);
    }
    assert_null(strstr(command, "fixedbufs"));
    free(command);
}

static void buffers_are_registered_where_ours_are(void **state)
{
    ft_fio_job job = {.files = files, .n_files = 1, .bytes_each = 1 << 30, .block = 1 << 20, .depth = 32, .registered = true};
    char *command = command_of(&job);
    assert_non_null(strstr(command, "--fixedbufs=1"));
    free(command);
}

static void the_environment_names_the_program(void **state)
{
    setenv("FIO", "/opt/my fio/fio", 1);
    ft_fio_job job = {.files = files, .n_files = 1, .bytes_each = 1 << 30, .block = 1 << 20, .depth = 32};
    char *command = command_of(&job);
    assert_non_null(strstr(command, "'/opt/my fio/fio' "));
    free(command);
    unsetenv("FIO");
}

static void a_quote_in_a_path_is_refused(void **state)
{
    const char *const quoted[] = {"/a/it's.dat"};
    ft_fio_job job = {.files = quoted, .n_files = 1, .bytes_each = 1 << 30, .block = 1 << 20, .depth = 32};
    ft_text command = {0};
    assert_int_equal(ft_fio_command(&job, &command), FT_E_USAGE);
    ft_text_free(&command);
}

static ft_status answer(const char *text, double *rate)
{
    FILE *file = tmpfile();
    fputs(text, file);
    rewind(file);
    ft_status status = ft_fio_read(file, rate);
    fclose(file);
    return status;
}

static void rates_of_jobs_add_up_whatever_stands_before(void **state)
{
    double rate;
    assert_int_equal(answer("note: both iodepth >= 1 and a synchronous engine\n"
                            "{\"fio version\": \"fio-3.33\", \"jobs\": [{\"error\": 0, \"read\": {\"bw_bytes\": 1500000000}},"
                            " {\"error\": 0, \"read\": {\"bw_bytes\": 2000000000}}]}\n", &rate), FT_OK);
    assert_true(rate == 3.5e9);
}

static void what_did_not_work_is_no_figure(void **state)
{
    double rate;
    assert_int_equal(answer("", &rate), FT_E_NOT_FOUND);
    assert_int_equal(answer("fio: failed to open\n", &rate), FT_E_NOT_FOUND);
    assert_int_equal(answer("{\"jobs\": [{\"read\": {\"bw_bytes\": 0}}]}", &rate), FT_E_NOT_FOUND);
    assert_int_equal(answer("{\"jobs\": [{\"error\": 22, \"read\": {\"bw_bytes\": 5}}]}", &rate), FT_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_file_is_a_job_with_the_transfers_of_ours),
                                       cmocka_unit_test(buffers_are_registered_where_ours_are), cmocka_unit_test(the_environment_names_the_program),
                                       cmocka_unit_test(a_quote_in_a_path_is_refused), cmocka_unit_test(rates_of_jobs_add_up_whatever_stands_before),
                                       cmocka_unit_test(what_did_not_work_is_no_figure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
