// A GPU as a device: what it is, its memory, and host memory made known to it. Queues, events and graphs: queue_cuda.c.
//
// The runtime keeps a current device per thread, so every function here that touches it says which one first.
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/text.h"
#include "device/cuda_internal.h"
#include "device/cuda_smi.h"

enum { MOST_DEVICES = 64, CAPABILITY = 90 };

// What the context of a device took, from its first opening in this process: it is made once and shared by later openings.
static struct {
    pthread_mutex_t lock;
    int64_t bytes[MOST_DEVICES];
    bool known[MOST_DEVICES];
} contexts = {.lock = PTHREAD_MUTEX_INITIALIZER};

static ft_status no_driver(void)
{
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    cudaGetLastError();
    if (driver == 0) return ft_error(FT_E_UNSUPPORTED, "device cuda: no NVIDIA driver here (libcuda.so.1); install it, or use --device cpu");
    return ft_error(FT_E_UNSUPPORTED, "device cuda: the NVIDIA driver is for CUDA %d.%d, this build needs %d.%d; update it, or use --device cpu",
                    driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
}

static ft_status count_devices(int *n)
{
    *n = 0;
    cudaError_t error = cudaGetDeviceCount(n);
    if (error == cudaSuccess && *n > 0) return FT_OK;
    cudaGetLastError();
    if (error == cudaErrorInsufficientDriver || error == cudaErrorStubLibrary) return no_driver();
    if (error == cudaErrorNoDevice || error == cudaSuccess) {
        return ft_error(FT_E_UNSUPPORTED, "device cuda: the driver sees no GPU (is CUDA_VISIBLE_DEVICES set?); use --device cpu");
    }
    return ft_cuda_error(error, "device cuda: cudaGetDeviceCount");
}

// Whether the list "80,90a" has code for this chip with its own instructions (wgmma, clusters).
static bool built_for(const char *list, const char *architecture)
{
    size_t length = strlen(architecture);
    for (const char *item = list; *item != '\0'; item += strcspn(item, ","), item += *item == ',')
        if (strcspn(item, ",") == length && strncmp(item, architecture, length) == 0) return true;
    return false;
}

// The kernels are made for Hopper: tiles fill its shared memory, and what they launch assumes its instructions. Code of another
// architecture would load on some GPUs and compute nonsense.
static ft_status check_capability(const ft_device_info *info)
{
    if (info->compute_capability != CAPABILITY)
        return ft_error(FT_E_UNSUPPORTED, "device cuda:%d: %s has compute capability %d.%d; this version computes on 9.0 (H100, H200) only; use --device cpu",
                        info->ordinal, info->name, info->compute_capability / 10, info->compute_capability % 10);
    if (!built_for(FT_CUDA_ARCHITECTURES, "90a"))
        return ft_error(FT_E_UNSUPPORTED, "device cuda:%d: this build has code for %s only; configure with -DFT_CUDA_ARCHITECTURES=90a",
                        info->ordinal, FT_CUDA_ARCHITECTURES);
    return FT_OK;
}

// The node of host memory nearest to the PCI device; -1 where the kernel does not say.
static int read_numa_node(const char *pci_bus)
{
    char path[96];
    int node = -1;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", pci_bus);
    FILE *file = fopen(path, "re");
    if (file == NULL) return -1;
    if (fscanf(file, "%d", &node) != 1) node = -1;
    fclose(file);
    return node;
}

static ft_status describe(ft_device_info *info, int ordinal, char pci_bus[32])
{
    struct cudaDeviceProp properties;
    FT_CUDA_TRY(cudaGetDeviceProperties(&properties, ordinal), "device cuda:%d", ordinal);
    FT_CUDA_TRY(cudaDeviceGetPCIBusId(pci_bus, 32, ordinal), "device cuda:%d", ordinal);
    for (char *c = pci_bus; *c != '\0'; c++) *c = (char)tolower((unsigned char)*c);
    *info = (ft_device_info){
        .kind = FT_DEVICE_CUDA,
        .ordinal = ordinal,
        .sm_count = properties.multiProcessorCount,
        .compute_capability = 10 * properties.major + properties.minor,
        .memory_bytes = (int64_t)properties.totalGlobalMem,
        .numa_node = read_numa_node(pci_bus),
        .async_copies = properties.asyncEngineCount >= 2,
        .graphs = true,
    };
    snprintf(info->name, sizeof info->name, "%.*s", (int)sizeof info->name - 1, properties.name);
    if (!properties.canUseHostPointerForRegisteredMem)  // embedding rows are read where they are
        return ft_error(FT_E_UNSUPPORTED, "device cuda:%d: %s cannot read registered host memory; use --device cpu", ordinal, info->name);
    return check_capability(info);
}

// Makes the context and measures it. Where the management library does not tell the free memory before, the context's share is
// all that is taken then, by others included.
static ft_status open_context(ft_device_info *info, const char *pci_bus)
{
    int64_t before;
    size_t free_bytes, total_bytes;
    bool told = ft_cuda_smi_free(pci_bus, &before);
    FT_CUDA_TRY(cudaSetDevice(info->ordinal), "device cuda:%d: its context", info->ordinal);
    FT_CUDA_TRY(cudaFree(NULL), "device cuda:%d: its context", info->ordinal);
    FT_CUDA_TRY(cudaMemGetInfo(&free_bytes, &total_bytes), "device cuda:%d", info->ordinal);
    info->memory_bytes = (int64_t)total_bytes;
    info->memory_free = (int64_t)free_bytes;
    info->context_bytes = (told ? before : info->memory_bytes) - info->memory_free;
    if (info->context_bytes < 0) info->context_bytes = 0;  // another process gave memory back meanwhile
    return FT_OK;
}

static ft_status open_once(ft_device_info *info, const char *pci_bus)
{
    pthread_mutex_lock(&contexts.lock);
    ft_status status = open_context(info, pci_bus);
    if (status == FT_OK && info->ordinal < MOST_DEVICES) {
        if (!contexts.known[info->ordinal]) contexts.bytes[info->ordinal] = info->context_bytes;
        contexts.known[info->ordinal] = true;
        info->context_bytes = contexts.bytes[info->ordinal];
    }
    pthread_mutex_unlock(&contexts.lock);
    return status;
}

static ft_status cuda_open(ft_device **opened, int ordinal)
{
    int n;
    char pci_bus[32];
    ft_device_info info;
    FT_TRY(count_devices(&n));
    if (ordinal < 0 || ordinal >= n) {
        return ft_error(FT_E_USAGE, "device cuda:%d: this machine shows %d GPU%s, counted from 0", ordinal, n, n == 1 ? "" : "s");
    }
    FT_TRY(describe(&info, ordinal, pci_bus));
    FT_TRY(open_once(&info, pci_bus));
    ft_device *device = FT_NEW(ft_device);
    FT_ALLOC_CHECK(device);
    *device = (ft_device){.row = &ft_device_cuda, .info = info};
    *opened = device;
    return FT_OK;
}

// The context stays: other openings of the GPU share it, and the process's end takes it.
static void cuda_close(ft_device *device)
{
    ft_free(device);
}

static ft_status no_memory(ft_device *device, int64_t bytes)
{
    size_t free_bytes = 0, total_bytes = 0;
    char asked[FT_HUMAN_BYTES], has[FT_HUMAN_BYTES], all[FT_HUMAN_BYTES];
    cudaGetLastError();
    cudaMemGetInfo(&free_bytes, &total_bytes);
    return ft_error(FT_E_NOMEM, "device cuda:%d: %s asked, %s of %s are free; lower --hbm-budget", device->info.ordinal,
                    ft_human_bytes(asked, (double)bytes), ft_human_bytes(has, (double)free_bytes), ft_human_bytes(all, (double)total_bytes));
}

// Queues do not wait for the default stream, which the zeroes are written on: the host does.
static ft_status zero(ft_device *device, void *pointer, int64_t bytes)
{
    FT_CUDA_TRY(cudaMemset(pointer, 0, (size_t)bytes), "device cuda:%d: zeroing memory", device->info.ordinal);
    FT_CUDA_TRY(cudaStreamSynchronize(NULL), "device cuda:%d: zeroing memory", device->info.ordinal);
    return FT_OK;
}

static ft_status cuda_alloc(ft_device *device, int64_t bytes, void **pointer)
{
    void *block;
    if (bytes == 0) bytes = FT_ARENA_ALIGN;  // an address of its own
    FT_TRY(ft_cuda_use(device));
    cudaError_t error = cudaMalloc(&block, (size_t)bytes);
    if (error == cudaErrorMemoryAllocation) return no_memory(device, bytes);
    FT_CUDA_TRY(error, "device cuda:%d: cudaMalloc", device->info.ordinal);
    ft_status status = zero(device, block, bytes);
    if (status == FT_OK) *pointer = block;
    else cudaFree(block);
    return status;
}

static void cuda_free(ft_device *device, void *pointer)
{
    if (ft_cuda_use(device) != FT_OK || cudaFree(pointer) != cudaSuccess) cudaGetLastError();
}

static ft_status cuda_memory_used(ft_device *device, int64_t *bytes)
{
    size_t free_bytes, total;
    FT_TRY(ft_cuda_use(device));
    FT_CUDA_TRY(cudaMemGetInfo(&free_bytes, &total), "device cuda:%d: cudaMemGetInfo", device->info.ordinal);
    *bytes = (int64_t)(total - free_bytes);
    return FT_OK;
}

static ft_status cuda_register_host(ft_device *device, void *pointer, int64_t bytes)
{
    char size[FT_HUMAN_BYTES];
    FT_TRY(ft_cuda_use(device));
    cudaError_t error = cudaHostRegister(pointer, (size_t)bytes, cudaHostRegisterPortable);
    if (error == cudaSuccess) {
        ft_status status = ft_cuda_pinned_add(pointer, bytes);
        if (status != FT_OK) cudaHostUnregister(pointer);
        return status;
    }
    cudaGetLastError();  // it would be told again by the next launch
    return ft_error(error == cudaErrorMemoryAllocation ? FT_E_NOMEM : FT_E_DEVICE, "device cuda:%d: pinning %s of host memory: %s",
                    device->info.ordinal, ft_human_bytes(size, (double)bytes), cudaGetErrorString(error));
}

static void cuda_unregister_host(ft_device *device, void *pointer)
{
    ft_cuda_pinned_remove(pointer);
    if (ft_cuda_use(device) != FT_OK || cudaHostUnregister(pointer) != cudaSuccess) cudaGetLastError();
}

const ft_device_row ft_device_cuda = {
    .kind = FT_DEVICE_CUDA,
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .memory_used = cuda_memory_used,
    .register_host = cuda_register_host,
    .unregister_host = cuda_unregister_host,
    .queue_create = ft_cuda_queue_create,
    .queue_destroy = ft_cuda_queue_destroy,
    .queue_sync = ft_cuda_queue_sync,
    .copy = ft_cuda_queue_copy,
    .fill = ft_cuda_queue_fill,
    .event_create = ft_cuda_event_create,
    .event_destroy = ft_cuda_event_destroy,
    .event_record = ft_cuda_event_record,
    .event_wait = ft_cuda_event_wait,
    .event_sync = ft_cuda_event_sync,
    .event_query = ft_cuda_event_query,
    .event_elapsed = ft_cuda_event_elapsed,
    .graph_begin = ft_cuda_graph_begin,
    .graph_end = ft_cuda_graph_end,
    .graph_launch = ft_cuda_graph_launch,
    .graph_destroy = ft_cuda_graph_destroy,
};
