#include "doctor/nvml.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { CLOCK_SM = 1, SENSOR_GPU = 0, ECC_UNCORRECTED = 1, ECC_VOLATILE = 0, ECC_AGGREGATE = 1, P2P_READ = 0, P2P_NVLINK = 2, MOST_LINKS = 36 };
enum { NOT_FOUND_DRIVER = 9, VERSION_MISMATCH = 18 };

typedef struct {
    unsigned long long total, free, used;
} memory_info;

typedef struct {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
} pci_info;

typedef struct {
    unsigned pid;
    unsigned long long bytes;
    unsigned gpu_instance, compute_instance;
} process_info;

// Every function used, by its name; they return 0 for success.
static struct {
    int (*nvmlInit_v2)(void);
    const char *(*nvmlErrorString)(int);
    int (*nvmlSystemGetDriverVersion)(char *, unsigned);
    int (*nvmlSystemGetCudaDriverVersion_v2)(int *);
    int (*nvmlSystemGetProcessName)(unsigned, char *, unsigned);
    int (*nvmlDeviceGetCount_v2)(unsigned *);
    int (*nvmlDeviceGetHandleByIndex_v2)(unsigned, ft_nvml_device *);
    int (*nvmlDeviceGetName)(ft_nvml_device, char *, unsigned);
    int (*nvmlDeviceGetPciInfo_v3)(ft_nvml_device, pci_info *);
    int (*nvmlDeviceGetMemoryInfo)(ft_nvml_device, memory_info *);
    int (*nvmlDeviceGetCudaComputeCapability)(ft_nvml_device, int *, int *);
    int (*nvmlDeviceGetMigMode)(ft_nvml_device, unsigned *, unsigned *);
    int (*nvmlDeviceGetComputeMode)(ft_nvml_device, unsigned *);
    int (*nvmlDeviceGetPersistenceMode)(ft_nvml_device, unsigned *);
    int (*nvmlDeviceGetEccMode)(ft_nvml_device, unsigned *, unsigned *);
    int (*nvmlDeviceGetTotalEccErrors)(ft_nvml_device, unsigned, unsigned, unsigned long long *);
    int (*nvmlDeviceGetRemappedRows)(ft_nvml_device, unsigned *, unsigned *, unsigned *, unsigned *);
    int (*nvmlDeviceGetEnforcedPowerLimit)(ft_nvml_device, unsigned *);
    int (*nvmlDeviceGetPowerManagementDefaultLimit)(ft_nvml_device, unsigned *);
    int (*nvmlDeviceGetClockInfo)(ft_nvml_device, unsigned, unsigned *);
    int (*nvmlDeviceGetMaxClockInfo)(ft_nvml_device, unsigned, unsigned *);
    int (*nvmlDeviceGetCurrentClocksEventReasons)(ft_nvml_device, unsigned long long *);
    int (*nvmlDeviceGetCurrentClocksThrottleReasons)(ft_nvml_device, unsigned long long *);
    int (*nvmlDeviceGetTemperature)(ft_nvml_device, unsigned, unsigned *);
    int (*nvmlDeviceGetCurrPcieLinkGeneration)(ft_nvml_device, unsigned *);
    int (*nvmlDeviceGetMaxPcieLinkGeneration)(ft_nvml_device, unsigned *);
    int (*nvmlDeviceGetCurrPcieLinkWidth)(ft_nvml_device, unsigned *);
    int (*nvmlDeviceGetMaxPcieLinkWidth)(ft_nvml_device, unsigned *);
    int (*nvmlDeviceGetNvLinkState)(ft_nvml_device, unsigned, unsigned *);
    int (*nvmlDeviceGetComputeRunningProcesses_v3)(ft_nvml_device, unsigned *, process_info *);
    int (*nvmlDeviceGetP2PStatus)(ft_nvml_device, ft_nvml_device, unsigned, unsigned *);
    int (*nvmlDeviceGetTopologyCommonAncestor)(ft_nvml_device, ft_nvml_device, unsigned *);
} nvml;

#define CALL(name) {#name, &nvml.name}

