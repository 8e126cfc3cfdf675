// NUMA: nodes of host memory, and at which of them GPUs and drives hang. Pinned memory is taken near the GPU it feeds, so a device
// that does not say where it hangs is fed across the sockets half of the time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "doctor/check.h"
#include "doctor/sys_files.h"

enum { MOST_NODES = 64, MOST_DEVICES = 512 };

// Of a PCI class (the 24 bits of sysfs): "GPU", "NVMe" or NULL. A GPU is a display controller of NVIDIA.
static const char *device_kind(const char *root, const char *path)
{
    char text[16];
    unsigned class = 0, vendor = 0;
    if (ft_sys_line(root, text, sizeof text, "%s/class", path)) sscanf(text, "%x", &class);
    if (ft_sys_line(root, text, sizeof text, "%s/vendor", path)) sscanf(text, "%x", &vendor);
    if (class >> 8 == 0x0108) return "NVMe";
    return class >> 16 == 0x03 && vendor == 0x10de ? "GPU" : NULL;
}

typedef struct {
    int gpus, drives;
} hanging;

// at[0] is of devices whose node is not known, at[n + 1] of node n.
static void count_devices(const char *root, hanging at[MOST_NODES + 1])
{
    static ft_sys_path devices[MOST_DEVICES];
    int n = ft_sys_glob(root, "/sys/bus/pci/devices/*", devices, MOST_DEVICES);
    for (int i = 0; i < n; i++) {
        const char *kind = device_kind(root, devices[i].path);
        int64_t node = kind ? ft_sys_number(root, -1, "%s/numa_node", devices[i].path) : -1;
        if (kind == NULL || node >= MOST_NODES) continue;
        hanging *h = &at[node < 0 ? 0 : node + 1];
        if (kind[0] == 'G') h->gpus++;
        else h->drives++;
    }
}

// "Node 0 MemTotal:  123 kB"
static int64_t node_memory(const char *root, int node)
{
    char file[80], line[64];
    snprintf(file, sizeof file, "/sys/devices/system/node/node%d/meminfo", node);
    snprintf(line, sizeof line, "Node %d MemTotal", node);
    return ft_sys_key(root, file, line, 0);
}

static void describe_node(const char *root, int node, const hanging *h, ft_text *out)
{
    char cpus[128] = "none", size[FT_HUMAN_BYTES];
    ft_sys_line(root, cpus, sizeof cpus, "/sys/devices/system/node/node%d/cpulist", node);
    ft_text_printf(out, "%snode %d: CPUs %s, %s", out->length ? "; " : "", node, cpus, ft_human_bytes(size, (double)node_memory(root, node)));
    if (h->gpus) ft_text_printf(out, ", %d GPU%s", h->gpus, h->gpus == 1 ? "" : "s");
    if (h->drives) ft_text_printf(out, ", %d NVMe", h->drives);
}

static void say(ft_doctor *doctor, int nodes, const hanging *nowhere, const char *text)
{
    bool balancing = ft_sys_number(doctor->options->root, 0, "/proc/sys/kernel/numa_balancing") > 0;
    if (nodes > 1 && nowhere->gpus + nowhere->drives > 0)
        ft_check_note(doctor, NULL, "update the BIOS, or pass the guest's NUMA topology on: memory is not placed near what uses it",
                      "%s; %d GPUs and %d NVMe do not say where they hang", text, nowhere->gpus, nowhere->drives);
    else if (nodes > 1 && balancing)
        ft_check_note(doctor, NULL, "sysctl -w kernel.numa_balancing=0 for the time of a run", "%s; the kernel moves pages between nodes", text);
    else
        ft_check_ok(doctor, NULL, "%s", text);
}

void ft_check_numa(ft_doctor *doctor)
{
    const char *root = doctor->options->root;
    static ft_sys_path paths[MOST_NODES];
    hanging at[MOST_NODES + 1] = {0};
    ft_text text = {0};
    int n = ft_sys_glob(root, "/sys/devices/system/node/node[0-9]*", paths, MOST_NODES);
    count_devices(root, at);
    for (int i = 0; i < n; i++) {
        int node = atoi(strstr(paths[i].path, "node/node") + strlen("node/node"));
        if (node < MOST_NODES) describe_node(root, node, &at[node + 1], &text);
    }
    if (n == 0) ft_check_ok(doctor, NULL, "one node: the kernel tells of no others");
    else say(doctor, n, &at[0], text.data ? text.data : "n/a");
    ft_text_free(&text);
}
