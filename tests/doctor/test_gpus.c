// Rows of GPUs, through libraries that stand for NVIDIA's: one is loaded under NVML's name before the checks ask for that.
#include "captured.h"

#include <dlfcn.h>

static void *library;

static void load(const char *path)
{
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fail_msg("%s", dlerror());
}

static int clean(void **state)
{
    if (library) dlclose(library);
    library = NULL;
    run_device = "auto";
    unsetenv("FT_FAKE_STATE");
    unsetenv("FT_FAKE_BROKEN");
    unsetenv("FT_FAKE_MAJOR");
    return remove_root(state);
}

static void two_healthy_gpus(void **state)
{
    put_memory();
    load(FAKE_NEW);
    json_t *report = examine("");
    expect_row(report, "driver", "ok", "NVIDIA 570.86.15, CUDA up to 12.8, 2 GPUs");
    expect_row(report, "GPU 0", "ok", "NVIDIA H100 80GB HBM3, 0000:3a:00.0, capability 9.0, 80.00 GiB, 79.00 GiB free");
    expect_row(report, "health 1", "ok", "ECC on, uncorrected errors 0 now, 0 ever; 33 C; persistence on");
    expect_row(report, "speed 0", "ok", "700 W of 700 W; SM clock 345 MHz of 1980 MHz; PCIe gen 5 of gen 5, x16 of x16");
    expect_row(report, "links", "ok", "all 1 pairs over NVLink, 18 links a GPU");
    assert_string_equal(text_of(json_object_get(report, "facts"), "GPUs"), "2 x NVIDIA H100 80GB HBM3");
    json_decref(report);
}

static void what_ails_a_gpu_is_named(void **state)
{
    put_memory();
    setenv("FT_FAKE_STATE", "sick", 1);
    load(FAKE_NEW);
    json_t *report = examine("");
    expect_row(report, "GPU 0", "ok", "");
    expect_row(report, "GPU 1", "note", "in use by process 4711 (python4711) 59.00 GiB");
    expect_row(report, "health 1", "note", "uncorrected errors 3 now, 4 ever; 91 C; persistence on; row remapping is pending");
    expect_row(report, "speed 1", "note", "x8 of x16; held down by: thermal limit of the hardware");
    expect_row(report, "links", "note", "16 links on one GPU and 18 on another");
    json_decref(report);
}

static void a_lost_gpu_fails_and_another_architecture_is_passed_over(void **state)
{
    put_memory();
    setenv("FT_FAKE_BROKEN", "1", 1);
    setenv("FT_FAKE_MAJOR", "8", 1);
    load(FAKE_NEW);
    json_t *report = examine("");
    expect_row(report, "GPU 0", "note", "capability 8.0");
    expect_row(report, "GPU 1", "FAIL", "GPU is lost");
    assert_null(row_of(report, "links"));
    json_decref(report);
    run_device = "cuda";
    report = examine("");
    expect_row(report, "GPU 0", "FAIL", "capability 8.0");
    json_decref(report);
}

static void what_an_old_driver_does_not_tell_is_not_available(void **state)
{
    put_memory();
    load(FAKE_OLD);
    json_t *report = examine("");
    expect_row(report, "driver", "ok", "NVIDIA n/a");
    expect_row(report, "GPU 0", "ok", "NVIDIA GPU, n/a, capability n/a, n/a, n/a free");
    expect_row(report, "health 0", "ok", "ECC n/a, uncorrected errors n/a now, n/a ever; n/a; persistence n/a");
    expect_row(report, "speed 1", "ok", "n/a of n/a; SM clock n/a of n/a; PCIe n/a of n/a, n/a of n/a");
    expect_row(report, "links", "ok", "n/a");
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_healthy_gpus, make_root, clean), cmocka_unit_test_setup_teardown(what_ails_a_gpu_is_named, make_root, clean),
        cmocka_unit_test_setup_teardown(a_lost_gpu_fails_and_another_architecture_is_passed_over, make_root, clean),
        cmocka_unit_test_setup_teardown(what_an_old_driver_does_not_tell_is_not_available, make_root, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
