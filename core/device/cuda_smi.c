#include "device/cuda_smi.h"

#include <dlfcn.h>

// nvml.h, the parts used; its calls return 0 for success.
typedef struct nvmlDevice_st *nvml_device;
typedef struct {
    unsigned long long total, free, used;
} nvml_memory;

typedef struct {
    int (*init)(void);
    int (*shutdown)(void);
    int (*find)(const char *pci_bus, nvml_device *device);
    int (*memory)(nvml_device device, nvml_memory *memory);
} nvml;

// A data pointer becomes a function pointer as POSIX wants it of dlsym.
static bool load(void *library, const char *name, void *function)
{
    *(void **)function = dlsym(library, name);
    return *(void **)function != NULL;
}

static bool load_all(void *library, nvml *calls)
{
    return load(library, "nvmlInit_v2", &calls->init) && load(library, "nvmlShutdown", &calls->shutdown) &&
           load(library, "nvmlDeviceGetHandleByPciBusId_v2", &calls->find) && load(library, "nvmlDeviceGetMemoryInfo", &calls->memory);
}

static bool ask(const nvml *calls, const char *pci_bus, int64_t *bytes)
{
    nvml_device device;
    nvml_memory memory;
    if (calls->init() != 0) return false;
    bool told = calls->find(pci_bus, &device) == 0 && calls->memory(device, &memory) == 0;
    if (told) *bytes = (int64_t)memory.free;
    calls->shutdown();
    return told;
}

bool ft_cuda_smi_free(const char *pci_bus, int64_t *bytes)
{
    nvml calls;
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return false;
    bool told = load_all(library, &calls) && ask(&calls, pci_bus, bytes);
    dlclose(library);
    return told;
}