static const struct {
    const char *name;
    void *function;  // the member of nvml
} calls[] = {
    CALL(nvmlInit_v2), CALL(nvmlErrorString), CALL(nvmlSystemGetDriverVersion), CALL(nvmlSystemGetCudaDriverVersion_v2),
    CALL(nvmlSystemGetProcessName), CALL(nvmlDeviceGetCount_v2), CALL(nvmlDeviceGetHandleByIndex_v2), CALL(nvmlDeviceGetName),
    CALL(nvmlDeviceGetPciInfo_v3), CALL(nvmlDeviceGetMemoryInfo), CALL(nvmlDeviceGetCudaComputeCapability),
    CALL(nvmlDeviceGetMigMode), CALL(nvmlDeviceGetComputeMode), CALL(nvmlDeviceGetPersistenceMode), CALL(nvmlDeviceGetEccMode),
    CALL(nvmlDeviceGetTotalEccErrors), CALL(nvmlDeviceGetRemappedRows), CALL(nvmlDeviceGetEnforcedPowerLimit),
    CALL(nvmlDeviceGetPowerManagementDefaultLimit), CALL(nvmlDeviceGetClockInfo), CALL(nvmlDeviceGetMaxClockInfo),
    CALL(nvmlDeviceGetCurrentClocksEventReasons), CALL(nvmlDeviceGetCurrentClocksThrottleReasons), CALL(nvmlDeviceGetTemperature),
    CALL(nvmlDeviceGetCurrPcieLinkGeneration), CALL(nvmlDeviceGetMaxPcieLinkGeneration), CALL(nvmlDeviceGetCurrPcieLinkWidth),
    CALL(nvmlDeviceGetMaxPcieLinkWidth), CALL(nvmlDeviceGetNvLinkState), CALL(nvmlDeviceGetComputeRunningProcesses_v3),
    CALL(nvmlDeviceGetP2PStatus), CALL(nvmlDeviceGetTopologyCommonAncestor),
};

// A data pointer becomes a function pointer as POSIX wants it of dlsym.
static void find_all(void *library)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) *(void **)calls[i].function = dlsym(library, calls[i].name);
}

static ft_status refused(int code)
{
    const char *why = nvml.nvmlErrorString ? nvml.nvmlErrorString(code) : "no reason given";
    if (code == VERSION_MISMATCH)
        return ft_error(FT_E_UNSUPPORTED, "NVML: %s; reboot, or reload the nvidia kernel modules: library and module are of two driver versions", why);
    if (code == NOT_FOUND_DRIVER) return ft_error(FT_E_UNSUPPORTED, "NVML: %s; modprobe nvidia, or start the container with --gpus all", why);
    return ft_error(FT_E_UNSUPPORTED, "NVML: %s (code %d); nvidia-smi may say more", why, code);
}

static ft_status open_once(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return ft_error(FT_E_NOT_FOUND, "no NVIDIA driver here (libnvidia-ml.so.1)");
    find_all(library);
    if (!nvml.nvmlInit_v2 || !nvml.nvmlDeviceGetCount_v2 || !nvml.nvmlDeviceGetHandleByIndex_v2)
        return ft_error(FT_E_UNSUPPORTED, "libnvidia-ml.so.1 lacks the calls of a driver of the last ten years; update the driver");
    int code = nvml.nvmlInit_v2();
    return code == 0 ? FT_OK : refused(code);
}

ft_status ft_nvml_open(void)
{
    static bool tried;
    static ft_status status;
    static char message[FT_ERROR_MESSAGE_BYTES];
    if (tried) return status == FT_OK ? FT_OK : ft_error_adopt(status, message);
    tried = true;
    status = open_once();
    if (status != FT_OK) snprintf(message, sizeof message, "%s", ft_error_message());
    return status;
}

int ft_nvml_count(void)
{
    unsigned n = 0;
    if (nvml.nvmlDeviceGetCount_v2(&n) != 0) return 0;
    return n < FT_NVML_MOST_GPUS ? (int)n : FT_NVML_MOST_GPUS;
}

void ft_nvml_driver(char version[80], int *cuda)
{
    *cuda = 0;
    version[0] = 0;
    if (nvml.nvmlSystemGetDriverVersion && nvml.nvmlSystemGetDriverVersion(version, 80) != 0) version[0] = 0;
    if (nvml.nvmlSystemGetCudaDriverVersion_v2 && nvml.nvmlSystemGetCudaDriverVersion_v2(cuda) != 0) *cuda = 0;
}

// ---- one GPU

