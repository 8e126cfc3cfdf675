// Detection of this machine: memory, topology, drives' space, and rates by a short probe.
#include "offload/machine.h"

#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/rng.h"
#include "device/host_memory.h"
#include "kernels/ops.h"
#include "offload/machine_internal.h"

// Before anything could be measured on a drive: one PCIe 4 NVMe drive.
#define DEFAULT_NVME_READ 2.0e9
#define DEFAULT_NVME_WRITE 1.0e9
// Device memory the libraries' kernels and handles take after the device was opened.
#define DEVICE_LIBRARIES ((int64_t)768 << 20)

int64_t ft_machine_host_available(void)
{
    ft_host_memory memory;
    return ft_host_memory_read(&memory, "") == FT_OK ? memory.available : 0;
}

static int numa_nodes(void)
{
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0) return 1;
    int nodes = 1;
    if (hwloc_topology_load(topology) == 0) {
        nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
        if (nodes < 1) nodes = 1;
    }
    hwloc_topology_destroy(topology);
    return nodes;
}

// Seconds of one call, best of a few within about 50 ms.
static double best_seconds(void (*call)(void *), void *context)
{
    double best = 1e30, begin = ft_now_s();
    do {
        double start = ft_now_s();
        call(context);
        double took = ft_now_s() - start;
        if (took < best) best = took;
    } while (ft_now_s() - begin < 0.05);
    return best;
}

#define PROBE_ROWS 256
#define PROBE_COLS 512
typedef struct {
    ft_queue *queue;
    const ft_ops *ops;
    ft_linear_group group;
    ft_view x, y;
    void *workspace;
    int64_t workspace_bytes;
    char *from, *to;
    int64_t copy_bytes;
    ft_status status;
} probe;

static void probe_gemm(void *context)
{
    probe *p = context;
    const ft_view none = {0};
    p->status = p->ops->linear_forward(p->queue, &p->group, p->y, p->x, none, none, p->workspace, p->workspace_bytes);
}

static void probe_copy(void *context)
{
    probe *p = context;
    memcpy(p->to, p->from, (size_t)p->copy_bytes);
}

static void fill_random(float *data, int64_t n)
{
    for (int64_t i = 0; i < n; i += 2) {
        ft_rng_block block = ft_rng(1, FT_RNG_DATA, (uint32_t)i, 0, 0, 0);
        ft_rng_normal(block.word[0], block.word[1], data + i);
    }
}

// GEMM through the very op the layers use, and a copy larger than the caches.
static ft_status run_probe(probe *p, double *gemm, double *copy)
{
    int64_t x = PROBE_ROWS * PROBE_COLS, w = PROBE_COLS * PROBE_COLS;
    ft_op_shape shape = {.rows = PROBE_ROWS, .in = PROBE_COLS, .out = PROBE_COLS};
    p->workspace_bytes = ft_op_workspace(FT_OP_LINEAR_FORWARD, &shape, FT_DEVICE_CPU);
    p->copy_bytes = 64 << 20;
    float *memory = ft_malloc((size_t)(2 * x + w) * sizeof(float));
    FT_ALLOC_CHECK(memory);
    p->workspace = ft_malloc((size_t)p->workspace_bytes);
    p->from = ft_calloc(2, (size_t)p->copy_bytes);
    ft_status status = p->workspace && p->from ? FT_OK : FT_E_NOMEM;
    if (status == FT_OK) {
        fill_random(memory, 2 * x + w);
        memset(p->from, 1, 2 * (size_t)p->copy_bytes);
        p->to = p->from + p->copy_bytes;
        p->x = (ft_view){.data = memory, .repr = FT_REPR_F32, .rows = PROBE_ROWS, .cols = PROBE_COLS, .ld = PROBE_COLS};
        p->y = (ft_view){.data = memory + x, .repr = FT_REPR_F32, .rows = PROBE_ROWS, .cols = PROBE_COLS, .ld = PROBE_COLS};
        p->group = (ft_linear_group){.n_parts = 1, .out = {PROBE_COLS}, .n_weights = 1};
        p->group.weight[0] = (ft_weight){.data = memory + 2 * x, .repr = FT_REPR_F32, .rows = PROBE_COLS, .cols = PROBE_COLS, .ld = PROBE_COLS};
        *gemm = 2.0 * PROBE_ROWS * PROBE_COLS * PROBE_COLS / best_seconds(probe_gemm, p);
        *copy = (double)p->copy_bytes / best_seconds(probe_copy, p);
        status = p->status;
    }
    ft_free(memory);
    ft_free(p->workspace);
    ft_free(p->from);
    return status;
}

