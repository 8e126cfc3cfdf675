// How GPUs reach each other: over NVLink, over PCIe directly, or through host memory. Data-parallel runs gather gradients there.
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "doctor/check.h"
#include "doctor/nvml.h"

typedef struct {
    int pairs, nvlink, peer, unknown;
    int64_t farthest;  // nvmlGpuTopologyLevel
} tally;

static const char *level_name(int64_t level)
{
    if (level < 0) return "n/a";
    if (level <= 10) return "one PCIe switch";
    if (level <= 20) return "PCIe switches";
    if (level <= 30) return "one host bridge";
    return level <= 40 ? "one NUMA node" : "the link between the sockets";
}

static void add_pair(tally *t, const ft_nvml_gpu *one, const ft_nvml_gpu *other)
{
    ft_nvml_path path;
    ft_nvml_path_read(one, other, &path);
    t->pairs++;
    t->nvlink += path.nvlink > 0;
    t->peer += path.peer > 0;
    t->unknown += path.nvlink < 0 && path.peer < 0;
    if (path.level > t->farthest) t->farthest = path.level;
}

static void say(ft_doctor *doctor, const tally *t, int fewest, int most)
{
    if (t->unknown == t->pairs)
        ft_check_ok(doctor, NULL, "n/a: the driver does not tell; GPUs meet at %s", level_name(t->farthest));
    else if (t->nvlink == t->pairs && fewest < most)
        ft_check_note(doctor, NULL, "look at dmesg for NVLink errors and at nvidia-smi nvlink -s: the slowest GPU sets the pace",
                      "all %d pairs over NVLink, but %d links on one GPU and %d on another", t->pairs, fewest, most);
    else if (t->nvlink == t->pairs)
        ft_check_ok(doctor, NULL, "all %d pairs over NVLink, %d links a GPU", t->pairs, most);
    else if (most > 0 && t->nvlink > 0)
        ft_check_note(doctor, NULL, "choose GPUs that are linked, with CUDA_VISIBLE_DEVICES (nvidia-smi topo -m)",
                      "%d of %d pairs over NVLink, the others over %s", t->nvlink, t->pairs, level_name(t->farthest));
    else if (t->peer < t->pairs)
        ft_check_note(doctor, NULL, "turn off ACS and the IOMMU of the host for these slots, if it is yours: copies pass through host memory now",
                      "%d of %d pairs reach each other directly, the others through host memory (%s)", t->peer, t->pairs, level_name(t->farthest));
    else
        ft_check_ok(doctor, NULL, "all %d pairs over PCIe directly, at most across %s", t->pairs, level_name(t->farthest));
}

void ft_check_gpu_links(ft_doctor *doctor)
{
    static ft_nvml_gpu gpus[FT_NVML_MOST_GPUS];
    tally t = {.farthest = FT_NVML_UNKNOWN};
    int n = 0, count = ft_nvml_open() == FT_OK ? ft_nvml_count() : 0;
    int fewest = 1 << 30, most = 0;
    for (int i = 0; i < count; i++) n += ft_nvml_gpu_read(i, &gpus[n]);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++) add_pair(&t, &gpus[k], &gpus[i]);
        if (gpus[i].nvlinks < fewest) fewest = gpus[i].nvlinks;
        if (gpus[i].nvlinks > most) most = gpus[i].nvlinks;
    }
    if (n > 1) say(doctor, &t, fewest, most);
}
