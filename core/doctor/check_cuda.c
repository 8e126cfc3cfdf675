// What the CUDA device of this build needs beside the driver: the runtime that is linked, NVIDIA's libraries that are found at run
// time (device/cuda_library.h), and a GPU that opens.
#include <stdio.h>
#include <string.h>

#include "common/threads.h"
#include "device/device.h"
#include "doctor/check.h"
#include "doctor/nvml.h"

#ifdef FT_HAVE_CUDA
#include <cuda_runtime_api.h>

#include "device/cuda_library.h"

// NVML shows all GPUs, the runtime those of CUDA_VISIBLE_DEVICES.
static int visible_gpus(void)
{
    int n = 0;
    if (cudaGetDeviceCount(&n) == cudaSuccess) return n;
    cudaGetLastError();
    return 0;
}

// Without a GPU that runs take nothing of CUDA is needed, and with --device cpu nothing of it is used.
static bool is_used(const ft_doctor *doctor)
{
    return strcmp(doctor->config->device, "cpu") != 0 && ft_nvml_count_capable(FT_CHECK_CAPABILITY) > 0 && visible_gpus() > 0;
}

// Minor versions of one major fit each other.
static bool is_driver_too_old(const ft_doctor *doctor, int driver, int runtime)
{
    return strcmp(doctor->config->device, "cpu") != 0 && driver > 0 && driver / 1000 < runtime / 1000;
}

void ft_check_cuda(ft_doctor *doctor)
{
    static const char update[] = "update the NVIDIA driver, or use a build for its CUDA";
    int runtime = 0, driver = 0;
    char version[80], what[96];
    if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) cudaGetLastError();
    if (ft_nvml_open() == FT_OK) ft_nvml_driver(version, &driver);
    bool too_old = is_driver_too_old(doctor, driver, runtime);
    snprintf(what, sizeof what, "runtime %d.%d, the driver runs CUDA up to %d.%d", runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10);
    ft_check_fact(doctor, "CUDA", "%d.%d", runtime / 1000, runtime % 1000 / 10);
    if (too_old && ft_check_needs_gpu(doctor)) ft_check_fail(doctor, NULL, update, "%s", what);
    else if (too_old) ft_check_note(doctor, NULL, update, "%s: runs use the CPU device", what);
    else ft_check_ok(doctor, NULL, "runtime %d.%d in the program", runtime / 1000, runtime % 1000 / 10);
}

// `fails`: runs on a GPU cannot do without. `lost`: what the remedy adds about the meantime.
static void say_library(ft_doctor *doctor, ft_cuda_library library, bool fails, const char *lost)
{
    const char *name = doctor->check->name;
    if (!is_used(doctor)) {
        ft_check_ok(doctor, NULL, "not needed on the CPU device");
        return;
    }
    if (ft_cuda_library_open(library) == FT_OK) {
        int v = ft_cuda_library_version(library);
        ft_check_ok(doctor, NULL, "%d.%d.%d (%s)", v / 10000, v / 100 % 100, v % 100, ft_cuda_library_path(library));
        ft_check_fact(doctor, name, "%d.%d.%d", v / 10000, v / 100 % 100, v % 100);
        return;
    }
    // "... was not found; PATH is 9.10.2. Install X, or name its folder in VARIABLE. Looked in ..."
    char found[FT_ERROR_MESSAGE_BYTES], remedy[FT_ERROR_MESSAGE_BYTES];
    snprintf(found, sizeof found, "%s", ft_error_message());
    char *install = strstr(found, ". Install "), *looked = install ? strstr(install, ". Looked in ") : NULL;
    if (looked) *looked = 0;
    snprintf(remedy, sizeof remedy, "%s%s", install ? install + 2 : "install it", lost);
    if (install) *install = 0;
    ft_check_fact(doctor, name, "none");
    if (fails) ft_check_fail(doctor, NULL, remedy, "%s", found);
    else ft_check_note(doctor, NULL, remedy, "%s", found);
}