// The value of a call with one result, or unknown.
static int64_t told(int (*call)(ft_nvml_device, unsigned *), ft_nvml_device device)
{
    unsigned value = 0;
    return call && call(device, &value) == 0 ? (int64_t)value : FT_NVML_UNKNOWN;
}

static int64_t clock_of(int (*call)(ft_nvml_device, unsigned, unsigned *), ft_nvml_device device, unsigned which)
{
    unsigned value = 0;
    return call && call(device, which, &value) == 0 ? (int64_t)value : FT_NVML_UNKNOWN;
}

static int64_t ecc_errors(ft_nvml_device device, unsigned since)
{
    unsigned long long n = 0;
    bool known = nvml.nvmlDeviceGetTotalEccErrors && nvml.nvmlDeviceGetTotalEccErrors(device, ECC_UNCORRECTED, since, &n) == 0;
    return known ? (int64_t)n : FT_NVML_UNKNOWN;
}

// NVML's "00000000:3B:00.0" as the kernel writes it: four digits of domain, lower case.
static void read_pci(ft_nvml_gpu *gpu)
{
    pci_info info = {.bus_id = ""};
    if (!nvml.nvmlDeviceGetPciInfo_v3 || nvml.nvmlDeviceGetPciInfo_v3(gpu->handle, &info) != 0) return;
    snprintf(gpu->pci, sizeof gpu->pci, "%.31s", info.bus_id);
    if (strlen(gpu->pci) == 16) memmove(gpu->pci, gpu->pci + 4, 13);
    for (char *c = gpu->pci; *c; c++) *c = (char)tolower((unsigned char)*c);
}

static void read_memory(ft_nvml_gpu *gpu)
{
    memory_info memory;
    if (!nvml.nvmlDeviceGetMemoryInfo || nvml.nvmlDeviceGetMemoryInfo(gpu->handle, &memory) != 0) return;
    gpu->memory_bytes = (int64_t)memory.total;
    gpu->memory_free = (int64_t)memory.free;
}

static void read_health(ft_nvml_gpu *gpu)
{
    unsigned now = 0, later = 0, corrected, uncorrected, pending, failed;
    if (nvml.nvmlDeviceGetMigMode && nvml.nvmlDeviceGetMigMode(gpu->handle, &now, &later) == 0) gpu->mig = now;
    if (nvml.nvmlDeviceGetEccMode && nvml.nvmlDeviceGetEccMode(gpu->handle, &now, &later) == 0) gpu->ecc = now;
    gpu->ecc_fatal = ecc_errors(gpu->handle, ECC_VOLATILE);
    gpu->ecc_fatal_ever = ecc_errors(gpu->handle, ECC_AGGREGATE);
    if (nvml.nvmlDeviceGetRemappedRows && nvml.nvmlDeviceGetRemappedRows(gpu->handle, &corrected, &uncorrected, &pending, &failed) == 0) {
        gpu->rows_pending = pending;
        gpu->rows_failed = failed;
    }
    gpu->compute_mode = told(nvml.nvmlDeviceGetComputeMode, gpu->handle);
    gpu->persistence = told(nvml.nvmlDeviceGetPersistenceMode, gpu->handle);
    gpu->temperature = clock_of(nvml.nvmlDeviceGetTemperature, gpu->handle, SENSOR_GPU);
}

static void read_speed(ft_nvml_gpu *gpu)
{
    unsigned long long reasons = 0;
    int (*why)(ft_nvml_device, unsigned long long *) = nvml.nvmlDeviceGetCurrentClocksEventReasons;
    if (why == NULL) why = nvml.nvmlDeviceGetCurrentClocksThrottleReasons;
    if (why && why(gpu->handle, &reasons) == 0) gpu->throttled = (int64_t)reasons;
    gpu->power_limit = told(nvml.nvmlDeviceGetEnforcedPowerLimit, gpu->handle);
    gpu->power_default = told(nvml.nvmlDeviceGetPowerManagementDefaultLimit, gpu->handle);
    gpu->clock_sm = clock_of(nvml.nvmlDeviceGetClockInfo, gpu->handle, CLOCK_SM);
    gpu->clock_sm_max = clock_of(nvml.nvmlDeviceGetMaxClockInfo, gpu->handle, CLOCK_SM);
    gpu->pcie_generation = told(nvml.nvmlDeviceGetCurrPcieLinkGeneration, gpu->handle);
    gpu->pcie_generation_max = told(nvml.nvmlDeviceGetMaxPcieLinkGeneration, gpu->handle);
    gpu->pcie_width = told(nvml.nvmlDeviceGetCurrPcieLinkWidth, gpu->handle);
    gpu->pcie_width_max = told(nvml.nvmlDeviceGetMaxPcieLinkWidth, gpu->handle);
    for (unsigned i = 0; i < MOST_LINKS; i++) {
        unsigned active = 0;
        if (nvml.nvmlDeviceGetNvLinkState && nvml.nvmlDeviceGetNvLinkState(gpu->handle, i, &active) == 0) gpu->nvlinks += active == 1;
    }
}

