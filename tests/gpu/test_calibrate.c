// The calibration of a GPU at an 8B model's sizes: every rate is one that such a chip can have, together they hang together, and it
// takes no longer than is said.
#include "gpu/gpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/threads.h"
#include "offload/calibrate.h"

enum { TOKENS = 4096 };

static char directory[] = "/tmp/ft-calibrate-XXXXXX";
static ft_machine machine;

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static void between(const char *name, double rate, double least, double most)
{
    printf("  %-20s %8.4g\n", name, rate);
    if (!(rate >= least && rate <= most)) fail_msg("%s is %g, not within %g and %g", name, rate, least, most);
}

static void measure(void **state)
{
    const char *const drives[] = {directory};
    ft_shape shape;
    ft_device *device = ft_queue_device(t_queue());
    ok(ft_shape_geometry(&shape, "llama3-8b"));
    ft_calibration run = {.shape = &shape, .tokens = TOKENS, .sequence_len = TOKENS, .nvme = drives, .n_nvme = 1, .drive_bytes = 64 << 20};
    ok(ft_machine_detect(&machine, device, drives, 1));
    ft_machine probed = machine;
    double start = ft_now_s();
    ok(ft_machine_calibrate(&machine, device, &run));
    double took = ft_now_s() - start;
    printf("calibrated in %.1f s with %s; quick probe: bf16 %.4g, attention %.4g and %.4g\n", took, machine.software, probed.gemm_bf16,
           probed.attention_forward, probed.attention_backward);
    between("seconds", took, 1, 60);
}

static void rates_are_those_of_a_gpu(void **state)
{
    between("gemm_bf16", machine.gemm_bf16, 100e12, 1000e12);
    between("gemm_fp8", machine.gemm_fp8, 1.1 * machine.gemm_bf16, 2000e12);
    between("attention_forward", machine.attention_forward, 50e12, 1000e12);
    between("attention_backward", machine.attention_backward, 50e12, 1000e12);
    between("hbm", machine.hbm, 1e12, 5e12);
    between("dram", machine.dram, 5e9, 2e12);
}

static void both_directions_are_no_faster_than_each_alone(void **state)
{
    between("h2d", machine.h2d, 5e9, 500e9);
    between("d2h", machine.d2h, 5e9, 500e9);
    between("h2d_both", machine.h2d_both, machine.h2d / 4, 1.1 * machine.h2d);
    between("d2h_both", machine.d2h_both, machine.d2h / 4, 1.1 * machine.d2h);
}

static void a_second_opening_recalls_them(void **state)
{
    char path[64];
    bool found;
    ft_shape shape;
    ft_device *device = ft_queue_device(t_queue());
    ft_machine again;
    snprintf(path, sizeof path, "%s/machine.yaml", directory);
    setenv("FT_MACHINE", path, 1);
    ok(ft_machine_write(&machine, path));
    ok(ft_shape_geometry(&shape, "llama3-8b"));
    ok(ft_machine_look(&again, device, NULL, 0));
    ok(ft_machine_recall(&again, device, &(ft_calibration){.shape = &shape}, &found));
    assert_true(found);
    assert_true(fabs(again.gemm_fp8 / machine.gemm_fp8 - 1) < 1e-5 && fabs(again.d2h_both / machine.d2h_both - 1) < 1e-5);
    unsetenv("FT_MACHINE");
}

static int setup(void **state)
{
    ok(ft_threads_init(0));
    return mkdtemp(directory) == NULL;
}

static int teardown(void **state)
{
    t_free();
    ft_threads_shutdown();
    return ft_remove_tree(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measure),
        cmocka_unit_test(rates_are_those_of_a_gpu),
        cmocka_unit_test(both_directions_are_no_faster_than_each_alone),
        cmocka_unit_test(a_second_opening_recalls_them),
    };
    t_queue();
    return cmocka_run_group_tests(tests, setup, teardown);
}