void ft_check_cublaslt(ft_doctor *doctor)
{
    say_library(doctor, FT_LIBRARY_CUBLASLT, true, "");
}

void ft_check_cudnn(ft_doctor *doctor)
{
    say_library(doctor, FT_LIBRARY_CUDNN, false, "; attention is computed by our own, slower kernel meanwhile");
}

void ft_check_nccl(ft_doctor *doctor)
{
    say_library(doctor, FT_LIBRARY_NCCL, doctor->config->gpus > 1, "; runs on one GPU do without");
}

// What opens is used; what is not supported is passed over by `auto`, and by a run that needs fewer GPUs.
static bool fails_run(const ft_doctor *doctor, ft_status status, int ordinal)
{
    int64_t gpus = doctor->config->gpus > 0 ? doctor->config->gpus : 1;
    return ordinal < gpus && (status != FT_E_UNSUPPORTED || ft_check_needs_gpu(doctor));
}

static void open_gpu(ft_doctor *doctor, int ordinal)
{
    ft_device *device;
    char name[24];
    snprintf(name, sizeof name, "cuda:%d", ordinal);
    ft_status status = ft_device_open(&device, "cuda", ordinal);
    if (status != FT_OK) {
        ft_check_error(doctor, name, fails_run(doctor, status, ordinal), "nvidia-smi may say more; --device cpu does without");
        return;
    }
    const ft_device_info *info = ft_device_get_info(device);
    ft_check_ok(doctor, name, "%s opens: %d SMs, context %lld MiB, host memory of node %d is near", info->name, info->sm_count,
                (long long)(info->context_bytes >> 20), info->numa_node);
    ft_device_close(device);
}

// Opens each GPU as a run does: driver, architecture and build must fit. Runs take the first ones.
void ft_check_device(ft_doctor *doctor)
{
    int n = strcmp(doctor->config->device, "cpu") != 0 ? visible_gpus() : 0;
    if (n == 0 && ft_check_needs_gpu(doctor)) n = 1;  // says why there is none
    for (int i = 0; i < n; i++) open_gpu(doctor, i);
    bool idle = ft_nvml_open() == FT_OK && ft_nvml_count() > 0;
    if (n == 0) ft_check_ok(doctor, "cpu", "runs use the CPU device%s", idle ? ", and leave the GPUs here alone" : "");
}

#else

void ft_check_cuda(ft_doctor *doctor)
{
    bool gpus = ft_nvml_open() == FT_OK && ft_nvml_count() > 0, asked_for = ft_check_needs_gpu(doctor);
    static const char build[] = "build with the CUDA toolkit 12.9 or newer (cmake -DFT_CUDA=ON), or use a package with CUDA";
    if (asked_for) ft_check_fail(doctor, NULL, build, "this build has the CPU device alone, and device asks for cuda");
    else if (gpus) ft_check_note(doctor, NULL, build, "this build has the CPU device alone: the GPUs here stay idle");
    else ft_check_ok(doctor, NULL, "this build has the CPU device alone");
}

// Nothing of them is used without CUDA: the row above says so.
void ft_check_cublaslt(ft_doctor *doctor)
{
    (void)doctor;
}

void ft_check_cudnn(ft_doctor *doctor)
{
    (void)doctor;
}

void ft_check_nccl(ft_doctor *doctor)
{
    (void)doctor;
}

void ft_check_device(ft_doctor *doctor)
{
    ft_device *device;
    if (ft_threads_init((int)doctor->config->threads) != FT_OK || ft_device_open(&device, "cpu", 0) != FT_OK) {
        ft_check_error(doctor, "cpu", true, "look at the rows of the CPU above");
        return;
    }
    ft_check_ok(doctor, "cpu", "%d threads", ft_device_get_info(device)->sm_count);
    ft_device_close(device);
}

#endif