static ft_status probe_cpu(ft_machine *machine, ft_device *device)
{
    probe p = {.ops = ft_ops_for(FT_DEVICE_CPU)};
    FT_TRY(ft_queue_create(device, FT_QUEUE_COMPUTE, "probe", &p.queue));
    double copy = 0;
    ft_status status = run_probe(&p, &machine->gemm_bf16, &copy);
    ft_queue_destroy(p.queue);
    FT_TRY(status);
    machine->gemm_fp8 = machine->gemm_bf16;
    // Attention on the CPU is small GEMMs and exponentials: a third of the GEMM rate, half of that backward (measured once).
    machine->attention_forward = machine->gemm_bf16 / 3;
    machine->attention_backward = machine->gemm_bf16 / 3;
    machine->h2d = machine->d2h = copy;
    machine->dram = machine->hbm = 2 * copy;
    return FT_OK;
}

// A directory that is not there is made by the run that uses it: what counts is where.
static ft_status look_at_drive(const char *directory, struct statvfs *fs)
{
    if (statvfs(directory, fs) == 0) return FT_OK;
    int error = errno;
    char *parent = error == ENOENT ? ft_path_parent(directory) : NULL;
    bool found = parent && statvfs(parent, fs) == 0;
    ft_free(parent);
    return found ? FT_OK : ft_error_errno(FT_E_INPUT, error, "%s: cannot be used as a drive directory", directory);
}

// Free space of the drive directories; directories on one file system count once.
static ft_status free_space(ft_machine *machine, const char *const *nvme, int n_nvme)
{
    unsigned long seen[64];
    int n_seen = 0;
    for (int i = 0; i < n_nvme && n_seen < 64; i++) {
        struct statvfs fs;
        FT_TRY(look_at_drive(nvme[i], &fs));
        bool known = false;
        for (int k = 0; k < n_seen; k++) known |= seen[k] == fs.f_fsid;
        seen[n_seen++] = fs.f_fsid;
        if (!known) machine->nvme_bytes += (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    }
    return FT_OK;
}

ft_status ft_machine_look(ft_machine *machine, ft_device *device, const char *const *nvme, int n_nvme)
{
    *machine = (ft_machine){.gpus = 1, .nodes = numa_nodes(), .drives = n_nvme > 0 ? n_nvme : 1};
    const ft_device_info *info = ft_device_get_info(device);
    machine->device = info->kind;
    snprintf(machine->name, sizeof machine->name, "%s", info->name);
    int64_t available = ft_machine_host_available();
    // A tenth stays with the system; on the CPU device both tiers are the same memory and share the rest.
    machine->host_bytes = available / 10 * (info->kind == FT_DEVICE_CPU ? 3 : 9);
    machine->hbm_bytes = info->kind == FT_DEVICE_CPU ? available / 10 * 6 : info->memory_free - DEVICE_LIBRARIES;
    machine->nvme_read = DEFAULT_NVME_READ;
    machine->nvme_write = DEFAULT_NVME_WRITE;
    snprintf(machine->source, sizeof machine->source, "no rates");
    return free_space(machine, nvme, n_nvme);
}

ft_status ft_machine_probe(ft_machine *machine, ft_device *device)
{
    time_t seconds = time(NULL);
    struct tm day;
    strftime(machine->source, sizeof machine->source, "probed %Y-%m-%d, drives assumed", gmtime_r(&seconds, &day));
    return machine->device == FT_DEVICE_CPU ? probe_cpu(machine, device) : ft_machine_probe_cuda(machine, device);
}

ft_status ft_machine_detect(ft_machine *machine, ft_device *device, const char *const *nvme, int n_nvme)
{
    FT_TRY(ft_machine_look(machine, device, nvme, n_nvme));
    return ft_machine_probe(machine, device);
}