static void read_users(ft_nvml_gpu *gpu)
{
    process_info users[256];  // nothing is told where they are too few
    unsigned n = sizeof users / sizeof users[0];
    if (!nvml.nvmlDeviceGetComputeRunningProcesses_v3 || nvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu->handle, &n, users) != 0) return;
    for (unsigned i = 0; i < n && i < FT_NVML_MOST_USERS; i++) {
        ft_nvml_user *user = &gpu->user[gpu->n_users++];
        *user = (ft_nvml_user){.pid = users[i].pid, .bytes = users[i].bytes >> 63 ? FT_NVML_UNKNOWN : (int64_t)users[i].bytes};
        if (!nvml.nvmlSystemGetProcessName || nvml.nvmlSystemGetProcessName(user->pid, user->name, sizeof user->name) != 0) user->name[0] = 0;
    }
}

bool ft_nvml_gpu_read(int index, ft_nvml_gpu *gpu)
{
    enum { NOT = FT_NVML_UNKNOWN };
    int major, minor;
    *gpu = (ft_nvml_gpu){.index = index, .name = "NVIDIA GPU", .memory_bytes = NOT, .memory_free = NOT, .capability = NOT, .mig = NOT, .ecc = NOT,
                         .rows_pending = NOT, .rows_failed = NOT, .throttled = NOT};
    int code = nvml.nvmlDeviceGetHandleByIndex_v2((unsigned)index, &gpu->handle);
    if (code != 0) {
        snprintf(gpu->name, sizeof gpu->name, "%s", nvml.nvmlErrorString ? nvml.nvmlErrorString(code) : "no answer");
        return false;
    }
    if (nvml.nvmlDeviceGetName && nvml.nvmlDeviceGetName(gpu->handle, gpu->name, sizeof gpu->name) != 0) strcpy(gpu->name, "NVIDIA GPU");
    if (nvml.nvmlDeviceGetCudaComputeCapability && nvml.nvmlDeviceGetCudaComputeCapability(gpu->handle, &major, &minor) == 0) gpu->capability = 10 * major + minor;
    read_pci(gpu);
    read_memory(gpu);
    read_health(gpu);
    read_speed(gpu);
    read_users(gpu);
    return true;
}

int ft_nvml_count_capable(int capability)
{
    ft_nvml_gpu gpu;
    int n = 0, count = ft_nvml_open() == FT_OK ? ft_nvml_count() : 0;
    for (int i = 0; i < count; i++) n += ft_nvml_gpu_read(i, &gpu) && (gpu.capability == capability || gpu.capability == FT_NVML_UNKNOWN);
    return n;
}

void ft_nvml_path_read(const ft_nvml_gpu *one, const ft_nvml_gpu *other, ft_nvml_path *path)
{
    unsigned value = 0;
    *path = (ft_nvml_path){FT_NVML_UNKNOWN, FT_NVML_UNKNOWN, FT_NVML_UNKNOWN};
    if (nvml.nvmlDeviceGetP2PStatus && nvml.nvmlDeviceGetP2PStatus(one->handle, other->handle, P2P_NVLINK, &value) == 0) path->nvlink = value == 0;
    if (nvml.nvmlDeviceGetP2PStatus && nvml.nvmlDeviceGetP2PStatus(one->handle, other->handle, P2P_READ, &value) == 0) path->peer = value == 0;
    if (nvml.nvmlDeviceGetTopologyCommonAncestor && nvml.nvmlDeviceGetTopologyCommonAncestor(one->handle, other->handle, &value) == 0) path->level = value;
}
