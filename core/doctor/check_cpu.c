// The processor: what it is, what the kernels make of it, how much of it this process may use, how it is clocked.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec_ops.h"
#include "common/cpus.h"
#include "doctor/check.h"
#include "doctor/sys_files.h"
#include "kernels/cpu/compute.h"
#include "kernels/cpu/gemm_kernel.h"

enum { MOST_CPUS = 1024 };

static int count_processors(const char *root)
{
    char path[PATH_MAX], line[4096];
    int n = 0;
    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) n += strncmp(line, "processor", strlen("processor")) == 0;
    if (file) fclose(file);
    return n;
}

void ft_check_cpu(ft_doctor *doctor)
{
    const char *root = doctor->options->root;
    char model[128] = "unknown model";
    ft_sys_key_text(root, "/proc/cpuinfo", "model name", model, sizeof model);
    int n = count_processors(root), usable = *root ? n : ft_cpus_usable();
    ft_check_ok(doctor, NULL, "%s, %d CPU%s, %d usable by this process", model, n, n == 1 ? "" : "s", usable);
}

// What the loops of the CPU device and of the converters are chosen by.
void ft_check_vectors(ft_doctor *doctor)
{
    const ft_codec_ops *codec = ft_codec_best();
    bool scalar = codec == &ft_codec_scalar, bf16 = ft_cpu_compute_check("bf16") == FT_OK;
    const char *used = scalar ? "none" : "AVX2";
#if defined(__x86_64__)
    if (codec == &ft_codec_avx512) used = "AVX-512";
#endif
    if (scalar)
        ft_check_note(doctor, NULL, "a CPU with AVX2, or a hypervisor that passes it on, converts and quantizes several times faster",
                      "no vector instructions the kernels know");
    else
        ft_check_ok(doctor, NULL, "%s is used%s", used, bf16 ? "; AVX512_BF16 is there (cpu_compute: bf16)" : "");
    if (!bf16 && strcmp(doctor->config->cpu_compute, "bf16") == 0) ft_check_error(doctor, "bf16", true, "set cpu_compute: f32");
}

void ft_check_cpu_quota(ft_doctor *doctor)
{
    const char *root = doctor->options->root;
    char groups[PATH_MAX], tree[PATH_MAX];
    snprintf(groups, sizeof groups, "%s/proc/self/cgroup", root);
    snprintf(tree, sizeof tree, "%s/sys/fs/cgroup", root);
    int quota = ft_cgroup_cpus(groups, tree), n = count_processors(root);
    if (quota < n)
        ft_check_note(doctor, NULL, "raise cpu.max of the cgroup (docker --cpus, the job's --cpus-per-task) if drives or the CPU device wait for it",
                      "a cgroup grants %d of %d CPUs", quota, n);
    else
        ft_check_ok(doctor, NULL, "no limit below the machine's %d CPUs", n);
}

// ---- frequency

// Whether this governor holds clocks down by itself. Drivers that choose clocks in hardware call their balanced mode powersave.
static bool holds_down(const char *governor, const char *driver)
{
    bool hardware = strncmp(driver, "intel_pstate", 12) == 0 || strncmp(driver, "amd-pstate", 10) == 0 || strncmp(driver, "amd_pstate", 10) == 0;
    return strcmp(governor, "powersave") == 0 && !hardware;
}

void ft_check_frequency(ft_doctor *doctor)
{
    const char *root = doctor->options->root;
    char governor[64], driver[64] = "";
    int n = 0, held = 0, capped = 0;
    int64_t top = 0;
    static ft_sys_path cpus[MOST_CPUS];
    int found = ft_sys_glob(root, "/sys/devices/system/cpu/cpu[0-9]*/cpufreq", cpus, MOST_CPUS);
    for (int i = 0; i < found; i++, n++) {
        const char *path = cpus[i].path;
        if (!ft_sys_line(root, governor, sizeof governor, "%s/scaling_governor", path)) snprintf(governor, sizeof governor, "n/a");
        if (!ft_sys_line(root, driver, sizeof driver, "%s/scaling_driver", path)) driver[0] = 0;
        int64_t may = ft_sys_number(root, 0, "%s/scaling_max_freq", path), can = ft_sys_number(root, 0, "%s/cpuinfo_max_freq", path);
        held += holds_down(governor, driver);
        capped += may > 0 && may < can * 95 / 100;
        if (can > top) top = can;
    }
    if (n == 0)
        ft_check_ok(doctor, NULL, "n/a: clocks are not the guest's to choose");
    else if (held)
        ft_check_note(doctor, NULL, "cpupower frequency-set -g performance", "governor powersave on %d of %d CPUs, up to %.2f GHz", held, n, (double)top / 1e6);
    else if (capped)
        ft_check_note(doctor, NULL, "cpupower frequency-set -u with the CPU's maximum", "%d of %d CPUs are held below their %.2f GHz", capped, n, (double)top / 1e6);
    else
        ft_check_ok(doctor, NULL, "governor %s, up to %.2f GHz", governor, (double)top / 1e6);
}
